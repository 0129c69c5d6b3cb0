"""How far a run is, on standard error: three lines that stay in place on a terminal, a line now and then in a log."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

LINE_EVERY_S = 5.0  # where standard error is a log
_STAGES = ("rollout", "verify", "train", "eval")
_WINDOW = 20  # steps whose pace tells the remaining time


class Progress:
    """Shows each step of the run called `name`, which will make `steps`. Nothing is drawn after `close`."""

    def __init__(
        self,
        name: str,
        steps: int,
        *,
        quiet: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._steps, self._quiet, self._clock = name, steps, quiet, clock
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self._ends: deque[tuple[int, float]] = deque(maxlen=_WINDOW + 1)
        self._step = self._notes = 0
        self._stage = ""
        self._row: dict[str, Any] = {}
        self._said = -LINE_EVERY_S
        self._live: Live | None = None
        if self._console.is_terminal and not quiet:
            self._live = Live(self, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def stage(self, name: str) -> None:
        """What the run does now."""
        self._stage = name

    def step(self, step: int, row: Mapping[str, Any], notes: int) -> None:
        """A step is over. What an evaluation found stays shown until the next one."""
        now = self._clock()
        self._ends.append((step, now))
        evaluated = {name: value for name, value in self._row.items() if name.startswith("eval/")}
        self._row = {**evaluated, **row}
        self._step, self._notes = step, notes
        told = any(name.startswith("eval/") or (name == "skipped" and row[name]) for name in row)
        if self._live is not None:
            if told:
                self.say(f"step {step}  " + "  ".join(_findings(row)))
        elif told or step == self._steps or now - self._said >= LINE_EVERY_S:
            self._said = now
            left = [self.remaining()] if self.remaining() else []
            self.say("  ".join([f"step {step}/{self._steps}", *_findings(self._row), *self._costs(), *left]))

    def say(self, line: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._console.print(line, markup=False)

    def close(self) -> None:
        """Take the lines away. Safe to call twice."""
        if self._live is not None:
            self._live.stop()

    def __rich__(self) -> Group:
        bar = Table.grid(padding=(0, 1))
        share = ProgressBar(total=max(self._steps, 1), completed=self._step, width=30)
        stage = Text(self._stage, "dim")
        bar.add_row(Text(self._name, "bold"), share, f"{self._step}/{self._steps}", self.remaining(), stage)
        said = ("  ".join(parts) for parts in (_findings(self._row), self._costs()))
        return Group(bar, *(Text(line, overflow="ellipsis", no_wrap=True) for line in said if line))

    def remaining(self) -> str:
        """The time that the steps to come will take at the pace of the last ones, "" where nobody can tell."""
        if len(self._ends) < 2 or self._step >= self._steps:
            return ""
        (first, start), (last, end) = self._ends[0], self._ends[-1]
        return f"{_duration((self._steps - last) * (end - start) / (last - first))} left" if last > first else ""

    def _costs(self) -> Iterator[str]:
        stages = [(name, self._row.get(f"seconds/{name}")) for name in _STAGES]
        if spent := [(name, seconds) for name, seconds in stages if seconds is not None]:
            yield f"{sum(s for _, s in spent):.1f} s ({', '.join(f'{name} {s:.1f}' for name, s in spent)})"
        if self._notes:
            yield "1 note" if self._notes == 1 else f"{self._notes:,} notes"


def _findings(row: Mapping[str, Any]) -> Iterator[str]:
    if row.get("skipped"):
        yield f"updates skipped: {row['skipped']}"
    if row.get("reward") is not None:
        yield f"reward {row['reward']:.3f}"
    elif row.get("loss") is not None:  # of fine-tuning; that of GRPO is 0 by its making, whatever is learned
        yield f"loss {row['loss']:.4f}"
    if row.get("eval/pass@1") is not None:
        error = row.get("eval/pass@1_stderr")
        yield f"pass@1 {100 * row['eval/pass@1']:.1f} %" + ("" if error is None else f" ± {100 * error:.1f}")
    if row.get("eval/greedy") is not None:
        yield f"greedy {100 * row['eval/greedy']:.1f} %"
    if row.get("length") is not None:
        yield f"length {row['length']:.0f}"


def _duration(seconds: float) -> str:
    """
    >>> _duration(59), _duration(151), _duration(7300)
    ('59 s', '2:31 min', '2:01 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02} h"
