"""`rlvr explain`: the steps that are shown are those of `verify_math`, and the exit code says the verdict."""

import io
import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rlvr.evals.cli import main
from rlvr.verifiers import REASONS, Completion, Problem, verify_math
from rlvr.verifiers.extract import LEVELS
from rlvr.verifiers.math.explain import MAX_LINES, RUNGS, explain, side
from rlvr.verifiers.math.parse import Unreadable, parse

MATH_REASONS = list(REASONS)[: list(REASONS).index("deadline")]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["1/2", "0.5"], 0),
        (["1/2", r"so it is \boxed{0.5}"], 0),
        (["1/2", "1/3"], 1),
        (["-1/2", "-0.5"], 0),
        (["-x", "-x", "--json"], 0),
        (["--extract", "any", "5", "there are 5 of them"], 0),
        (["--extract=any", "5", "there are 5 of them"], 0),
        (["5", r"\boxed{}"], 1),
        (["5", "word " * 100], 1),
        (["", "5"], 2),
    ],
)
def test_the_exit_code_says_the_verdict(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *arguments]) == code
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["5"], ["5", "6", "7"], ["5", "6", "--extract", "most"], ["5", "6", "--nothing"]]
)
def test_misuse_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["explain", *arguments])
    assert stop.value.code == 2
    assert "usage: rlvr" in capsys.readouterr().err


def test_a_completion_comes_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"<think>hm</think> \\boxed{72}"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    assert main(["explain", "72", "-", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["given"]["is_a"] == "completion"
    assert row["answer"]["text"] == "72"


def test_each_step_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", r"\dfrac{\sqrt{3}}{2}", r"The side is \boxed{\frac{x+1}2}."]) == 1
    shown = capsys.readouterr().out
    for piece in ("completion", r"\frac{\sqrt{3}}{2}", "sqrt(3)/2", "(x + 1)/2", "quotient", "wrong", "decided by"):
        assert piece in shown, piece


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "5", "5\x1b]0;title\x07\x00"]) == 1
    assert not {"\x1b", "\x07", "\x00"} & set(capsys.readouterr().out)


def test_every_reason_of_the_math_group_has_its_rung() -> None:
    ours = {reason for reasons in RUNGS.values() for reason in reasons}
    assert set(MATH_REASONS) <= ours
    assert ours <= set(REASONS)


@pytest.mark.parametrize(
    ("text", "kind", "infix"),
    [
        ("0.50", "decimal", "0.50"),
        (r"-\frac{1}{2}", "expression", "-1/2"),
        (r"(a+b)^2-3x", "expression", "(a + b)^2 - 3*x"),
        (r"x^{2y}", "expression", "x^(2*y)"),
        (r"\frac{a}{bc}", "expression", "a/(b*c)"),
        (r"2\sqrt[3]{5}", "expression", "2*root(5, 3)"),
        (r"(1,2)", "pair or interval", "(1, 2)"),
        (r"[1,\infty)", "interval", "[1, inf)"),
        (r"\{1,2,3\}", "set of 3", "{1, 2, 3}"),
        ("1,2,3", "list of 3", "1, 2, 3"),
        ("x=2y", "equation", "x = 2*y"),
        (r"1<x\leq 2", "inequality", "1 < x <= 2"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "2 by 2 matrix", "[1, 2; 3, 4]"),
        (r"5\text{ cm}", "quantity", "5 [cm]"),
        (r"\text{north}", "text", '"north"'),
        (r"50\%", "percentage", "50%"),
        ("3:4", "ratio", "3 : 4"),
    ],
)
def test_kind_and_infix(text: str, kind: str, infix: str) -> None:
    assert (side(text).kind, side(text).infix) == (kind, infix)


def test_what_cannot_be_read_says_why() -> None:
    unread = side(r"\oint x")
    assert (unread.kind, unread.infix, unread.outline) == ("unread", None, ())
    assert unread.unreadable


def test_an_outline_is_bounded() -> None:
    outline = side("+".join("x" * 500)).outline
    assert len(outline) == MAX_LINES + 1
    assert outline[-1].startswith("… and 4")


@pytest.mark.parametrize("level", LEVELS)
def test_it_is_the_verdict_of_verify_math(level: str) -> None:
    text = r"First \boxed{3}. The answer is 7. And 9."
    for gold in ("3", "7", "9"):
        assert explain(gold, text, extract=level).verdict == verify_math(  # type: ignore[arg-type]
            Problem("", answer=gold), Completion(text), extract=level  # type: ignore[arg-type]
        )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=r"0123456789xy+-*/^_=(){}[],.!%\ frac sqrt text pm : < > |", max_size=40))
def test_any_tree_can_be_shown(text: str) -> None:
    shown = side(text)
    try:
        parse(shown.normalised)
    except Unreadable:
        assert shown.unreadable
    else:
        assert shown.infix
        assert shown.outline
