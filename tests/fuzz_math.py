"""A coverage-guided fuzz target for the fast path of `verify_math`: extract, canonical, parse, compare. No tail.

    pip install atheris          (not a dependency of the project)
    python tests/fuzz_math.py [--collect FOUND.jsonl] WORK_FOLDER tests/corpus -dict=tests/fuzz_math.dict \\
        -max_total_time=600
    python tests/fuzz_math.py --time INPUT…          (each input without instrumentation: processor milliseconds)

An input is UTF-8: the gold answer up to the first line end, then the completion, which is also judged as the content
of a box. The new inputs that libFuzzer keeps go to WORK_FOLDER. What fails: any exception (`parse` may raise
`Unreadable`), a score that is neither 0, 1 nor None, None for anything but an unreadable gold, and more than `BUDGET_S`
of processor time. With `--collect` the run goes on after a failure and the smallest input of each kind is kept.
"""

import contextlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

MAX_BYTES = 4096
BUDGET_S = 0.5
"""Processor seconds for all steps of one input, under instrumentation, which makes our code about 4 times slower."""

ROOT = Path(__file__).parents[1]


class SlowInput(Exception):
    """One input took more than the budget."""


class WrongShape(Exception):
    """A verdict that no completion may get."""


def load() -> Callable[[bytes], None]:
    """The target: runs every step on one input. Imports the product, so that the caller may instrument it."""
    from rlvr.verifiers import Completion, Problem, verify_math
    from rlvr.verifiers.extract import LEVELS, find_answer
    from rlvr.verifiers.math import compare as ladder
    from rlvr.verifiers.math.normalize import canonical
    from rlvr.verifiers.math.parse import Unreadable, parse

    def no_tail(gold: str, answer: str, timeout_s: float) -> bool:
        return False

    setattr(ladder, "symbolically_equal", no_tail)  # noqa: B010 - another function for this process

    def target(data: bytes) -> None:
        gold, _, text = data.decode("utf-8", "replace").partition("\n")
        start = time.process_time()
        for side in (gold, text):
            with contextlib.suppress(Unreadable):
                parse(canonical(side))
        for level in LEVELS:
            find_answer(text, level)
        for completion in (text, f"\\boxed{{{text}}}"):
            verdict = verify_math(Problem("", answer=gold), Completion(completion), extract="any")
            if verdict.score not in (0.0, 1.0) and verdict.reason != "gold_unreadable":
                raise WrongShape(repr(verdict))
        seconds = time.process_time() - start
        if seconds > BUDGET_S:
            raise SlowInput(f"{seconds:.2f} s")

    return target


class Collector:
    """Goes on after a failure; keeps the smallest input of each kind in a file of JSON lines."""

    def __init__(self, target: Callable[[bytes], None], path: Path) -> None:
        self._target = target
        self._path = path
        self._found: dict[str, tuple[bytes, str]] = {}

    def __call__(self, data: bytes) -> None:
        try:
            self._target(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            kind = f"{type(error).__name__} in {_place(error)}"
            before = self._found.get(kind)
            if before is None or len(data) < len(before[0]):
                self._found[kind] = data, f"{type(error).__name__}: {str(error)[:200]}"
                self._write()

    def _write(self) -> None:
        with self._path.open("w", encoding="utf-8") as file:
            for kind, (data, message) in self._found.items():
                gold, _, text = data.decode("utf-8", "replace").partition("\n")
                file.write(json.dumps({"gold": gold, "completion": text, "kind": kind, "message": message}) + "\n")


def _place(error: Exception) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "verifiers" in f.filename] or [None]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames[-1] else "the target"


def times(paths: list[str]) -> Iterator[tuple[str, float]]:
    """(path, processor seconds) of each input, without instrumentation."""
    target = load()
    target(b"1\n2")
    for path in paths:
        data = Path(path).read_bytes()
        start = time.process_time()
        with contextlib.suppress(SlowInput):
            target(data)
        yield path, time.process_time() - start


def main() -> None:
    if sys.argv[1:2] == ["--time"]:
        for path, seconds in times(sys.argv[2:]):
            print(f"{1000 * seconds:8.1f} ms  {path}")
        return
    import atheris  # pyright: ignore

    collect = Path(sys.argv[2]) if sys.argv[1:2] == ["--collect"] else None
    given = sys.argv[3 if collect else 1 :]
    work = next(word for word in given if not word.startswith("-"))
    arguments = [sys.argv[0], *given, f"-max_len={MAX_BYTES}", f"-artifact_prefix={work}/"]
    with atheris.instrument_imports(include=["rlvr"]):
        target = load()
    atheris.Setup(arguments, Collector(target, collect) if collect else target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
