"""What the fuzz target (`tests/fuzz_math.py`) found once stays mended, and its corpus passes. No fuzzing here."""

import contextlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from rlvr.verifiers.math import compare as ladder

TESTS = Path(__file__).parent
FOUND = [json.loads(line) for line in (TESTS / "cases" / "fuzz_found.jsonl").read_text(encoding="utf-8").splitlines()]
CORPUS = sorted((TESTS / "corpus").iterdir())


def _fuzz_math() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_math", TESTS / "fuzz_math.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz_math = _fuzz_math()


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    monkeypatch.setattr(ladder, "symbolically_equal", ladder.symbolically_equal)  # put back what `load` replaces
    return fuzz_math.load()


@pytest.mark.parametrize("case", FOUND, ids=[f"{case['gold']} | {case['completion']}" for case in FOUND])
def test_what_was_found_stays_mended(case: dict[str, str], target: Callable[[bytes], None]) -> None:
    with contextlib.suppress(fuzz_math.SlowInput):  # no test asserts a time
        target(f"{case['gold']}\n{case['completion']}".encode())


@pytest.mark.parametrize("path", CORPUS, ids=[path.stem for path in CORPUS])
def test_the_corpus_passes(path: Path, target: Callable[[bytes], None]) -> None:
    data = path.read_bytes()
    assert len(data) <= fuzz_math.MAX_BYTES
    with contextlib.suppress(fuzz_math.SlowInput):
        target(data)


def test_the_target_fails_on_an_exception(target: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(gold: str, answer: str, *, timeout_s: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("rlvr.verifiers.math.verify.compare", broken)
    with pytest.raises(ZeroDivisionError):
        target(b"x\n\\boxed{y}")


def test_found_failures_are_collected(tmp_path: Path) -> None:
    def target(data: bytes) -> None:
        raise ValueError("no")

    collector = fuzz_math.Collector(target, tmp_path / "found.jsonl")
    for data in (b"1\nlong", b"1\n2", b"1\nlonger"):
        collector(data)
    (row,) = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text(encoding="utf-8").splitlines()]
    assert (row["gold"], row["completion"]) == ("1", "2")
