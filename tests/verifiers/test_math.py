"""verify_math and equivalent: each rung of the ladder, golds, statuses, deadlines, hedges, code that must not run."""

import ast
import json
import os
import subprocess
import sys
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rlvr.verifiers import REASONS, Completion, Problem, Verdict, equivalent, score_many, verify_math
from rlvr.verifiers.math import symbolic

ROOT = Path(__file__).resolve().parents[2]


def judge(gold: str | None, text: str, *, finished: bool | None = None, **options) -> Verdict:
    verdict = verify_math(Problem("1", answer=gold), Completion(text, finished=finished), **options)
    assert verdict.reason in REASONS
    assert verdict.parts == {}
    return verdict


def judge_box(gold: str, answer: str) -> Verdict:
    return judge(gold, rf"so $\boxed{{{answer}}}$")


# Tables, one for each rung: gold | answer

SAME_TEXT = [
    # commands, delimiters, spaces
    (r"\frac{1}{2}", r"\frac{1}{2}"),
    (r"\frac{1}{2}", r"\dfrac{1}{2}"),
    (r"\frac{1}{2}", r"\tfrac12"),
    (r"\frac{1}{2}", r"\frac 1 2"),
    (r"\sqrt2", r"\sqrt{2}"),
    (r"x^2", r"x^{2}"),
    (r"(1,2)", r"\left(1, 2\right)"),
    (r"(1,2)", r"\big( 1,\,2 \big)"),
    (r"2\pi", r"2 \pi"),
    (r"x\le 3", r"x \leqslant 3"),
    (r"\{1,2\}", r"\lbrace 1, 2\rbrace"),
    (r"\emptyset", r"\varnothing"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
    ("5", "$5$"),
    ("5", "5."),
    ("5", "{5}"),
    (r"50\%", "50%"),
    # characters
    (r"\sqrt{2}", "√2"),
    ("x^2", "x²"),
    (r"\frac{1}{2}", "½"),
    (r"2\pi", "2π"),
    ("-5", "−5"),
    ("-5", "–5"),
    (r"90^\circ", "90°"),
    (r"90^\circ", r"90^{\circ}"),
    (r"90^\circ", r"90\degree"),
    (r"5\text{ cm}", r"5\mathrm{~cm}"),
    # words, whatever their wrapping and case
    (r"\text{Evelyn}", "Evelyn"),
    (r"\text{Evelyn}", r"\textbf{ evelyn }"),
    (r"\text{even}", "Even."),
    ("yes", "Yes."),
    (r"\text{4:30 p.m.}", r"4:30 \text{ p.m.}"),
    # choices
    ("C", "(C)"),
    ("C", r"\textbf{(C)}"),
    ("C", r"\text{(C)} 12"),
    ("C", "C."),
    ("(C)", "C"),
    ("(C) Alina", "(C)"),
    # a name in front, on one side or the same on both
    ("x=5", "x = 5"),
    # what follows \approx is not part of the exact answer
    (r"\frac13", r"\frac13 \approx 0.33"),
    (r"\frac13", "\\frac13≈0.333"),
    (r"\pi", r"\pi \approx 3.14"),
    # a chain of equal values
]

SAME_FORM = [
    # a name leads; a chain of one closed value
    ("5", "x=5"),
    ("x=5", "5"),
    (r"\theta=30^\circ", r"30^\circ"),
    ("[1,2]", r"x\in[1,2]"),
    ("x^2", "f(x)=x^2"),
    ("y=2x+3", "2x+3"),
    ("16", "f(4) = 16"),
    ("11", r"x \approx 11"),
    ("16", "2^4 = 16"),
    ("16", "2^4 = 4^2 = 16"),
    ("16", "x = 2^4 = 16"),
]

SAME_NUMBER = [
    # thousands
    ("1234", "1,234"),
    ("1234", "1{,}234"),
    ("1234", r"1\,234"),
    ("1234", "1 234"),
    ("1,234", "1234"),
    ("10{,}000", "10000"),
    (r"10,\!080", "10080"),
    (r"11,\! 111,\! 111,\! 100", "11111111100"),
    ("1234567", "1,234,567"),
    # fractions
    ("0.5", r"\frac12"),
    (r"\frac12", ".5"),
    (r"\frac12", "0.50"),
    ("1/2", "2/4"),
    (r"\frac{2}{4}", r"\frac{1}{2}"),
    (r"-\frac12", r"\frac{-1}{2}"),
    (r"-\frac12", r"\frac{1}{-2}"),
    (r"\frac12", r"\frac{-1}{-2}"),
    (r"-\frac12", "-0.5"),
    ("0", r"\frac{0}{5}"),
    # mixed numbers
    ("7/3", r"2\frac{1}{3}"),
    ("7/3", r"2\tfrac13"),
    ("7/3", "2 1/3"),
    ("-7/3", r"-2\frac{1}{3}"),
    (r"3\frac{1}{2}", "3.5"),
    (r"\frac{639}{40}", r"15\frac{39}{40}"),
    # decimals: finite ones are exact
    ("3", "3.0"),
    ("3.0", "3"),
    ("0.1", "0.10"),
    ("1/8", "0.125000"),
    ("0", "-0"),
    ("0", "0.0"),
    ("7", "007"),
    ("7", "+7"),
    # … a fraction that rounds to a gold of four significant digits or more
    ("0.3333", "1/3"),
    ("0.6667", r"\frac{2}{3}"),
    ("-0.6667", r"-\frac{2}{3}"),
    ("33.33", r"\frac{100}{3}"),
    # … six significant digits of a fraction that never ends
    ("1/3", "0.333333"),
    ("2/3", "0.666667"),
    ("-2/3", "-0.666667"),
    ("7/3", "2.33333"),
    (r"\frac{1}{3000}", "0.000333333"),
    # scientific
    ("3000", r"3\times10^3"),
    ("3000", r"3\cdot 10^{3}"),
    ("3000", "3 × 10^3"),
    ("3000", "3e3"),
    ("0.003", r"3\times 10^{-3}"),
    ("0.003", "3E-3"),
    ("1000", "10^3"),
    ("3*10^5", "300000"),
    ("10^{20}", "100000000000000000000"),
    # percent on one side: the numerals, or the values
    ("50", r"50\%"),
    ("50", r"50.0\%"),
    (r"50\%", "50"),
    (r"50\%", "0.5"),
    (r"50\%", r"\frac12"),
    ("0.5", r"50\%"),
    (r"50\%", r"50\text{ percent}"),
    (r"50\%", "50 percent"),
    # a unit on one side
    (r"5\text{ cm}", "5"),
    ("5", r"5\text{ cm}"),
    ("5", r"5\,\mathrm{cm}"),
    ("5", r"5\text{ cm}^2"),
    ("5", r"5\text{ square units}"),
    ("5", "5 apples"),
    ("1320", "1320 km"),
    ("90", r"90^\circ"),
    (r"90^\circ", "90"),
    ("3", r"3^\text{rd}"),
    # money
    ("5", r"\$5.00"),
    (r"\$5", "5"),
    ("5", "€5"),
    ("18", r"\$18 per day"),
    # the same unit on both
    (r"5\text{ cm}", r"5.0\text{ cm}"),
    # digits of other scripts
    ("42", "４２"),
]

SAME_MATHEMATICS = [
    ("x^2+1", "1+x^2"),
    ("(x+1)^2", "x^2+2x+1"),
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"),
    (r"2\sqrt{2}", r"\sqrt{8}"),
    (r"\sin^2 x", r"1-\cos^2 x"),
    (r"\frac{11+9a}{20}", r"\frac{9a + 11}{20}"),
    ("1+2i", "2i+1"),
    ("6!", "720"),
    (r"\log_2 8", "3"),
    ("27648", r"2^2 \cdot 3^3 \cdot 4^4"),
    ("16", "16 = 2^4"),
    ("1,2", "2,1"),
    ("1,2", r"2 \text{ and } 1"),
    (r"\{1,2\}", r"\{2,1\}"),
    (r"3\pm2\sqrt2", r"3+2\sqrt2, 3-2\sqrt2"),
    ("x>2", r"(2,\infty)"),
    ("(-∞,3]", "x≤3"),
    ("x≤3", "(-∞,3]"),
    (r"\begin{pmatrix}1/3\\2\end{pmatrix}", r"\begin{pmatrix}\frac13\\2\end{pmatrix}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}"),
    ("42", r"\fbox{$\boxed{42}$}"),
]

DIFFERENT = [
    # numbers
    ("7", "8"),
    ("7", "-7"),
    ("-7", "7"),
    ("7", "70"),
    ("7", "7.1"),
    ("7", "0.7"),
    ("1234", "1,23"),
    ("1234567", "1,234567"),
    ("100", "1{,}00"),
    ("10^{20}", "100000000000000000001"),
    ("10^{20}", "10^{20}+1"),
    ("2^{-99}", "2^{-98}"),
    ("1/2004!", "1/2006!"),
    ("1e-7", "2e-7"),
    ("0", "1e-400"),
    ("1e400", "1e401"),
    (r"\frac{1}{2}", r"\frac{1}{3}"),
    (r"\frac{1}{2}", r"\frac{1}{-2}"),
    ("7/3", r"2\frac{2}{3}"),
    ("-7/3", r"2\frac{1}{3}"),
    ("1", r"\frac{1}{0}"),
    ("4:30", "4.30"),
    # the decimal rule
    ("0.1", "0.1000001"),
    ("1/8", "0.1250001"),
    ("1/3", "0.333"),
    ("1/3", "0.33333"),
    ("1/3", "0.333334"),
    ("2/3", "0.67"),
    ("2/3", "0.666666"),
    ("7/3", "2.333334"),
    ("0.333", "1/3"),
    ("0.6666", "2/3"),
    ("3.14", r"\pi"),
    # percent
    ("5", r"50\%"),
    ("50", r"0.5\%"),
    (r"50\%", r"0.5\%"),
    (r"50\%", "5"),
    # units
    ("5 cm", "5 m"),
    (r"5\text{ cm}", r"5\text{ m}"),
    (r"5\text{ cm}", r"5\text{ cm}^2"),
    (r"5\text{ cm}", r"6\text{ cm}"),
    # chains
    ("42", "43=42"),
    ("42", "42=43"),
    ("42", "42=43=42"),
    ("3", "1=2=3"),
    ("16", "2^4=15"),
    ("11", r"5+5 = 10 \approx 11"),
    ("0.33", r"\frac13 \approx 0.33"),
    # names
    ("x=5", "y=5"),
    ("x=5", "x=6"),
    # several values
    ("1,2", "1"),
    ("1,2", "1,2,3"),
    ("1,2", "1,3"),
    ("(1,2)", "(2,1)"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
    (r"(2,\infty)", r"[2,\infty)"),
    (r"(-\sqrt{3}, \sqrt{3})", r"[-\sqrt{3},\sqrt{3}]"),
    # expressions
    ("x^2+1", "x^2-1"),
    (r"\sqrt{51}", "10"),
    (r"8\pi", r"6\pi"),
    (r"\frac \pi4+2-\sqrt2", "2"),
    (r"\frac \pi4+2-\sqrt2", r"\frac \pi5+2-\sqrt2"),
    ("(a+5)(b+2)", "(+5)(b+2)"),
    ("5x - 7y + 11z + 4 = 0", "5x - 7y + 11z - 4 = 0"),
    # words and choices
    (r"\text{even}", r"\text{odd}"),
    (r"\text{even}", "odd"),
    ("yes", "no"),
    ("C", "D"),
    ("C", "(D)"),
    ("C", r"\textbf{(D)}"),
    ("42", r"\text{No such number exists}"),
    (r"3 \pm 2 \sqrt{2}", r"\text{No solutions}"),
    # what is hidden behind an odd character
    ("42", "42\0 and more"),
    ("42", "42\ud8003"),
    ("42", "42\u20283"),
]

# Several answers where one is asked; {} is right, and so is the rest for nobody.
HEDGES = [
    "{} or 43",
    "43 or {}",
    "{}, 43",
    "{};43",
    "{} and 43",
    r"{} \text{{ or }} 43",
    r"{} \text{{ and }} 43",
    r"{} \quad 43",
    r"{} \quad \text{{or}} \quad 43",
    r"\pm {} + 1",
    r"\{{{}, 43\}}",
    r"({}, 43)",
    r"{} \leq x \leq 43",
    r"{} < 43",
    r"x = {}, x = 43",
    r"x = {} \text{{ or }} x = 43",
    r"x \in \{{{}, 43\}}",
    r"{} \cup 43",
    r"{} \mid 43",
    r"{} \vee 43",
    r"{}\text{{, 43}}",
    r"{}\text{{; 43}}",
    r"{}\text{{ / 43}}",
    r"{}\text{{ 43}}",
    r"{}\text{{ (43)}}",
    r"{}\text{{ or 43}}",
    r"{}\mathrm{{ 43}}",
    r"{}\mbox{{, 43}}",
    r"\begin{{pmatrix}} {} \\ 43 \end{{pmatrix}}",
    r"\begin{{cases}} {} \\ 43 \end{{cases}}",
    "{} = 43",
    "43 = {}",
    r"{} \neq 43",
    r"{} \& 43",
    "{} | 43",
]

NOT_THAT_NUMBER = [
    # (gold, answer): the letters are mathematics or a multiple, not a unit
    ("1", r"1\text{0}"),
    ("3", r"3\mathrm{i}"),
    ("2", r"2\mathrm{e}"),
    ("2", r"2\mathrm{e}^2"),
    ("2", r"2\mathbf{x}"),
    ("5", "5 xy"),
    ("5 xy", "5"),
    ("5", "5 million"),
    ("5", r"5\text{ million}"),
    ("5", r"5\text{ thousand}"),
    ("5", r"5\text{ dozen}"),
    ("5", r"5\text{ squared}"),
    ("3", r"3\text{ tenths}"),
    ("42", "42!"),
    ("42", "42x"),
    ("42", "42i"),
    ("42", r"42\pi"),
    ("42", "not 42"),
]


@pytest.mark.parametrize(("gold", "answer"), SAME_TEXT)
def test_same_text(gold, answer):
    verdict = judge_box(gold, answer)
    assert (verdict.score, verdict.status, verdict.reason) == (1.0, "correct", "same_text")
    assert verdict.extracted == ("5" if answer == "{5}" else answer)


@pytest.mark.parametrize(("gold", "answer"), SAME_FORM)
def test_same_form(gold, answer):
    verdict = judge_box(gold, answer)
    assert (verdict.score, verdict.status, verdict.reason) == (1.0, "correct", "same_form")
    assert verdict.extracted == answer


@pytest.mark.parametrize(("gold", "answer"), SAME_NUMBER)
def test_same_number(gold, answer):
    verdict = judge_box(gold, answer)
    assert (verdict.score, verdict.status, verdict.reason) == (1.0, "correct", "same_number")


@pytest.mark.parametrize(("gold", "answer"), SAME_MATHEMATICS)
def test_same_mathematics(gold, answer):
    verdict = judge_box(gold, answer)
    assert (verdict.score, verdict.status) == (1.0, "correct")


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different(gold, answer):
    verdict = judge_box(gold, answer)
    assert (verdict.score, verdict.status, verdict.extracted) == (0.0, "wrong", answer)


@pytest.mark.parametrize(("gold", "answer"), NOT_THAT_NUMBER)
def test_what_is_no_unit(gold, answer):
    assert judge_box(gold, answer).score == 0.0


@pytest.mark.parametrize("gold", ["42", r"\frac{1}{2}", r"\sqrt{2}", "x+1"])
@pytest.mark.parametrize("hedge", HEDGES)
def test_hedging_is_wrong(gold, hedge):
    assert judge_box(gold, hedge.format(gold)).status == "wrong"


@pytest.mark.parametrize(
    "answer", ["(A) or B", "(A), B", "(A) or (B)", r"\text{(A) or }\text{B}", "A or B", "A, B", "AB"]
)
def test_hedging_between_choices_is_wrong(answer):
    assert judge_box("A", answer).status == "wrong"
    assert judge_box(r"\text{(A)}", answer).status == "wrong"


@pytest.mark.parametrize(
    "text", [r"\boxed{42} or \boxed{43}", r"\boxed{43}, \boxed{42}", r"$\boxed{42}$ and $\boxed{43}$"]
)
def test_hedging_over_several_boxes_is_wrong(text):
    assert judge("42", text).status == "wrong"
    assert judge("42,43", text).status == "correct"


def test_hedging_over_ten_thousand_boxes_is_wrong():
    assert judge("42", ", ".join(rf"\boxed{{{i}}}" for i in range(10_000))).status == "wrong"
    assert judge("9999", ", ".join(rf"\boxed{{{i}}}" for i in range(10_000))).status == "wrong"
    assert judge("9999", " no, ".join(rf"\boxed{{{i}}}" for i in range(10_000))).status == "correct"


@pytest.mark.parametrize("several", [", ", "; ", " or ", " and ", r" \text{ or } ", r"\text{ and }"])
def test_members_of_a_gold_of_several_values(several):
    for gold in ("1,2,3", r"1 \text{ and } 2 \text{ and } 3", r"\{1,2,3\}"):
        assert judge_box(gold, several.join("312")).score == 1.0
        assert judge_box(gold, several.join("313")).score == 0.0
        assert judge_box(gold, several.join("31")).score == 0.0


def test_a_long_integer_is_compared_digit_by_digit():
    digits = "123456789" * 556  # 5,004 of them: more than Python's int() reads
    assert judge_box(digits, digits).score == 1.0
    assert judge_box(digits, f"{digits[:9]}{digits[9:]}").reason == "same_text"
    grouped = ",".join(digits[i : i + 3] for i in range(0, len(digits), 3))
    assert judge_box(digits, grouped).reason == judge_box(grouped, digits).reason == "same_number"
    assert judge_box(digits, "00" + digits).score == 1.0
    for other in (
        digits[:-1] + "8",
        "2" + digits[1:],
        digits[:-1],
        digits + "9",
        "-" + digits,
        digits[:2000] + "0" + digits[2001:],
    ):
        assert judge_box(digits, other).reason == judge_box(other, digits).reason == "different_number"


# Golds


@pytest.mark.parametrize(
    "gold",
    [
        "72",
        "He sold 48/2 = <<48/2=24>>24 clips in May.\nAltogether 48+24 = <<48+24=72>>72.\n#### 72",
        "#### 72",
        r"The sum is $24+48=\boxed{72}$.",
        r"First \boxed{24}? No, \boxed{72}.",
        " 72\n",
        "$72$",
        "72.",
    ],
)
def test_what_a_gold_may_look_like(gold):
    assert judge(gold, r"\boxed{72}").status == "correct"
    assert judge(gold, "#### 72").status == "correct"
    assert judge(gold, r"\boxed{24}").status == "wrong"
    assert judge(gold, r"\boxed{48}").status == "wrong"


@pytest.mark.parametrize(
    "gold", ["", " ", "\n", "$$", "$ $", r"\boxed{}", r"so \boxed{ }", "#### ", "So it is.\n####", r"\,", r"\quad"]
)
@pytest.mark.parametrize("text", [r"\boxed{42}", r"\boxed{}", "no answer", ""])
def test_a_gold_that_cannot_be_read_is_not_judged(gold, text):
    verdict = judge(gold, text)
    assert (verdict.score, verdict.status, verdict.reason) == (None, "error", "gold_unreadable")


@pytest.mark.parametrize("text", [r"\boxed{42}", ""])
def test_a_problem_without_a_gold_is_malformed(text):
    with pytest.raises(ValueError, match="answer"):
        judge(None, text)


def test_unknown_level():
    with pytest.raises(ValueError, match="extract"):
        judge("42", r"\boxed{42}", extract="boxes")


# Statuses


@pytest.mark.parametrize("finished", [True, False, None])
def test_a_cut_completion_with_an_answer_is_judged_like_any_other(finished):
    assert judge("42", r"\boxed{42} and then", finished=finished).status == "correct"
    assert judge("42", r"\boxed{43} and then", finished=finished).status == "wrong"
    assert judge("42", r"<think>\boxed{42} and", finished=finished).status == "correct"


@pytest.mark.parametrize("text", ["", "Let me think", r"so it is \boxed{4", "<answer>42", "The answer is"])
def test_no_answer(text):
    verdict = judge("42", text, finished=False)
    assert (verdict.score, verdict.status, verdict.reason, verdict.extracted) == (0.0, "truncated", "cut_off", None)
    for finished in (True, None):
        verdict = judge("42", text, finished=finished)
        assert (verdict.score, verdict.status, verdict.reason) == (0.0, "unextracted", "no_answer")


@pytest.mark.parametrize(
    "text", [r"\boxed{}", r"\boxed{ }", "<answer></answer>", r"<answer>\boxed{}</answer>", r"\boxed{42} no: \boxed{}"]
)
def test_empty_answer(text):
    verdict = judge("42", text)
    assert (verdict.score, verdict.status, verdict.reason) == (0.0, "unextracted", "empty_answer")


@pytest.mark.parametrize("answer", [r"\,", r"\text{}", "{}", "$$", "."])
def test_a_box_with_nothing_readable_in_it_scores_0(answer):
    assert judge_box("42", answer).score == 0.0


def test_levels():
    assert judge("42", "It is 42.", extract="any").status == "correct"
    assert judge("42", "It is 42.").status == "unextracted"
    assert judge("42", "The answer is 42.").status == "correct"
    assert judge("42", "The answer is 42.", extract="box").status == "unextracted"


def test_an_answer_far_longer_than_the_gold():
    verdict = judge_box("42", "1" * 1_000_000)
    assert verdict.status == "wrong"
    assert len(verdict.extracted) < 1000  # a dump of verdicts stays small
    assert judge_box("42", "x + " * 1000 + "x").score == 0.0


# Faults and limits of the symbolic tail


def test_a_comparison_that_was_stopped_is_a_timeout_and_is_not_remembered(monkeypatch):
    gold, answer = r"\int_0^1 x^2 dx", r"\int_0^1 y^2 dy"
    for error, reason in ((symbolic.TailTimeout, "deadline"), (symbolic.TailMemory, "memory_limit")):
        with monkeypatch.context() as broken:
            broken.setattr(symbolic._tail, "ask", raising(error))
            verdict = judge_box(gold, answer)
            assert (verdict.score, verdict.status, verdict.reason) == (0.0, "timeout", reason)
            assert verdict.extracted == answer
            assert equivalent(gold, answer) is None
    assert judge_box(gold, answer).score == 1.0
    assert equivalent(gold, answer) is True


def test_a_tail_that_does_not_start_is_our_fault(monkeypatch):
    gold, answer = r"\int_0^1 x^3 dx", r"\int_0^1 y^3 dy"
    with monkeypatch.context() as broken:
        broken.setattr(symbolic._tail, "ask", raising(symbolic.TailUnavailable))
        verdict = judge_box(gold, answer)
        assert (verdict.score, verdict.status, verdict.reason) == (None, "error", "verifier_crashed")
    assert judge_box(gold, answer).score == 1.0


def raising(error: type[Exception]):
    def ask(*_):
        raise error("on purpose")

    return ask


TOWERS = [
    "9^{9^{9^{9}}}",
    "9^{9^{9}}",
    "(10!)!",
    "2^{10^{9}}+1",
    "(" * 400 + "1" + ")" * 400,
    "x^{" * 200 + "x" + "}" * 200,
]


def test_towers_score_0_within_their_deadline_and_the_next_verdict_is_right():
    pairs = []
    for i, tower in enumerate(TOWERS):
        pairs.append((Problem("tower", answer="7"), Completion(rf"\boxed{{{tower}}}")))
        pairs.append((Problem("right", answer=f"x^2+{i}"), Completion(rf"\boxed{{{i}+x^2}}")))
        pairs.append((Problem("wrong", answer=f"x^2+{i}"), Completion(rf"\boxed{{{i}-x^2}}")))

    def patient(problem, completion):
        return verify_math(problem, completion, timeout_s=1 if problem.id == "tower" else 60)

    found = list(score_many(patient, pairs, workers=1, timeout_s=100))
    for (problem, completion), verdict in zip(pairs, found, strict=True):
        if problem.id == "tower":
            assert verdict.score == 0.0, completion
            assert (verdict.status, verdict.reason) in {("timeout", "deadline"), ("wrong", verdict.reason)}
        else:
            assert (verdict.status, verdict.score) == (("correct", 1.0) if problem.id == "right" else ("wrong", 0.0))


LETTERS = "the function has infinitely many solutions "
HOSTILE = {
    "words": LETTERS * 5 + "7",
    "words in text": rf"\text{{{LETTERS * 5}7}}",
    "letters": "a" * 200 + "7",
    "letters and NUL": "a" * 90_000 + "\0",
    "dots": "abc." * 20_000 + "7",
    "names": "x=" * 40_000 + "1",
    "equals": "=" * 90_000,
    "digits": "1" * 99_000 + "x",
    "thousands": "1" + ",111" * 24_000 + "x",
    "texts open": r"\text{" * 16_000,
    "fractions": r"\frac" * 19_000,
    "fractions open": r"\frac{" * 16_000,
    "roots": r"\sqrt" * 19_000,
    "spaces": "1" + " " * 90_000 + "2",
    "dollars": "$" * 99_000,
    "backslashes": "\\" * 99_998,
    "braces": "{" * 40_000 + "1" + "}" * 40_000,
    "parentheses": "(" * 90_000,
    "choices": "(A)" * 33_000,
    "units": "5" + " cm" * 30_000,
    "units in text": "5" + r"\text{cm}" * 10_000,
    "powers": "^{" * 40_000 + "}" * 40_000,
    "lone surrogates": "\ud800" * 90_000,
    "NUL": "\0" * 90_000,
    "pi": "π" * 90_000,
    "approx": r"\approx " * 11_000,
    "1 MB": "x+" * 500_000,
}


@pytest.mark.slow
def test_no_answer_takes_more_than_linear_work():
    """The fast rungs run in the caller without a deadline. Milliseconds each, or for ever: the limit tells which."""
    golds = ("7", r"\frac{1}{2}", "x=7", r"\text{even}", "even", "x^2+1", "C", "1,2")
    names = [(name, gold) for name in HOSTILE for gold in golds]
    pairs = ((Problem(name, answer=gold), Completion(f"<answer>{HOSTILE[name]}</answer>")) for name, gold in names)
    verdicts = score_many(verify_math, pairs, workers=2, timeout_s=30)
    late = {
        (name, gold): v.status
        for (name, gold), v in zip(names, verdicts, strict=True)
        if v.score != 0 or v.reason == "deadline"
    }
    assert late == {}


# Code in a box is text

PAYLOADS = [
    "__import__('os').system('touch {}')",
    "open('{}', 'w')",
    "(lambda: open('{}', 'w'))()",
    "exec(\"open('{}', 'w')\")",
    "[open('{}', 'w') for x in (1, 2)]",
    "eval('open(\\'{}\\', \\'w\\')')",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_code_in_a_box_is_never_run(payload, tmp_path):
    canary = tmp_path / "c"
    code = payload.format(canary)
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
    assert canary.exists()  # what the payload does when it is run
    canary.unlink()
    for shape in (
        "{}",
        r"\text{{{}}}",
        r"\operatorname{{{}}}",
        "x + {}",
        "{} = 8",
        "7 = {}",
        "({}, 2)",
        r"\frac{{{}}}{{2}}",
        r"x \in {}",
    ):
        answer = shape.format(code)
        for gold in ("7", "x+1", r"\text{even}", "(1,2)", "x=7", "C"):
            for text in (rf"\boxed{{{answer}}}", f"<answer>{answer}</answer>", f"The answer is ${answer}$."):
                assert judge(gold, text).score == 0.0
        assert judge("7", f"so ${answer}$", extract="any").score == 0.0
        assert judge(answer, r"\boxed{7}").score in (0.0, None)
        assert equivalent(answer, "7") is False
        for pair in (("x+1", answer), (answer, "x+1")):
            assert symbolic.symbolically_equal(*pair, 5.0) is False  # the tail itself, whatever stands before it
    assert not canary.exists()


WATCH = """
import os, sys
def watch(event, arguments, log=os.environ["EXECUTION_LOG"], token="zqtoken"):
    def told(code):
        names = (*code.co_names, *code.co_varnames, *map(str, code.co_consts))
        return any(token in name for name in names) or any(told(c) for c in code.co_consts if hasattr(c, "co_code"))
    if event == "compile" and token in str(arguments[0]) or event == "exec" and told(arguments[0]):
        os.write(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), event.encode() + b" ")
if "zqtoken" not in " ".join(sys.orig_argv):
    sys.addaudithook(watch)
"""
WATCHED = """
import json, sys
from rlvr.verifiers import Completion, Problem, equivalent, verify_math
for gold, answer in json.load(sys.stdin):
    verify_math(Problem("1", answer=gold), Completion(rf"\\boxed{{{answer}}}"), timeout_s=60)
    equivalent(gold, answer)
"""


def test_no_text_of_an_answer_is_compiled_or_executed_in_any_process(tmp_path):
    """An audit hook in this Python and in every Python it starts, from its very first line."""
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    log = tmp_path / "executed"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "EXECUTION_LOG": str(log)}

    def run(code: str, pairs: list[tuple[str, str]]) -> None:
        script = tmp_path / "script.py"
        script.write_text(code)
        subprocess.run(
            [sys.executable, script], input=json.dumps(pairs), text=True, env=environment, check=True, timeout=300
        )

    answers = [
        "zqtoken",
        "zqtoken(1)",
        "zqtoken+1",
        r"\text{zqtoken}",
        r"\zqtoken",
        "x_{zqtoken}",
        "'zqtoken'",
        "zqtoken=7",
    ]
    answers += ["zqtoken!", r"\operatorname{zqtoken}(2)", "zqtoken.x", "[zqtoken]", "sin(zqtoken)", r"\int zqtoken dx"]
    run(WATCHED, [(gold, answer) for gold in ("7", "x+1", r"\sin x", "(1,2)") for answer in answers])
    assert not log.exists()
    # and the hook does see what is executed
    run("token = ''.join(['zq', 'token'])\neval(repr(token))", [])
    assert log.exists()
    log.unlink()
    run("import sympy\nsympy.sympify(''.join(['zq', 'token + 1']))", [])
    assert log.exists()


RUNS_TEXT = {"eval", "exec", "compile", "__import__", "sympify", "parse_expr", "S"}
# What of math-verify reads plain expressions: through parse_expr.
READS_EXPRESSIONS = {"parse", "parse_expr_cached", "ExprExtractionConfig", "extract_expr"}


def test_nothing_of_ours_hands_text_to_an_evaluator():
    files = sorted((ROOT / "verifiers").rglob("*.py"))
    assert len(files) > 10
    found = [f"{path.name}: {name}" for path in files for name in evaluators(path.read_text(encoding="utf-8"))]
    assert found == []


def test_the_search_for_evaluators_finds_them():
    for code in (
        "eval('1')",
        "sympy.sympify(text)",
        "from sympy.parsing.sympy_parser import parse_expr",
        "from sympy import S",
        "parser.parse_expr(text)",
        "from math_verify import parse, verify",
        "run = builtins.exec",
    ):
        assert list(evaluators(code)), code
    assert not list(evaluators("import re; re.compile('x'); 'eval(1)'"))


def evaluators(code: str):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and node.id in RUNS_TEXT:
            yield node.id
        elif isinstance(node, ast.Attribute) and node.attr in RUNS_TEXT - {"compile", "S"}:
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {
            "sympy",
            "math_verify",
            "builtins",
        }:
            yield from {alias.name for alias in node.names} & (RUNS_TEXT | READS_EXPRESSIONS)


# Properties

NUMBERS = st.builds(Fraction, st.integers(-(10**7), 10**7), st.integers(1, 5000))


def spellings(q: Fraction) -> list[str]:
    """Exact ways to write a rational number."""
    sign, n, d = "-" if q < 0 else "", abs(q.numerator), q.denominator
    forms = [rf"\frac{{{q.numerator}}}{{{d}}}", rf"{sign}\dfrac{{{3 * n}}}{{{3 * d}}}", f"{q.numerator}/{d}"]
    if d == 1:
        forms += [f"{sign}{n}", f"{sign}{n:,}", f"{sign}{n:,}".replace(",", "{,}"), f"{sign}{n:,}".replace(",", r"\,")]
        forms += [f"{sign}{n}.0", f"x = {sign}{n}", rf"{sign}{n}\text{{ cm}}", f"${sign}{n}$"]
        if n and n % 10 == 0:
            forms.append(rf"{sign}{n // 10}\times 10^{{1}}")
    elif n > d:
        forms += [rf"{sign}{n // d}\frac{{{n % d}}}{{{d}}}", f"{sign}{n // d} {n % d}/{d}"]
    if 10**12 % d == 0:
        forms += [decimal(q, 12), decimal(q, 12).rstrip("0") + "0", rf"{sign}{n * 10**12 // d}\cdot 10^{{-12}}"]
    return forms


def decimal(q: Fraction, places: int) -> str:
    with localcontext() as context:
        context.prec = 200
        exact = Decimal(q.numerator) / Decimal(q.denominator)
        return f"{exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"


@given(NUMBERS, st.data())
def test_every_spelling_of_a_number_is_that_number(q, data):
    one, other = (data.draw(st.sampled_from(spellings(q))) for _ in range(2))
    assert judge_box(one, other).score == 1.0
    assert equivalent(one, other) is True
    assert equivalent(other, one) is True


@given(NUMBERS, st.sampled_from([1, -1, Fraction(1, 2), 10, 1000]), st.data())
def test_a_shifted_number_is_another_number(q, shift, data):
    one, other = data.draw(st.sampled_from(spellings(q))), data.draw(st.sampled_from(spellings(q + shift)))
    assert judge_box(one, other).score == judge_box(other, one).score == 0.0
    assert equivalent(one, other) is False
    assert equivalent(other, one) is False


@given(NUMBERS, st.sampled_from([-1, 2, 10, Fraction(1, 10), 7]), st.data())
def test_a_scaled_number_is_another_number(q, factor, data):
    assume(q)
    one, other = data.draw(st.sampled_from(spellings(q))), data.draw(st.sampled_from(spellings(q * factor)))
    assert judge_box(one, other).score == judge_box(other, one).score == 0.0
    assert equivalent(one, other) is False


@given(NUMBERS, st.integers(0, 14))
def test_a_rounded_decimal_needs_six_significant_digits(q, places):
    assume(10**20 % q.denominator)  # its decimal never ends
    rounded = decimal(q, places)
    significant = len(rounded.replace(".", "").lstrip("-0"))
    expected = float(places > 0 and significant >= 6)
    assert judge_box(f"{q.numerator}/{q.denominator}", rounded).score == expected
    off = decimal(Fraction(rounded) + Fraction(1, 10**places), places)
    assert judge_box(f"{q.numerator}/{q.denominator}", off).score == 0.0


@given(NUMBERS, st.integers(1, 14))
def test_a_gold_that_is_a_rounded_decimal_needs_four_significant_digits(q, places):
    assume(10**20 % q.denominator)
    rounded = decimal(q, places)
    significant = len(rounded.replace(".", "").lstrip("-0"))
    assert judge_box(rounded, f"{q.numerator}/{q.denominator}").score == float(significant >= 4)


@given(st.integers(-(10**9), 10**9), st.integers(0, 4))
def test_percent(n, places):
    numeral = decimal(Fraction(n, 10**places), places)
    value = decimal(Fraction(n, 10 ** (places + 2)), places + 2)
    for gold, answer in (
        (rf"{numeral}\%", numeral),
        (rf"{numeral}\%", value),
        (numeral, rf"{numeral}\%"),
        (value, rf"{numeral}\%"),
    ):
        assert judge_box(gold, answer).score == 1.0
    if n:
        assert judge_box(numeral, value).score == 0.0
        assert judge_box(rf"{numeral}\%", decimal(Fraction(n, 10 ** (places + 1)), places + 1)).score == 0.0


ANSWERS = st.sampled_from([
    "5", "-5", "1/2", r"\frac{1}{2}", "0.5", r"50\%", r"5\text{ cm}", "x=5", "y=5", "C", "(C)", r"\text{even}", "1,2",
    "2,1", "(1,2)", r"\{1,2\}", "x^2+1", "1+x^2", r"\pi", r"\pi \approx 3.14", r"x \approx 11", "2^4=16",
    "16", "5 or 6", "0.333333", "1/3", "0.3333", r"\sqrt{2}", "", ".", "=", "= 5", r"\approx 5", r"\approx", "x", "x=",
    r"\boxed{", "}{", "\0", "\ud800",
])  # fmt: skip


@given(ANSWERS, ANSWERS)
def test_equivalent_is_symmetric(a, b):
    assert equivalent(a, b) is equivalent(b, a)


@given(
    ANSWERS
    | st.text(st.characters(exclude_categories=()), max_size=12)
    | st.text(r"0123456789.,/%=<>-+^_{}()[]\$xy ≈≤", max_size=12)
)
def test_equivalent_is_reflexive(a):
    assert equivalent(a, a) is True


@given(
    st.text(st.characters(exclude_categories=()), max_size=30),
    st.text(st.characters(exclude_categories=()), max_size=30),
)
def test_never_raises_and_says_only_what_a_verdict_may_say(gold, text):
    for completion in (text, rf"\boxed{{{text}}}", f"<answer>{text}</answer>", f"#### {text}"):
        verdict = judge(gold, completion, extract="any")
        assert verdict.score in (0.0, 1.0, None)
        assert (verdict.score is None) == (verdict.status == "error")
        assert (verdict.score == 1.0) == (verdict.status == "correct")
