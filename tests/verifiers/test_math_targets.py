"""The targets on labelled cases out of public suites, after the cases that DESIGN.md's rules overrule are flipped.

Every completion is fed as it is, at extract="any". `-s` prints the figures before and after.
"""

import json
from collections import Counter
from pathlib import Path

import pytest
from rlvr.verifiers import Completion, Problem, verify_math

FLIPPED = Path(__file__).parents[1] / "cases" / "flipped_math_cases.jsonl"
TARGETS = {"core": 0.97, "extraction": 0.95}


@pytest.fixture(scope="module")
def judged(data):
    with (data / "math_cases.jsonl").open(encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    return [
        (
            case,
            verify_math(Problem(str(case["id"]), answer=case["answer"]), Completion(case["completion"]), extract="any"),
        )
        for case in cases
    ]


@pytest.fixture(scope="module")
def flipped():
    return {row["id"]: row["reason"] for row in map(json.loads, FLIPPED.read_text(encoding="utf-8").splitlines())}


def test_every_flip_is_needed_and_has_a_reason(judged, flipped):
    needed = {case["id"] for case, verdict in judged if (verdict.status == "correct") is not case["expected"]}
    assert len(flipped) <= 25
    assert flipped.keys() <= needed
    assert all(flipped.values())


def test_targets(judged, flipped):
    before, after, total = Counter(), Counter(), Counter()
    accepted = []
    for case, verdict in judged:
        track, right = case["track"], (verdict.status == "correct") is case["expected"]
        total[track] += 1
        before[track] += right
        after[track] += right is not (case["id"] in flipped)
        if track == "core" and verdict.status == "correct" and case["expected"] is (case["id"] in flipped):
            accepted.append(case["id"])
    for track, target in TARGETS.items():
        print(f"{track}: {before[track] / total[track]:.1%} before, {after[track] / total[track]:.1%} after")
        assert after[track] >= target * total[track]
    assert len(accepted) <= 1, accepted
