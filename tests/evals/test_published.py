"""Published figures, and what is said beside a measured one."""

from math import sqrt
from typing import Any

import pytest
from rlvr.evals.published import PUBLISHED, beside, figures, warnings
from rlvr.evals.tasks import benchmarks

DISTILLED = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"


def test_the_table_is_whole() -> None:
    models = {figure.model for figure in PUBLISHED}
    assert len(models) == 8
    assert len(PUBLISHED) == 4 + 5 + 4 + 6 * 5
    assert all(0 < figure.value < 1 and figure.source for figure in PUBLISHED)
    assert {figure.task for figure in PUBLISHED} <= set(benchmarks())
    assert all(benchmarks()[figure.task].published_n for figure in PUBLISHED)


@pytest.mark.parametrize(
    "name",
    [
        DISTILLED,
        "DeepSeek-R1-Distill-Qwen-1.5B",
        "/models/deepseek-r1-distill-qwen-1.5b/",
        "./DeepSeek-R1-Distill-Qwen-1.5B",
    ],
)
def test_a_model_is_known_by_the_last_part_of_its_name(name: str) -> None:
    assert [(f.metric, f.value) for f in figures(name, "aime24")] == [("pass@1", 0.289), ("cons@64", 0.527)]
    assert [f.value for f in figures(name, "math500")] == [0.839]
    assert figures(name, "aime25") == []


def test_no_other_model_is_taken_for_it() -> None:
    assert figures("DeepSeek-R1-Distill-Qwen-1.5B-my-finetune", "aime24") == []
    assert [f.value for f in figures("deepseek-ai/DeepSeek-R1", "aime24")] == [0.798]
    assert [f.value for f in figures("deepseek-ai/DeepSeek-R1-Zero", "aime24")] == [0.71, 0.867, 0.779]
    assert len({f.source for f in figures("DeepSeek-R1-Zero", "aime24")}) == 2


def estimate(mean: float, stderr: float | None) -> dict[str, Any]:
    return {"mean": mean, "stderr": stderr, "ci95": None}


def summary(**changes: Any) -> dict[str, Any]:
    return {
        "score": estimate(0.309, 0.07), "cons@k": {"64": estimate(0.567, 0.09)}, "run_deviation": 0.04,
        "truncation": {"cut": 0, "known": 10, "rate": 0.0}, "run": {"missing": 0, "expected": 10}, **changes,
    }  # fmt: skip


def test_the_difference_in_standard_errors_of_the_sampling() -> None:
    first, second = beside(DISTILLED, "aime24", summary(), 16, 64)
    assert first["stderr"] == pytest.approx(0.04 * sqrt(1 / 16 + 1 / 64))
    assert first["difference"] == pytest.approx(0.02)
    assert first["in_stderrs"] == pytest.approx(0.02 / (0.04 * sqrt(5 / 64)))
    assert (second["measured"], second["stderr"]) == (0.567, 0.09)
    assert second["in_stderrs"] == pytest.approx(0.04 / 0.09)


def test_what_is_not_known_is_left_open() -> None:
    first, second = beside(DISTILLED, "aime24", summary(run_deviation=None, **{"cons@k": {"4": {}}}), 4, 64)
    assert (first["measured"], first["stderr"], first["in_stderrs"]) == (0.309, None, None)
    assert (second["measured"], second["difference"]) == (None, None)
    assert beside(DISTILLED, "aime24", summary(run_deviation=0.0), 4, 64)[0]["in_stderrs"] is None


def manifest(**changes: Any) -> dict[str, Any]:
    """The manifest of a run by the protocol; a change is `section__key`."""
    found: dict[str, dict[str, Any]] = {
        "task": {
            "name": "aime24", "limit": None, "problems": 30, "size": 30, "source": "hub:x", "n": 64, "published_n": 64,
        },
        "prompt": {"style": "r1", "chat": True, "system": None},
        "sampling": {"temperature": 0.6, "top_p": 0.95, "max_tokens": 32768},
    }  # fmt: skip
    for name, value in changes.items():
        section, _, key = name.partition("__")
        found[section][key] = value
    return found


def test_a_run_by_the_protocol_is_not_warned_about() -> None:
    assert warnings(manifest(), summary()) == []
    assert warnings(manifest(), summary(truncation={"cut": 5, "known": 100, "rate": 0.05})) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"sampling__temperature": 0.0},
            "greedy decoding: the protocol samples at temperature 0.6, and several samples",
        ),
        ({"sampling__temperature": 1.0}, "temperature 1 and top-p 0.95; the protocol has 0.6 and 0.95"),
        ({"sampling__top_p": 1.0}, "temperature 0.6 and top-p 1; the protocol has 0.6 and 0.95"),
        ({"prompt__system": "Be brief."}, "a system prompt: the protocol has none"),
        ({"prompt__style": "plain"}, "prompt plain: the protocol's is r1"),
        ({"prompt__style": "r1-zero", "prompt__chat": False}, "prompt r1-zero, without the model's chat template:"),
        ({"sampling__max_tokens": 4096}, "at most 4,096 new tokens; the protocol allows 32,768"),
        ({"task__n": 4}, "4 samples per problem; the published figures have 64"),
        ({"task__limit": 5}, "only the first 5 of 30 problems were asked"),
        ({"task__problems": 29}, "hub:x has 29 problems; aime24 has 30"),
    ],
)
def test_what_makes_a_number_differ_is_said(change: dict[str, Any], said: str) -> None:
    (line,) = warnings(manifest(**change), summary())
    assert line.startswith(said)


def test_truncation_and_missing_samples_are_said() -> None:
    cut = summary(truncation={"cut": 6, "known": 100, "rate": 0.06}, run={"missing": 3, "expected": 1920})
    missing, truncated = warnings(manifest(), cut)
    assert missing.startswith("3 of 1,920 samples are missing and count nowhere")
    assert truncated == "6.0% of the completions were cut at the length limit"
