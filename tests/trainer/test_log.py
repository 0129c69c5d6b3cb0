"""RunLog: the rows of a run, also of one that was killed; what a screen, a log and a dashboard are shown of it."""

import json
import signal
import subprocess
import sys
import types
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rlvr.evals.errors import UsageError
from rlvr.trainer.log import RunLog, read_rows
from rlvr.trainer.progress import Progress

FILES = ("metrics.jsonl", "completions.jsonl", "eval.jsonl", "notes.log")


class Clock:
    """Half a second passes whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


def steps(folder: Path, first: int, last: int, *, after: int | None = None, cut: bool = False, **options: Any) -> None:
    """Make the steps first … last of a run of 10. `cut`: die in the middle of writing the one that follows."""
    with RunLog(folder, steps=10, after=after, loggers=(), quiet=True, clock=lambda: 0.0, **options) as log:
        for step in range(first, last + 1):
            one_step(log, step)
        if cut:
            log.completions(last + 1, [{"id": "a", "completion": "lost"}])
            log.note(last + 1, "lost")
    if cut:
        for name in FILES:
            with (folder / name).open("ab") as file:
                file.write(b'{"st')


def one_step(log: RunLog, step: int) -> None:
    log.completions(step, [{"id": "a", "completion": f"{step} \ud800\n"}, {"id": "b", "completion": "\x00"}])
    if step % 5 == 0:
        log.evaluation(step, [{"id": "e", "mode": "greedy"}])
    log.note(step, f"problem {step}+1:\nall 8 wrong: nothing to learn here")
    log.metrics(step, {"reward": step / 10, "kl": float("nan"), "loss": float("inf")})


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_rows_are_whole_json_with_the_step_first(tmp_path: Path) -> None:
    steps(tmp_path / "run", 0, 5)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[3]) == {"step": 3, "reward": 0.3, "kl": None, "loss": None, "seconds": 0.0}
    assert [row["step"] for row in read_rows(tmp_path / "run" / "completions.jsonl")] == [
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        4,
        5,
        5,
    ]
    assert next(read_rows(tmp_path / "run" / "completions.jsonl"))["completion"] == "0 \ud800\n"
    assert (tmp_path / "run" / "notes.log").read_text().splitlines()[
        2
    ] == "step 2, problem 2+1: all 8 wrong: nothing to learn here"


@pytest.mark.parametrize("checkpoint", [-1, 0, 3, 4, 6])
def test_a_run_that_goes_on_has_the_rows_of_one_that_was_never_stopped(tmp_path: Path, checkpoint: int) -> None:
    steps(tmp_path / "whole" / "run", 0, 10)
    steps(tmp_path / "run", 0, 6, cut=True)
    steps(tmp_path / "run", checkpoint + 1, 10, after=checkpoint)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole" / "run")


def test_a_killed_process_leaves_every_row_that_it_gave(tmp_path: Path) -> None:
    steps(tmp_path / "whole" / "run", 0, 10)
    code = f"""
import os, sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_log import Path, RunLog, one_step
log = RunLog(Path({str(tmp_path / "run")!r}), steps=10, loggers=(), quiet=True, clock=lambda: 0.0)
for step in range(8):
    one_step(log, step)
log.completions(8, [{{"id": "a", "completion": "lost"}}])
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list(read_rows(tmp_path / "run" / "metrics.jsonl"))) == 8
    steps(tmp_path / "run", 6, 10, after=5)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole" / "run")


def test_a_new_run_does_not_take_the_folder_of_another(tmp_path: Path) -> None:
    steps(tmp_path / "run", 0, 2)
    before = contents(tmp_path / "run")
    with pytest.raises(UsageError, match="run: holds a run already"):
        steps(tmp_path / "run", 0, 2)
    assert contents(tmp_path / "run") == before


def test_two_processes_do_not_write_to_one_run(tmp_path: Path) -> None:
    with RunLog(tmp_path / "run", steps=3, loggers=(), quiet=True) as log:
        with pytest.raises(UsageError, match="another process is writing"):
            RunLog(tmp_path / "run", steps=3, after=1, loggers=(), quiet=True)
        log.metrics(0, {})
    steps(tmp_path / "run", 1, 2, after=0)


@pytest.mark.parametrize("line", ["not json", '{"reward":1}', '{"step":"1"}', "\ud800", ""])
def test_rows_of_others_are_not_touched(tmp_path: Path, line: str) -> None:
    steps(tmp_path / "run", 0, 1)
    path = tmp_path / "run" / "eval.jsonl"
    foreign = path.read_bytes() + line.encode("utf-8", "surrogatepass") + b"\n"
    path.write_bytes(foreign)
    with pytest.raises(UsageError, match=r"eval.jsonl:2: not a row that rlvr wrote"):
        RunLog(tmp_path / "run", steps=3, after=0, loggers=(), quiet=True)
    assert path.read_bytes() == foreign
    with pytest.raises(UsageError, match=r"eval.jsonl:2: not a row that rlvr wrote"):
        list(read_rows(path))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file/run: Not a directory"):
        RunLog(tmp_path / "file" / "run", steps=1)


def test_rows_that_are_missing_before_the_checkpoint_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps(tmp_path / "run", 0, 2)
    with RunLog(tmp_path / "run", steps=10, after=5, loggers=()):
        pass
    assert "metrics.jsonl: its last row before step 6 is of step 2" in capsys.readouterr().err


def test_seconds_by_stage_and_since_the_start_also_of_the_run_before(tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": 2, "loggers": (), "quiet": True}
    with RunLog(tmp_path / "run", clock=Clock(), **options) as log:
        for _ in range(2):
            with log.stage("rollout"):
                pass
        log.add_seconds("verify", 0.25)
        log.metrics(0, {"reward": 1})
        log.metrics(1, {})
    with RunLog(tmp_path / "run", after=1, clock=Clock(), **options) as log:
        with pytest.raises(ZeroDivisionError), log.stage("train"):
            raise ZeroDivisionError
        log.metrics(2, {})
    first, second, third = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert first == {"step": 0, "reward": 1, "seconds/rollout": 1.0, "seconds/verify": 0.25, "seconds": 2.5}
    assert second == {"step": 1, "seconds": 3.5}  # the stages are a step's own
    assert third == {"step": 2, "seconds/train": 0.5, "seconds": 5.0}


def test_a_metric_is_a_number(tmp_path: Path) -> None:
    with RunLog(tmp_path / "run", steps=1, loggers=(), quiet=True) as log, pytest.raises(TypeError, match="not list"):
        log.metrics(1, {"reward": [1.0]})


# ---- dashboards


class Told(list[Any]):
    """Stands for wandb, trackio and torch.utils.tensorboard, and keeps what it is told."""

    def module(self, name: str) -> types.ModuleType:
        made: Any = types.ModuleType(name)
        made.__spec__ = __import__("importlib.machinery").machinery.ModuleSpec(name, None)
        made.init = lambda **options: (self.append(("init", name, options)), self)[1]
        made.SummaryWriter = lambda folder, purge_step: (self.append(("init", name, folder, purge_step)), self)[1]
        return made

    def log(self, numbers: dict[str, float], step: int) -> None:
        self.append((step, numbers))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.append((step, {name: value}))

    def finish(self) -> None:
        self.append("closed")

    close = finish


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    for name in ("wandb", "trackio", "tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, told.module(name))
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    monkeypatch.delenv("TRACKIO_PROJECT", raising=False)
    return told


def logged(folder: Path, after: int | None, *loggers: str) -> None:
    options: dict[str, Any] = {"quiet": True, "clock": lambda: 0.0, "config": {"lr": 1}}
    with RunLog(folder, steps=2, after=after, loggers=loggers, **options) as log:
        log.metrics(1, {"reward": 0.5, "kl": float("nan"), "skipped": "the loss is nan"})


def test_wandb_gets_numbers_alone_and_the_same_run_again(told: Told, tmp_path: Path) -> None:
    logged(tmp_path / "run", None, "wandb")
    logged(tmp_path / "run", 0, "wandb")
    (_, name, options), numbers, closed, (_, _, again), *_ = told
    assert name == "wandb" and closed == "closed" and numbers == (1, {"reward": 0.5, "seconds": 0.0})
    assert options.pop("id") == again["id"] and again["resume"] == "allow"
    assert options == {
        "project": "rlvr", "name": "run", "config": {"lr": 1}, "resume": "allow", "dir": str(tmp_path / "run"),
    }  # fmt: skip


def test_trackio(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_PROJECT", "mine")
    logged(tmp_path / "run", None, "trackio")
    options = {"project": "mine", "name": "run", "config": {"lr": 1}, "resume": "allow"}
    assert told == [("init", "trackio", options), (1, {"reward": 0.5, "seconds": 0.0}), "closed"]


@pytest.mark.parametrize(("after", "purge_step"), [(None, None), (0, 1)])
def test_auto_is_tensorboard_alone(told: Told, tmp_path: Path, after: int | None, purge_step: int | None) -> None:
    logged(tmp_path / "run", after, "auto")
    begun = ("init", "torch.utils.tensorboard", str(tmp_path / "run" / "tensorboard"), purge_step)
    assert told == [begun, (1, {"reward": 0.5}), (1, {"seconds": 0.0}), "closed"]


def test_auto_does_without_tensorboard(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlvr.trainer.trackers.find_spec", lambda name: None)
    logged(tmp_path / "run", None, "auto")
    assert told == []
    with pytest.raises(UsageError, match="the logger wandb is not installed: pip install wandb"):
        logged(tmp_path / "other", None, "wandb")
    with pytest.raises(UsageError, match="'comet' is no logger; there are auto, tensorboard"):
        logged(tmp_path / "third", None, "comet")
    logged(tmp_path / "third", None)  # what was opened before the mistake was found is closed again


# ---- what is seen

ROW = {
    "reward": 0.61234, "eval/pass@1": 0.421, "eval/pass@1_stderr": 0.013, "eval/greedy": 0.55, "length": 88.4,
    "seconds/rollout": 0.9, "seconds/train": 0.95,
}  # fmt: skip


class Slow(Clock):
    """Two seconds pass whenever somebody looks."""

    def __call__(self) -> float:
        self.now += 2.0
        return self.now


def screen(*, terminal: bool, width: int = 80) -> tuple[Console, StringIO]:
    out = StringIO()
    return Console(file=out, force_terminal=terminal, width=width, soft_wrap=True, highlight=False), out


def test_in_a_log_a_line_every_few_seconds_and_at_every_evaluation() -> None:
    console, out = screen(terminal=False)
    progress = Progress("run", 9, console=console, clock=Slow())
    progress.step(0, {"eval/pass@1": 0.2}, 0)
    for step in range(1, 10):
        progress.step(step, {"reward": step / 10, **(ROW if step == 6 else {})}, step)
    progress.close()
    lines = out.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["0/9", "3/9", "6/9", "9/9"]
    assert lines[2] == (
        "step 6/9  reward 0.612  pass@1 42.1 % ± 1.3  greedy 55.0 %  length 88  1.9 s (rollout 0.9, train 0.9)  "
        "6 notes  6 s left"
    )
    assert "pass@1 42.1 %" in lines[3] and "left" not in lines[3]


def test_a_skipped_step_is_always_said() -> None:
    console, out = screen(terminal=False)
    progress = Progress("run", 9, console=console, clock=lambda: 0.0)
    progress.step(1, {}, 0)
    progress.step(2, {"skipped": 2}, 0)
    progress.step(3, {"reward": 0.5}, 0)
    assert out.getvalue().splitlines() == [
        "step 1/9",
        "step 2/9  updates skipped: 2  0 s left",
    ]


def test_on_a_terminal_three_lines_fit_into_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console, out = screen(terminal=True)
    progress = Progress("addition", 100, console=console, clock=Slow())
    for step in range(0, 13):
        progress.step(step, {**ROW, "seconds/verify": 0.1, "seconds/eval": 12.5} if step == 12 else {}, 160)
    progress.stage("rollout")
    with console.capture() as shown:
        console.print(progress)
    progress.close()
    plain = Console(width=80, file=StringIO(), force_terminal=False)
    plain.print(progress)
    lines = plain.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0].startswith("addition ━") and lines[0].endswith(" 12/100 2:56 min left rollout")
    assert lines[1:] == [
        "reward 0.612  pass@1 42.1 % ± 1.3  greedy 55.0 %  length 88",
        "14.4 s (rollout 0.9, verify 0.1, train 0.9, eval 12.5)  160 notes",
    ]
    assert "reward 0.612" in shown.get()
    assert "step 12  reward 0.612  pass@1 42.1 % ± 1.3  greedy 55.0 %  length 88\n" in out.getvalue()


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    steps(tmp_path / "run", 0, 2)
    assert capsys.readouterr() == ("", "")
