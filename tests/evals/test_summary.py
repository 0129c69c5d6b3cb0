"""What the summary says of small sets, and of runs in which every sample is right or wrong."""

from collections.abc import Iterable
from fractions import Fraction

import pytest
from rlvr.evals.bootstrap import bca, bca_columns
from rlvr.evals.metrics import estimate, pass_at_k, proportion, wilson
from rlvr.evals.render import print_summary
from rlvr.evals.summary import Summary, summarise
from rlvr.evals.tally import Tally
from rlvr.verifiers.types import Verdict


def summary_of(problems: Iterable[Iterable[float]]) -> Summary:
    tally = Tally()
    for i, scores in enumerate(problems):
        for score in scores:
            right = score == 1
            verdict = Verdict(score, "correct" if right else "wrong", "same_text", "4" if right else "5")
            tally.add(f"p{i}", verdict, 10)
    return summarise(tally, equivalent=lambda a, b: a == b)


@pytest.mark.parametrize("right", [0, 1])
@pytest.mark.parametrize("sizes", [[4] * 10, [4, 2, *[3] * 8]], ids=["even", "ragged"])
def test_all_wrong_or_all_right_has_an_interval_with_a_width(right: int, sizes: list[int]) -> None:
    summary = summary_of([right] * size for size in sizes)
    expected = wilson(10 * right, 10)
    assert expected.ci95 is not None
    for row in (summary["score"], *summary["pass@k"].values(), *summary["cons@k"].values()):
        assert (row["mean"], row["stderr"], row["ci95"]) == (right, 0.0, list(expected.ci95))
        assert row["ci95_bca"] == row["ci95"]


def test_one_problem_all_wrong_has_no_interval() -> None:
    summary = summary_of([[0, 0, 0]])
    assert summary["score"] == {"mean": 0.0, "stderr": None, "ci95": None}


def test_a_constant_that_is_no_share_is_left_alone() -> None:
    values = estimate([0.5] * 4)
    assert summary_of([[0.5, 0.5]] * 4)["score"]["ci95"] == list(values.ci95 or ())


RIGHT = [0, 0, 0, 1, 4, 4, 3, 2, 0, 4, 4, 1]
TABLE = [[1] * c + [0] * (4 - c) for c in RIGHT]


def test_a_small_set_has_bca_intervals_beside_those_of_t() -> None:
    summary = summary_of(TABLE)
    shares = [c / 4 for c in RIGHT]
    expected = bca(shares).ci95
    assert expected is not None
    assert summary["score"]["ci95_bca"] == pytest.approx(list(expected))
    assert summary["score"]["ci95"] == list(proportion(shares).ci95 or ())
    columns = [[pass_at_k(4, c, k) for c in RIGHT] for k in (1, 2, 4)]
    for k, found in zip(("1", "2", "4"), bca_columns(columns), strict=True):
        assert summary["pass@k"][k]["ci95_bca"] == pytest.approx(list(found.ci95 or ()))
    votes = bca([float(Fraction(max(0, c - 1), 4) >= Fraction(1, 2)) if c != 2 else 0.5 for c in RIGHT]).ci95
    assert summary["cons@k"]["4"]["ci95_bca"] == pytest.approx(list(votes or ()))
    assert all("ci95_bca" in row for row in summary["cons_curve"].values())


def test_bca_only_where_it_means_something() -> None:
    assert "ci95_bca" in summary_of([[0, 1]] * 99 + [[1, 1]])["score"]
    for problems in ([[0, 1]] * 100 + [[1, 1]], [[0, 1, 1]], [[0]] * 10 + [[1]] * 5):
        summary = summary_of(problems)
        assert not any("ci95_bca" in row for row in (summary["score"], *summary["pass@k"].values()))
    ragged = summary_of([[0, 1], [1, 1, 0], [0, 0]])
    assert "ci95_bca" not in ragged["score"]  # a mean over samples is not one over problems
    assert "ci95_bca" in ragged["pass@k"]["2"]


def test_the_column_is_printed_when_asked_for_and_fits(capsys: pytest.CaptureFixture[str]) -> None:
    summary: Summary = {**summary_of(TABLE), "verifier": "math", "seconds": 0.0, "bad_rows": 0}
    print_summary(summary)
    assert "BCa" not in capsys.readouterr().out
    print_summary(summary, bca=True)
    printed = capsys.readouterr().out
    low, high = (f"{100 * end:.2f} %" for end in summary["cons@k"]["4"]["ci95_bca"])
    [line] = [line for line in printed.splitlines() if line.startswith("cons@4")]
    assert f"{low} to {high}" in line
    assert line.endswith("ties (8.3%)")
    print_summary({**summary_of([[0]] * 3), "verifier": "math", "seconds": 0.0, "bad_rows": 0}, bca=True)
    assert "BCa" not in capsys.readouterr().out
