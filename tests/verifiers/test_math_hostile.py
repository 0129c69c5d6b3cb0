"""Hostile answers (tests/cases/hostile_math.jsonl): none is accepted, none raises, the threads agree.

No clock is asserted here; `benchmarks/hostile_math.py` measures. The tail is replaced by one that always says "equal",
so that a hostile input which reaches it is seen: only the inputs that name mathematics of their own kind may.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.verifiers import REASONS, Completion, Problem, verify_math
from rlvr.verifiers.math import compare
from rlvr.verifiers.math.normalize import canonical
from rlvr.verifiers.math.parse import parse
from rlvr.verifiers.math.tokens import Unreadable

CASES = Path(__file__).parents[1] / "cases" / "hostile_math.jsonl"
# why: past the bounds on both sides, undefined on both sides, or a command that the tail may know
MAY_REACH_THE_TAIL = 12


def expand(side):
    """A text, or parts `[text, times]` with `#` standing for 2, 3, 4 …"""
    if isinstance(side, str):
        return side
    return "".join(part.replace("#", str(i + 2)) for part, times in side for i in range(times))


@pytest.fixture(scope="module")
def pairs():
    rows = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    return [(expand(row["gold"]), rf"\boxed{{{expand(row['answer'])}}}") for row in rows]


@pytest.fixture
def tail(monkeypatch):
    asked = []

    def different(gold, answer, timeout_s):
        asked.append((gold, answer))
        return False

    monkeypatch.setattr(compare, "symbolically_equal", different)
    return asked


def judge(pair):
    return verify_math(Problem("1", answer=pair[0]), Completion(pair[1]))


def test_there_are_enough(pairs):
    assert len(pairs) >= 150


def test_none_is_accepted_and_few_reach_the_tail(pairs, tail):
    for pair in pairs:
        verdict = judge(pair)
        assert verdict.reason in REASONS
        assert verdict.score == 0.0, pair
    assert len(tail) <= MAY_REACH_THE_TAIL, [answer[:80] for _, answer in tail]


def test_threads_agree(pairs, tail):
    alone = [judge(pair) for pair in pairs]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(judge, pairs)) == alone


def test_a_deep_stack_changes_no_verdict(pairs, tail):
    """A caller that is 300 frames deep gets the same verdicts."""
    some = [pair for pair in pairs if len(pair[1]) < 2000]
    alone = [judge(pair) for pair in some]

    def deeper(frames):
        return deeper(frames - 1) if frames else [judge(pair) for pair in some]

    assert sys.getrecursionlimit() >= 1000
    assert deeper(300) == alone


PIECES = st.sampled_from(
    [
        r"\frac",
        r"\sqrt",
        r"\text{",
        r"\begin{pmatrix}",
        r"\end{pmatrix}",
        r"{",
        r"}",
        r"(",
        r")",
        r"[",
        r"]",
        r"\{",
        r"\}",
        r"^",
        r"_",
        r"!",
        r"%",
        r",",
        r";",
        r":",
        r"=",
        r"<",
        r"\leq",
        r"\in",
        r"\cup",
        r"\pm",
        r"+",
        r"-",
        r"*",
        r"/",
        r"|",
        r"||",
        r"\sin",
        r"\log_",
        r"\lfloor",
        r"\rfloor",
        r"\langle",
        r"\rangle",
        r"\binom",
        r"x",
        r"y",
        r"\pi",
        r"e",
        r"i",
        r"\infty",
        r"1",
        r"2",
        r"12",
        r"0.5",
        r"1e3",
        r"\circ",
        r"&",
        r"\\",
        r"\overline",
        r"\left",
        r"\right",
        r"or",
        r"and",
        r"cm",
        r"\%",
        r"'",
        r".",
        r"\emptyset",
        r"\cdot",
        r"²",
        r"½",
        r"√",
        r"\vec",
        r"10^",
        r"\neq",
    ]
)


@given(st.lists(PIECES, max_size=25), st.lists(PIECES, max_size=25))
def test_parse_and_compare_raise_nothing(left, right):
    a, b = (canonical("".join(side)) for side in (left, right))
    for text in (a, b):
        try:
            parse(text)
        except Unreadable as error:
            assert error.reason == "" or error.reason in REASONS
    compare._by_kind(a, b)
    compare._by_number(a, b)
    assert compare.compare(a, a, timeout_s=1).equal


@given(st.text(max_size=60))
def test_any_text_is_a_tree_or_unreadable(text):
    with suppress(Unreadable):
        parse(canonical(text))
