"""Generated problems: split, solutions, and the verifier of countdown, hostile answers included."""

import random
import re
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.trainer.characters import Characters
from rlvr.trainer.puzzles import PUZZLES, add, search, verify_countdown
from rlvr.verifiers import Completion, Problem, verify_format, verify_math

COUNTDOWN = Problem(id="", prompt="3 4 2:5", answer="5", tests={"numbers": [3, 4, 2]})


def reward(name: str):
    return verify_countdown if name == "countdown" else verify_math


def countdown(answer: str, problem: Problem = COUNTDOWN, finished: bool | None = None):
    return verify_countdown(problem, Completion(f"<think>x</think><answer>{answer}</answer>", finished=finished))


# ---- all puzzles


@pytest.mark.parametrize("name", PUZZLES)
def test_held_out_problems_are_not_trained_on_in_any_order_of_their_numbers(name: str) -> None:
    puzzle = PUZZLES[name]

    def numbers(problem: Problem) -> list[str]:
        return sorted(re.findall(r"\d+", problem.prompt or ""))

    held_out = [numbers(problem) for problem in puzzle.held_out()]
    assert not {tuple(each) for each in held_out} & {tuple(numbers(problem)) for problem in puzzle.train()}
    assert 0.07 < len(held_out) / len(puzzle.problems()) < 0.13
    ids = [problem.id for problem in puzzle.problems()]
    assert len(set(ids)) == len(ids) == len(puzzle.train()) + len(puzzle.held_out())


@pytest.mark.parametrize("name", PUZZLES)
def test_problems_are_the_same_every_time_and_shuffled(name: str) -> None:
    puzzle = PUZZLES[name]
    assert puzzle.train() == puzzle.train()
    prompts = [problem.prompt or "" for problem in puzzle.held_out()]
    assert prompts != sorted(prompts)
    assert puzzle.cold_start(1) == puzzle.cold_start(1) != puzzle.cold_start(2)


@pytest.mark.parametrize("name", PUZZLES)
def test_every_text_is_well_formed_and_within_the_alphabet(name: str) -> None:
    puzzle = PUZZLES[name]
    tokenizer = Characters(puzzle.alphabet, puzzle.tags)
    for problem, row in zip(puzzle.train(), puzzle.cold_start(), strict=True):
        assert row["prompt"] == problem.prompt
        text = row["prompt"] + row["completion"]
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert verify_format(problem, Completion(row["completion"])).score == 1
    assert all(tokenizer.encode(problem.prompt or "") for problem in puzzle.held_out())


@pytest.mark.parametrize(("name", "lowest", "highest"), [("addition", 0.25, 0.42), ("countdown", 0.3, 0.5)])
def test_the_writer_of_the_cold_start_is_right_as_often_as_meant(name: str, lowest: float, highest: float) -> None:
    puzzle = PUZZLES[name]
    problems, rows = puzzle.train()[:1000], puzzle.cold_start()[:1000]
    right = sum(
        reward(name)(problem, Completion(row["completion"])).status == "correct"
        for problem, row in zip(problems, rows, strict=True)
    )
    assert lowest < right / 1000 < highest


# ---- addition


def test_additions_are_all_pairs_with_their_sums() -> None:
    found = {problem.prompt: problem.answer for problem in PUZZLES["addition"].problems()}
    assert found == {f"{a}+{b}=": str(a + b) for a, b in product(range(10, 100), repeat=2)}


@given(st.integers(10, 99), st.integers(10, 99), st.integers(0, 1000))
def test_a_careful_writer_adds_right(a: int, b: int, seed: int) -> None:
    problem = Problem(id="", prompt=f"{a}+{b}=", answer=str(a + b))
    completion = Completion(add(problem, random.Random(seed), slip=0, forget=0))
    assert verify_math(problem, completion).status == "correct"


@given(st.integers(10, 99), st.integers(10, 99), st.integers(0, 1000))
def test_a_slip_is_carried_on(a: int, b: int, seed: int) -> None:
    written = add(Problem(id="", prompt=f"{a}+{b}="), random.Random(seed), slip=1, forget=0)
    ones, carry, tens, answer = map(int, re.findall(r"=(\d+) (\d+)\+\d+\+\d+=(\d+)</think><answer>(\d+)<", written)[0])
    assert ones != a % 10 + b % 10 or ones == 0
    assert carry == ones // 10
    assert answer == 10 * tens + ones % 10


def test_a_forgotten_carry_is_zero_and_all_else_is_right() -> None:
    written = add(Problem(id="47+85", prompt="47+85="), random.Random(0), slip=0, forget=1)
    assert written == "<think>7+5=12 0+4+8=12</think><answer>122</answer>"


# ---- countdown


def test_every_countdown_can_be_reached_by_signs() -> None:
    for problem in PUZZLES["countdown"].held_out()[:300]:
        written = search(problem, random.Random(0), give_up=0)
        assert verify_countdown(problem, Completion(written)).status == "correct"
        attempts = re.findall(r"=(-?\d+)([<=>])(-?\d+)(?: wait |</think>)", written)
        assert attempts[-1] == (problem.answer, "=", problem.answer)
        for value, sign, target in attempts[:-1]:
            assert target == problem.answer
            assert sign == ("<" if int(value) < int(target) else ">")
            assert value != target


def test_a_target_out_of_reach_is_said() -> None:
    with pytest.raises(ValueError, match="no signs reach"):
        search(Problem(id="", prompt="1 1 1 1:9", answer="9"), random.Random(0), give_up=0)


def test_what_a_search_writes_is_right_arithmetic_and_no_attempt_comes_twice() -> None:
    for row in PUZZLES["countdown"].cold_start()[:300]:
        thought = row["completion"].partition("</think>")[0].removeprefix("<think>")
        attempts = thought.split(" wait ")
        assert len(set(attempts)) == len(attempts)
        for attempt in attempts:
            before = attempt[0]
            for term, value in re.findall(r"([+-]\d)=(-?\d+)", attempt):
                assert int(before) + int(term) == int(value)
                before = value


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("3+4-2", "same_number"),
        (" ( 4 - 2 ) + 3 ", "same_number"),
        ("4+3−2", "same_number"),
        ("3+4+2", "different_number"),
        ("3+2", "other_numbers"),
        ("3+4-2+2-2", "other_numbers"),
        ("34-2", "other_numbers"),
        ("5", "other_numbers"),
        ("3+4-2=5", "unreadable"),
        ("3+4--2", "unreadable"),
        ("-2+3+4", "unreadable"),
        ("3+4-", "unreadable"),
        ("(3+4-2", "unreadable"),
        ("3+4-2)", "unreadable"),
        ("3 4 2", "unreadable"),
        ("3**4", "unreadable"),
        ("3/(2-2)+4", "unreadable"),
        ("()", "unreadable"),
        ("__import__('os')", "unreadable"),
        ("³+4-2", "unreadable"),
        ("٣+4-2", "unreadable"),
        ("", "empty_answer"),
        ("(" * 30 + "3+4-2" + ")" * 30, "unreadable"),
        ("9" * 201, "too_long"),
    ],
)
def test_countdown_answers(answer: str, reason: str) -> None:
    verdict = countdown(answer)
    assert verdict.reason == reason
    assert verdict.score == (reason == "same_number")


def test_countdown_is_exact_in_fractions() -> None:
    problem = Problem(id="", answer="24", tests={"numbers": [3, 3, 8, 8]})
    assert countdown("8/(3-8/3)", problem).status == "correct"
    assert countdown("8÷(3−8÷3)", problem).status == "correct"
    assert countdown("8/3-8*3", problem).status == "wrong"
    half = Problem(id="", answer="1/2", tests={"numbers": [1, 2]})
    assert countdown("1/2", half).status == "correct"


def test_a_completion_without_an_answer() -> None:
    assert verify_countdown(COUNTDOWN, Completion("3+4-2")).status == "unextracted"
    assert verify_countdown(COUNTDOWN, Completion("3+4-2", finished=False)).status == "truncated"
    assert countdown("3+4-2", finished=False).status == "correct"


@pytest.mark.parametrize(
    "problem",
    [
        Problem(id="", answer="5"),
        Problem(id="", tests={"numbers": [1]}),
        Problem(id="", answer="five", tests={"numbers": [1]}),
        Problem(id="", answer="5", tests={"numbers": ["one"]}),
        Problem(id="", answer="5", tests=[1, 2]),
    ],
)
def test_a_malformed_countdown_is_said(problem: Problem) -> None:
    with pytest.raises(ValueError, match="a countdown has"):
        countdown("1", problem)


@given(st.text() | st.text(alphabet="0123456789+-*/() ", max_size=220))
def test_no_answer_raises(answer: str) -> None:
    verdict = countdown(answer)
    assert verdict.score in (0, 1)


def expressions() -> st.SearchStrategy[str]:
    return st.recursive(
        st.integers(0, 99).map(str),
        lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda parts: f"({''.join(parts)})"),
        max_leaves=8,
    )


@given(expressions())
def test_the_parser_agrees_with_python(text: str) -> None:
    exact = re.sub(r"\d+", lambda number: f"Fraction({number[0]})", text)
    try:
        value = eval(exact, {"Fraction": Fraction})
    except ZeroDivisionError:
        value = None
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    problem = Problem(id="", answer=str(0 if value is None else value), tests={"numbers": numbers})
    assert countdown(text, problem).reason == ("unreadable" if value is None else "same_number")
