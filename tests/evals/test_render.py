"""What the terminal shows: that no text of a model acts on it, and in which unit a mean stands."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals.render import Terminal, print_summary
from rlvr.evals.summary import summarise
from rlvr.evals.tally import Tally
from rlvr.verifiers import Verdict

Rlvr = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[..., Path]
EVIL = "\x1b[2J\x9b31m\u202e"
SIGNS = "\u241b[2J\ufffd31m\ufffd"


def scored(score: float, right: bool, answer: str, number: int = 0) -> dict[str, Any]:
    return {
        "id": f"p{number}", "sample": 0, "score": score, "status": "correct" if right else "wrong",
        "reason": "same_text" if right else "different_number", "extracted": answer, "parts": {}, "answer": "4",
        "completion": f"A: {answer}",
    }  # fmt: skip


def test_a_terminal_obeys_no_answer(rlvr: Rlvr, write_rows: Write) -> None:
    write_rows([scored(0.0, False, EVIL)], "a.jsonl")
    write_rows([scored(1.0, True, "4")], "b.jsonl")
    shown = rlvr("compare", "a.jsonl", "b.jsonl")
    assert shown.returncode == 0, shown.stderr
    assert SIGNS in shown.stdout
    assert not set(EVIL) & set("\x1b\x9b\u202e") & set(shown.stdout)


def test_a_terminal_obeys_no_remark(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(None) as terminal:
        terminal.say(f"skipped {EVIL}\ud800")
    assert capsys.readouterr().err == f"skipped {SIGNS}\ufffd\n"


def summary_with_mean(mean: float, ci95: list[float] | None) -> dict[str, Any]:
    tally = Tally()
    for i in range(6):
        tally.add(f"p{i // 2}", Verdict(float(i % 2), "correct" if i % 2 else "wrong", "same_text"), 10)
    score = {"mean": mean, "stderr": 0.25, "ci95": ci95}
    return {**summarise(tally, equivalent=None), "score": score, "verifier": "r", "seconds": 0.0, "bad_rows": 0}


@pytest.mark.parametrize(
    ("mean", "ci95", "shown"),
    [
        (2.0, [1.5, 2.5], "score 2 0.25 1.5 to 2.5"),
        (-0.1, None, "score -0.1 0.25 one problem has none"),
        (0.75, [0.25, 1.25], "score 0.75 0.25 0.25 to 1.25"),
        (0.75, [0.5, 1.0], "score 75.000 % 25.00 % 50.00 % to 100.00 %"),
    ],
)
def test_a_mean_that_is_no_share_is_a_plain_number(
    mean: float, ci95: list[float] | None, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summary(summary_with_mean(mean, ci95))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert shown in lines
    assert any(line.startswith("pass@1 50.000 %") for line in lines)


def test_a_comparison_of_means_that_are_no_shares(rlvr: Rlvr, write_rows: Write) -> None:
    write_rows([scored(0.5 * i, False, "5", i) for i in range(3)], "a.jsonl")
    write_rows([scored(1.0 + i, True, "4", i) for i in range(3)], "b.jsonl")
    shown = " ".join(rlvr("compare", "a.jsonl", "b.jsonl").stdout.split())
    assert "B b.jsonl 1 2 " in shown
    assert "B − A +1.5 " in shown
