"""verify_math on labelled cases out of public test suites, at extract="any": what we reach, by track.

A floor is what we measured: a change may raise it and may not lower it. `contested` cases follow conventions that the
sources themselves disagree on; they are printed and not counted.
"""

import json
from collections import Counter

import pytest
from rlvr.verifiers import Completion, Problem, verify_math

# track: (right, of)
FLOORS = {"core": (155, 190), "extraction": (139, 154)}
# core completions in which nothing marks the formula, put into a box by hand: what the comparison alone reaches
COMPARED_FLOOR = 167
FALSE_ACCEPTS = {"core": 1, "extraction": 2}
MARKS = ("$", r"\boxed", r"\(", r"\[", "####")


def judge(case, text):
    return verify_math(Problem(str(case["id"]), answer=case["answer"]), Completion(text), extract="any")


def boxed(case):
    return judge(case, rf"\boxed{{{case['completion']}}}")


def as_it_comes(case):
    """A core completion may be the bare answer: where nothing was extracted from it, it is put in a box."""
    verdict = judge(case, case["completion"])
    return boxed(case) if case["track"] == "core" and verdict.status == "unextracted" else verdict


@pytest.fixture(scope="module")
def cases(data):
    with (data / "math_cases.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def results(cases):
    return [(case, as_it_comes(case)) for case in cases]


def test_what_we_reach(results):
    right, total = Counter(), Counter()
    for case, verdict in results:
        total[case["track"]] += 1
        right[case["track"]] += (verdict.status == "correct") is case["expected"]
    for track, count in total.items():
        print(f"{track}: {right[track]} of {count} ({right[track] / count:.1%})")
    for track, (floor, count) in FLOORS.items():
        assert total[track] == count
        assert right[track] >= floor, f"{track}: {right[track]} of {count} right, {floor} before"


def test_false_accepts(results):
    found = {track: [] for track in FALSE_ACCEPTS}
    for case, verdict in results:
        if verdict.status == "correct" and not case["expected"] and case["track"] in found:
            found[case["track"]].append((case["id"], case["answer"], verdict.extracted))
    print(found)
    assert {track: len(accepted) for track, accepted in found.items() if len(accepted) > FALSE_ACCEPTS[track]} == {}


def test_the_comparison_alone(cases):
    core = [case for case in cases if case["track"] == "core"]
    marked = [any(mark in case["completion"] for mark in MARKS) for case in core]
    verdicts = [judge(c, c["completion"]) if m else boxed(c) for c, m in zip(core, marked, strict=True)]
    right = sum((verdict.status == "correct") is case["expected"] for case, verdict in zip(core, verdicts, strict=True))
    print(f"core, bare answers in a box: {right} of {len(core)} ({right / len(core):.1%})")
    accepted = [c["id"] for c, v in zip(core, verdicts, strict=True) if v.status == "correct" and not c["expected"]]
    assert right >= COMPARED_FLOOR
    assert accepted == []


def test_every_case_is_judged(results):
    """A gold of these suites that we could not read, or a comparison that was stopped, would show here."""
    assert Counter(verdict.status for _, verdict in results).keys() <= {"correct", "wrong", "unextracted"}
