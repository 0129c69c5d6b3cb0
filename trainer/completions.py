"""The completions that a run's report shows side by side: a few steps, problems and samples, in bounded memory."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from ..verifiers.types import STATUSES
from .log import COMPLETIONS, EVAL, read_rows, read_steps

STEPS = 10
HEAD, TAIL = 4_000, 8_000  # characters of a completion; the answer stands at the end
PROMPT = 4_000
Row = dict[str, Any]
Item = TypeVar("Item")


class _Kind(NamedTuple):
    name: str
    file: str
    mode: str | None
    problems: int
    """Of a step."""
    samples: int
    """Of a problem."""


_KINDS = (
    _Kind("held-out problems, sampled", EVAL, "sampled", 30, 2),
    _Kind("held-out problems, greedy", EVAL, "greedy", 30, 1),
    _Kind("training problems", COMPLETIONS, None, 8, 4),
)


def side_by_side(folder: Path) -> list[Row]:
    """For each kind of completion that the run kept: `name`, `steps`, `problems` (id and prompt) and `rows`.

    Steps and problems are spread evenly over all that there are, the first and the last among them. The greatest
    report holds 1,220 texts of 12,000 characters. Raises UsageError for a row that is not ours.
    """
    return [source for kind in _KINDS if (source := _source(folder / kind.file, kind))["rows"]]


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of the items, evenly, the first and the last among them.

    >>> spread(range(0, 101), 3)
    [0, 50, 100]
    """
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _source(path: Path, kind: _Kind) -> Row:
    steps = spread(read_steps(path), STEPS)
    numbers: dict[str, int] = {}
    asked: list[Row] = []
    rows: list[Row] = []
    for step, groups in _by_step(path, steps, kind):
        for problem in spread(list(groups), kind.problems):
            if problem not in numbers:
                numbers[problem] = len(numbers)
                asked.append({"id": problem[:200], "prompt": _text(groups[problem][0].get("prompt"))[:PROMPT]})
            rows += (_shown(row, step, numbers[problem]) for row in groups[problem])
    return {"name": kind.name, "steps": steps, "problems": asked, "rows": rows}


def _by_step(path: Path, steps: Sequence[int], kind: _Kind) -> Iterator[tuple[int, dict[str, list[Row]]]]:
    """Each step with the first samples of its problems."""
    now, groups = -1, dict[str, list[Row]]()
    for row in read_rows(path, frozenset(steps)):
        if row["step"] != now and groups:
            yield now, groups
            groups = {}
        now = row["step"]
        if kind.mode is None or row.get("mode") == kind.mode:
            group = groups.setdefault(_text(row.get("id")), [])
            if len(group) < kind.samples:
                group.append(row)
    if groups:
        yield now, groups


def _shown(row: Row, step: int, problem: int) -> Row:
    text = _text(row.get("completion"))
    shown: Row = {
        "step": step,
        "problem": problem,
        "sample": row.get("sample"),
        "status": row["status"] if row.get("status") in STATUSES else "error",
        "score": row.get("score"),
        "reason": row.get("reason"),
        "extracted": None if row.get("extracted") is None else _text(row["extracted"])[:400],
        "parts": list(_parts(row.get("parts") or {})),
        "tokens": row.get("tokens"),
        "finished": row.get("finished"),
        "text": text,
    }
    if len(text) > HEAD + TAIL:
        shown |= {"text": text[:HEAD], "end": text[-TAIL:], "missing": len(text) - HEAD - TAIL}
    return shown


def _parts(parts: Mapping[str, Any], prefix: str = "") -> Iterator[Row]:
    """The verdicts inside a composition, at any depth: `format`, `then/correct`."""
    for name, part in parts.items():
        yield {"name": f"{prefix}{name}", "score": part.get("score"), "status": part.get("status")}
        yield from _parts(part.get("parts") or {}, f"{prefix}{name}/")


def _text(value: object) -> str:
    if isinstance(value, list):  # a chat
        messages = [cast(Row, message) for message in cast(list[object], value) if isinstance(message, dict)]
        return "\n\n".join(f"{message.get('role')}: {message.get('content')}" for message in messages)
    return value if isinstance(value, str) else "" if value is None else str(value)
