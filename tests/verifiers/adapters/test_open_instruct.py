"""open-instruct's contract, from its `open_instruct/ground_truth_utils.py` at commit c28e030: the base class
(`VerifierFunction`), how verifiers are found (`build_all_verifiers`) and called (`apply_verifiable_reward`); the later
version also hands over `rollout_state`, and makes configurations from several sources."""

import asyncio
import gc
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import pytest
from rlvr.verifiers import Completion, Problem, Verdict, gate, verify_format, verify_math, weighted
from rlvr.verifiers.adapters import Judging, NotJudged, as_open_instruct
from rlvr.verifiers.adapters.open_instruct import NAMED, PLUG

from .readme import plugs

REWARD = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))
RIGHT = "<think>2+2</think><answer>4</answer>"


@dataclass
class VerificationResult:
    score: float
    cost: float = 0.0
    reasoning: str | None = None


class VerifierConfig:
    @classmethod
    def from_args(cls, *sources: object) -> "VerifierConfig":
        return cls()


def fresh() -> Any:
    """The module, with a base class that knows no verifier yet but open-instruct's own for `math`."""

    class VerifierFunction(ABC):
        def __init__(self, name: str, weight: float = 1.0, verifier_config: Any = None) -> None:
            self.name, self.weight, self.verifier_config = name, weight, verifier_config

        @classmethod
        def get_config_class(cls) -> type:
            return VerifierConfig

        @abstractmethod
        def __call__(
            self, tokenized_prediction: list[int], prediction: str, label: Any, query: str | None = None
        ) -> VerificationResult: ...

        async def async_call(
            self, tokenized_prediction: list[int], prediction: str, label: Any, query: str | None = None
        ) -> VerificationResult:
            raise AssertionError("ours judges without the pool of threads")

    class MathVerifier(VerifierFunction):
        def __init__(self, verifier_config: Any = None) -> None:
            super().__init__("math", verifier_config=verifier_config)

        def __call__(
            self, tokenized_prediction: list[int], prediction: str, label: Any, query: str | None = None
        ) -> VerificationResult:
            return VerificationResult(-7.0)

    names = {"VerifierFunction": VerifierFunction, "VerificationResult": VerificationResult, "theirs": MathVerifier}
    module = type(sys)("open_instruct.ground_truth_utils")
    module.__dict__.update(names)
    return module


@pytest.fixture
def open_instruct(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = fresh()
    monkeypatch.setitem(sys.modules, "open_instruct", type(sys)("open_instruct"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def build_all_verifiers(module: Any) -> dict[str, Any]:
    """Direct subclasses, each made from its configuration, by their names in small letters; a later one wins."""
    verifiers: dict[str, Any] = {}
    for subclass in module.VerifierFunction.__subclasses__():
        instance = subclass(subclass.get_config_class().from_args(SimpleNamespace()))
        verifiers[instance.name.lower()] = instance
    return verifiers


def apply(
    verifiers: dict[str, Any], *samples: tuple[str, Any, str], **later: Any
) -> tuple[list[float], list[VerificationResult]]:
    """The rewards of (response, gold, data set): by keyword, gathered, ten times the weighted score."""

    async def all_of_them() -> list[VerificationResult]:
        calls: list[Any] = [
            verifiers[dataset.lower()].async_call(
                tokenized_prediction=[1, 2, 3], prediction=text, label=gold, query="<|user|>\nWhat is 2+2?", **later
            )
            for text, gold, dataset in samples
        ]
        return await asyncio.gather(*calls)

    results = asyncio.run(all_of_them())
    weights = [verifiers[dataset.lower()].weight for _, _, dataset in samples]
    return [10 * result.score * weight for result, weight in zip(results, weights, strict=True)], results


def test_the_line_of_the_readme_takes_the_place_of_math(open_instruct: Any) -> None:
    assert build_all_verifiers(open_instruct)["math"]([], "A: 4", "4").score == -7
    exec(plugs("open-instruct")[0], {"as_open_instruct": as_open_instruct, "reward": REWARD})
    gc.collect()  # `__subclasses__` alone would have lost it by now
    verifiers = build_all_verifiers(open_instruct)
    rewards, results = apply(verifiers, (RIGHT, "4", "math"), (r"\boxed{4}", "4", "MATH"), ("A: 5", "4", "math"))
    assert rewards == pytest.approx([11.0, 10.0, 0.0])
    assert results[1].reasoning == "correct 1.0 (same_text), format 0.0 (missing_tag)" and results[1].cost == 0
    assert verifiers["math"](tokenized_prediction=[1], prediction="A: 4", label="4").score == 1
    for state in (None, {"rewards": [0.5], "step_count": 1}):
        assert apply(verifiers, ("A: 4", "4", "math"), rollout_state=state)[0] == [10.0]
        assert verifiers["math"]([1], "A: 4", "4", "2+2?", state).score == 1


def test_it_has_a_name_and_a_weight_of_its_own(open_instruct: Any) -> None:
    as_open_instruct(REWARD, weight=0.5)
    verifiers = build_all_verifiers(open_instruct)
    assert set(verifiers) == {"math", "rlvr"}
    assert apply(verifiers, ("A: 4", "4", "rlvr"))[0] == [5.0]


def test_a_part_that_was_not_reached_is_not_told_of(open_instruct: Any) -> None:
    as_open_instruct(gate(verify_format, then=verify_math))
    (result,) = apply(build_all_verifiers(open_instruct), ("A: 4", "4", "rlvr"))[1]
    assert (result.score, result.reasoning) == (0.0, "gate 0.0 (missing_tag)")


def test_the_verifier_sees_what_open_instruct_hands_over(open_instruct: Any) -> None:
    seen: list[tuple[Problem, Completion]] = []

    def reward(problem: Problem, completion: Completion) -> Verdict:
        seen.append((problem, completion))
        return Verdict(0.5, "wrong", "different_text")

    as_open_instruct(reward)
    verifiers = build_all_verifiers(open_instruct)
    (result,) = apply(verifiers, ("four", ["4"], "rlvr"))[1]
    assert result == VerificationResult(0.5, reasoning="different_text")
    assert seen == [(Problem("0", "<|user|>\nWhat is 2+2?", "4"), Completion("four", n_tokens=3))]


@pytest.mark.parametrize("gold", ["", None, ["4", "5"], float("nan"), b"4"])
def test_a_gold_that_cannot_be_read_stops_the_trainer(open_instruct: Any, gold: Any) -> None:
    as_open_instruct(REWARD)
    verifiers = build_all_verifiers(open_instruct)
    with pytest.raises(NotJudged, match="could not be judged"):
        apply(verifiers, (RIGHT, gold, "rlvr"))
    with pytest.raises(NotJudged):
        verifiers["rlvr"]([], RIGHT, gold)


def test_what_was_not_judged_is_paid_what_was_said(open_instruct: Any) -> None:
    as_open_instruct(Judging(REWARD, unjudged=-1.0))
    assert apply(build_all_verifiers(open_instruct), (RIGHT, "", "rlvr"))[0] == [-10.0]


def test_a_reward_that_raises_is_not_a_reward_of_0(open_instruct: Any) -> None:
    def reward(problem: Problem, completion: Completion) -> Verdict:
        raise KeyError("a bug")

    as_open_instruct(reward)
    with pytest.raises(NotJudged, match="a bug"):
        apply(build_all_verifiers(open_instruct), (RIGHT, "4", "rlvr"))


def test_ray_can_send_it_to_another_process(open_instruct: Any) -> None:
    """open-instruct's verifiers go to its Ray actors, in cloudpickle's hands."""
    send: Callable[[object], bytes] = cloudpickle.dumps
    as_open_instruct(REWARD)
    ours = build_all_verifiers(open_instruct)["rlvr"]
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        sent = send(ours)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    there = "import pickle, sys; print(pickle.load(sys.stdin.buffer)([1], 'A: 4', '4').score)"
    done = subprocess.run([sys.executable, "-c", there], input=sent, capture_output=True, check=True)
    assert done.stdout == b"1.0\n"


def test_the_line_that_starts_the_trainer(tmp_path: Path) -> None:
    """`rlvr adapter` writes the file; the line imports it, then runs open-instruct's own program with its arguments."""
    package = tmp_path / "open_instruct"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "ground_truth_utils.py").write_text(
        "VerificationResult = dict\nclass VerifierFunction:\n    pass\n", encoding="utf-8"
    )
    (package / "grpo_fast.py").write_text(
        "import sys\nfrom open_instruct.ground_truth_utils import VerifierFunction\n"
        "assert __name__ == '__main__'\nprint(VerifierFunction.__subclasses__()[0].own_name, sys.argv[1:])\n",
        encoding="utf-8",
    )
    (tmp_path / "rlvr_reward.py").write_text(
        "from rlvr.verifiers import verify_math as reward\nfrom rlvr.verifiers.adapters import as_open_instruct\n"
        f"{NAMED} = as_open_instruct(reward)\n",
        encoding="utf-8",
    )
    line = plugs("open-instruct")[1]
    assert line == PLUG.format(module="rlvr_reward", file="rlvr_reward.py")
    done = subprocess.run(
        line.replace("python", sys.executable, 1).replace("…", "--seed 1"),
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "rlvr ['--seed', '1']\n"
