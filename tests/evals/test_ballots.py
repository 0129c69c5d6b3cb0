"""How each problem's samples voted."""

import random

from rlvr.evals.ballots import ballots
from rlvr.evals.consensus import majority_vote
from rlvr.evals.tally import Tally
from rlvr.verifiers import Verdict, equivalent


def tally_of(problems: dict[str, list[tuple[str | None, bool]]]) -> Tally:
    tally = Tally()
    for name, samples in problems.items():
        for answer, right in samples:
            verdict = Verdict(float(right), "correct" if right else "wrong" if answer else "unextracted", "r", answer)
            tally.add(name, verdict, 10)
    return tally


def test_equal_answers_vote_together_and_the_clearest_right_vote_is_first() -> None:
    tally = tally_of(
        {
            "lost": [("3", False), ("3", False), ("4", True), (None, False)],
            "won": [("1/2", True), ("0.5", True), ("\\frac12", True), ("2", False)],
            "tied": [("7", True), ("8", False)],
        }
    )
    won, tied, lost = ballots(tally, equivalent)
    assert [row["id"] for row in (won, tied, lost)] == ["won", "tied", "lost"]
    assert [(n, right) for _, n, right in won["answers"]] == [(3, 1.0), (1, 0.0)]
    assert (won["score"], won["tie"], won["silent"]) == (1.0, False, 0)
    assert (tied["score"], tied["tie"]) == (0.5, True)
    assert (lost["score"], lost["silent"]) == (0.0, 1)
    assert lost["answers"][0] == ("3", 2, 0.0)


def test_every_sample_is_counted_once() -> None:
    draw = random.Random(3)
    problems = {
        str(i): [(draw.choice([None, *map(str, range(9))]), draw.random() < 0.3) for _ in range(12)] for i in range(40)
    }
    found = ballots(tally_of(problems), equivalent)
    assert len(found) == 40
    for row in found:
        assert sum(n for _, n, _ in row["answers"]) + row["others"] + row["silent"] == 12
        samples = problems[row["id"]]
        numbers = [None if answer is None else int(answer) for answer, _ in samples]
        assert row["score"] == majority_vote(numbers, [right for _, right in samples]).score
    assert [row["score"] for row in found] == sorted((row["score"] for row in found), reverse=True)


def test_where_there_is_no_vote() -> None:
    assert ballots(tally_of({"a": [("1", True)], "b": [("1", True)]}), equivalent) == []
    assert ballots(tally_of({str(i): [("1", True)] * 2 for i in range(301)}), equivalent) == []
    assert ballots(Tally(), equivalent) == []
