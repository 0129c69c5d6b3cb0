"""How a reward is run for a trainer, and what a trainer is told of its verdicts."""

import asyncio
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from rlvr.verifiers import (
    Completion,
    Problem,
    Verdict,
    all_of,
    any_of,
    by_source,
    gate,
    verify_format,
    verify_language,
    verify_math,
    weighted,
)
from rlvr.verifiers.adapters import Judging, NotJudged
from rlvr.verifiers.adapters.judging import judging, leaves, part_names
from rlvr.verifiers.rewards import r1_zero_math

SUM = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))
ENGLISH = partial(verify_language, language="en")
GATE = gate(verify_format, then=weighted(correct=(1.0, verify_math), language=(0.1, ENGLISH)))
PROBLEM = Problem("7", answer="4")


def said(problem: Problem, completion: Completion) -> Verdict:
    """Does what the completion says."""
    while completion.text == "hang":
        pass
    if completion.text == "raise":
        raise KeyError("in the reward")
    if completion.text == "die":
        os._exit(3)
    return Verdict(float(completion.text), "correct", "same_text")


@pytest.mark.parametrize(
    ("reward", "names"),
    [
        (verify_math, ()),
        (partial(verify_language, language="en"), ()),
        (SUM, ("correct", "format")),
        (r1_zero_math, ("correct", "format")),
        (partial(r1_zero_math), ("correct", "format")),
        (GATE, ("gate", "then/correct", "then/language")),
        (all_of(a=verify_math, b=SUM), ("a", "b/correct", "b/format")),
        (any_of(a=verify_math, b=verify_format), ("a", "b")),
        (by_source({"aime": verify_math, "gsm": SUM}), ("aime", "gsm/correct", "gsm/format")),
        (by_source({"aime": verify_math}, default=verify_format), ("aime", "default")),
        (said, ()),
    ],
)
def test_the_names_of_parts_are_known_without_judging(reward: object, names: tuple[str, ...]) -> None:
    assert part_names(reward) == names


TAGGED = "<think>easy</think><answer>{}</answer>"


@pytest.mark.parametrize("text", [TAGGED.format(4), "4", "", TAGGED.format(5)])
@pytest.mark.parametrize("reward", [SUM, r1_zero_math, GATE], ids=["sum", "recipe", "gate"])
def test_every_verdict_logs_the_same_names(reward: object, text: str) -> None:
    ran = Judging(reward)  # type: ignore[arg-type]
    verdict = ran.verdict(PROBLEM, Completion(text))
    numbers = ran.numbers(PROBLEM, verdict)
    assert list(numbers) == ["score", "acc", "judged", *ran.parts]
    assert numbers["score"] == verdict.score
    assert all(type(value) is float for value in numbers.values())
    for name, part in leaves(verdict):
        assert numbers[name] == part.score


def test_what_was_not_judged_stops_the_trainer_with_the_reason() -> None:
    unreadable = Problem("p 12", answer="")
    ran = Judging(SUM)
    verdict = ran.verdict(unreadable, Completion("4"))
    with pytest.raises(NotJudged, match=r"problem p 12 .*gold.*unjudged=0\.0"):
        ran.pay(unreadable, verdict)


def test_what_was_not_judged_is_paid_when_somebody_said_so() -> None:
    ran = Judging(SUM, unjudged=-0.5)
    verdict = ran.verdict(Problem("p", answer=""), Completion("<think>easy</think><answer>4</answer>"))
    numbers = ran.numbers(Problem("p", answer=""), verdict)
    assert numbers == {"score": -0.5, "acc": 0.0, "judged": 0.0, "correct": 0.0, "format": 1.0}


@pytest.mark.parametrize(("workers", "threads"), [(0, 1), (0, 3), (2, 1)])
def test_verdicts_come_in_order_however_they_are_judged(workers: int, threads: int) -> None:
    ran = Judging(said, workers=workers, threads=threads)
    pairs = [(PROBLEM, Completion(str(i / 8))) for i in range(20)]
    assert [verdict.score for verdict in ran.verdicts(pairs)] == [i / 8 for i in range(20)]
    assert [verdict.score for verdict in asyncio.run(ran.verdicts_async(pairs))] == [i / 8 for i in range(20)]
    assert ran.verdicts([]) == []
    ran.close()


def test_a_reward_that_hangs_raises_or_dies_costs_one_verdict() -> None:
    ran = Judging(said, workers=2, timeout_s=0.5)
    texts = ["1", "hang", "raise", "die", "0.5", "x"]
    verdicts = ran.verdicts([(PROBLEM, Completion(text)) for text in texts])
    assert [verdict.reason for verdict in verdicts] == [
        "same_text", "deadline", "verifier_raised", "verifier_crashed", "same_text", "malformed_problem"
    ]  # fmt: skip
    assert ran.verdict(PROBLEM, Completion("1")).score == 1.0
    ran.close()


def test_many_threads_share_the_workers() -> None:
    """As a trainer does that calls once per sample from its own executor."""
    ran = Judging(said, workers=2)
    with ThreadPoolExecutor(8) as executor:
        scores = list(executor.map(lambda i: ran.verdict(PROBLEM, Completion(str(i))).score, range(40)))
    assert scores == list(range(40))
    ran.close()
    assert ran.verdict(PROBLEM, Completion("1")).score == 1.0  # and it may be used again
    ran.close()


def test_a_copy_starts_workers_of_its_own() -> None:
    ran = Judging(SUM, workers=1, timeout_s=7, unjudged=0.0)
    assert ran.verdict(PROBLEM, Completion("The answer is 4")).score == 1.0
    copy = pickle.loads(pickle.dumps(ran))
    assert (copy.workers, copy.timeout_s, copy.unjudged, copy.parts) == (1, 7, 0.0, ran.parts)
    assert copy.verdict(PROBLEM, Completion("The answer is 4")).score == 1.0
    copy.close()
    ran.close()


def test_it_works_beside_the_main_thread() -> None:
    found: list[Verdict] = []
    thread = threading.Thread(target=lambda: found.append(Judging(SUM).verdict(PROBLEM, Completion("A: 4"))))
    thread.start()
    thread.join()
    assert found[0].score == 1.0


@pytest.mark.parametrize(
    "bad",
    [{"workers": -1}, {"threads": 0}, {"timeout_s": 0}, {"timeout_s": -1.0}, {"timeout_s": float("nan")},
     {"unjudged": float("nan")}, {"unjudged": float("inf")}],
)  # fmt: skip
def test_what_cannot_be_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="not"):
        Judging(SUM, **bad)  # type: ignore[arg-type]


async def asynchronous(problem: Problem, completion: Completion) -> Verdict:
    raise AssertionError


@pytest.mark.parametrize("reward", [None, "r1", 1.0, asynchronous])
def test_what_is_no_reward_is_refused_before_the_training(reward: object) -> None:
    with pytest.raises(TypeError, match="a reward is a"):
        Judging(reward)  # type: ignore[arg-type]


@pytest.mark.parametrize(("gold", "helps"), [("", True), ("4", False)])
def test_a_tool_for_golds_is_named_where_golds_are_the_cause(gold: str, helps: bool) -> None:
    def broken(problem: Problem, completion: Completion) -> Verdict:
        return Verdict(float("nan") if problem.answer else None, "error", "gold_unreadable")

    problem = Problem("1", answer=gold)
    verdict = Judging(broken).verdict(problem, Completion("4"))
    with pytest.raises(NotJudged) as error:
        Judging(broken).pay(problem, verdict)
    assert ("check-gold" in str(error.value)) == helps


def test_a_reward_may_stand_alone_or_with_its_way_to_run() -> None:
    ran = Judging(SUM, workers=3)
    assert judging(ran) is ran
    assert judging(SUM).workers == 0
