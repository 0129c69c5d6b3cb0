"""oat's contract, from oat-llm 0.2.4: `oracles/base.py`, and its callers `actors/reward.py` and
`experiment/run_math_rl.py` (training, and `compare` in evaluation)."""

import sys
from abc import ABC, abstractmethod
from itertools import chain, repeat
from typing import Any

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, gate, verify_format, verify_math, weighted
from rlvr.verifiers.adapters import Judging, NotJudged, as_oat

from .readme import plugs

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")

REWARD = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))
RIGHT = "<think>2+2</think><answer>4</answer>"


class RewardOracleBase(ABC):
    @abstractmethod
    def get_reward(
        self, inputs: list[str], responses: list[str], references: list[str], batch_size: int = 4
    ) -> Any: ...


class PreferenceOracleBase(ABC):
    @abstractmethod
    def compare(
        self,
        inputs: list[str],
        candidates_A: list[str],
        candidates_B: list[str],
        batch_size: int = 4,
        return_probs: bool = False,
        disable_tqdm: bool = False,
    ) -> Any: ...


@pytest.fixture(autouse=True)
def _oat(monkeypatch: pytest.MonkeyPatch) -> None:
    base = type(sys)("oat.oracles.base")
    base.__dict__.update(RewardOracleBase=RewardOracleBase, PreferenceOracleBase=PreferenceOracleBase)
    for module in (type(sys)("oat"), type(sys)("oat.oracles"), base):
        monkeypatch.setitem(sys.modules, module.__name__, module)


class Actor:
    """What `ZeroMathActor` does with its oracle: n candidates a prompt, inputs and references repeated to match."""

    oracle: Any

    def step(
        self, prompts: list[str], candidates: list[list[str]], references: list[Any]
    ) -> tuple[Any, dict[str, Any]]:
        n = len(candidates[0])
        rewards, infos = self.oracle.get_reward(
            list(chain.from_iterable(repeat(prompt, n) for prompt in prompts)),
            list(chain.from_iterable(candidates)),
            list(chain.from_iterable(repeat(reference, n) for reference in references)),
        )
        logged = {
            "actor/rewards": rewards.mean().item(),
            "actor/num_data": rewards.numel(),
            "actor/formatted": np.mean([info["formatted"] for info in infos]),
        }
        return rewards.reshape(len(prompts), -1), logged


def actor(reward: Any) -> Actor:
    """An actor whose oracle is set as the README says."""
    made = Actor()
    exec(plugs("oat")[0], {"self": made, "as_oat": as_oat, "reward": reward})
    return made


def test_an_actor_is_paid_and_logs() -> None:
    rewards, logged = actor(REWARD).step(["2+2?", "3+3?"], [[RIGHT, r"\boxed{4}"], ["A: 5", "no idea"]], ["4", "6"])
    assert rewards.dtype == torch.float32 and rewards.shape == (2, 2)
    assert rewards.tolist() == [[pytest.approx(1.1), 1.0], [0.0, 0.0]]
    assert logged == pytest.approx({"actor/rewards": 2.1 / 4, "actor/num_data": 4, "actor/formatted": 3 / 4})


def test_evaluation_compares_with_the_references() -> None:
    oracle = actor(REWARD).oracle
    assert isinstance(oracle, RewardOracleBase) and isinstance(oracle, PreferenceOracleBase)
    rewards, infos = oracle.compare(
        ["2+2?", "3+3?"], ["A: 4", "A: 5"], ["4", "6"], batch_size=2, return_probs=True, disable_tqdm=True
    )
    assert isinstance(rewards, np.ndarray) and rewards.tolist() == [1.0, 0.0]
    assert [info["acc"] for info in infos] == [1, 0]


def test_every_sample_has_the_same_names() -> None:
    oracle = actor(gate(verify_format, then=weighted(correct=(1.0, verify_math)))).oracle
    _, infos = oracle.get_reward(["", ""], [RIGHT, "A: 4"], ["4", "4"])
    assert {frozenset(info) for info in infos} == {
        frozenset({"score", "acc", "judged", "gate", "then/correct", "formatted"})
    }


def test_the_verifier_sees_what_oat_hands_over() -> None:
    seen: list[tuple[Problem, Completion]] = []

    def reward(problem: Problem, completion: Completion) -> Verdict:
        seen.append((problem, completion))
        return Verdict(0.5, "wrong", "different_text")

    actor(reward).step(["2+2?"], [["four", "five"]], [np.str_("4")])
    assert seen == [
        (Problem("0", "2+2?", "4"), Completion("four")),
        (Problem("1", "2+2?", "4"), Completion("five")),
    ]


@pytest.mark.parametrize("gold", ["", None, ["4", "5"]])
def test_a_gold_that_cannot_be_read_stops_the_trainer(gold: Any) -> None:
    with pytest.raises(NotJudged, match="problem 0 could not be judged"):
        actor(REWARD).step(["2+2?"], [[RIGHT]], [gold])


def test_what_was_not_judged_is_paid_what_was_said() -> None:
    rewards, _ = actor(Judging(REWARD, unjudged=-1.0)).step(["2+2?"], [[RIGHT]], [""])
    assert rewards.tolist() == [[-1.0]]


def test_a_reward_that_raises_is_not_a_reward_of_0() -> None:
    def reward(problem: Problem, completion: Completion) -> Verdict:
        raise KeyError("a bug")

    with pytest.raises(NotJudged, match="a bug"):
        actor(reward).step(["2+2?"], [[RIGHT]], ["4"])


def test_lists_of_different_lengths_are_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError):
        actor(REWARD).oracle.get_reward(["2+2?"], [RIGHT, RIGHT], ["4"])


def test_a_batch_without_samples() -> None:
    rewards, infos = actor(REWARD).oracle.get_reward([], [], [])
    assert rewards.numel() == 0 and infos == []
