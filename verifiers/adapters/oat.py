"""oat: an actor's `self.oracle = as_oat(reward)`.

Read: oat-llm 0.2.4 (Python 3.8 to 3.10 only), `oracles/base.py`, and its callers `actors/reward.py` and
`experiment/run_math_rl.py`. Run: a contract test built from them.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from ..types import Verifier
from .judging import Judging, Pair, judging
from .rows import completion_of, problem_of


def as_oat(reward: Verifier | Judging) -> Any:
    """An oracle: oat's `RewardOracleBase` for training, and `PreferenceOracleBase`, which its evaluation asks.

    Beside the rewards stand score, acc, judged and each part for each response, and `formatted`, whether an answer
    was found, which oat logs. oat takes only numbers: what was not judged raises NotJudged unless
    `Judging(…, unjudged=)` says what to pay.
    """
    base = import_module("oat.oracles.base")
    oracle = type("RlvrOracle", (_Oracle, base.RewardOracleBase, base.PreferenceOracleBase), {})
    return oracle(judging(reward))


class _Oracle:
    """What `RlvrOracle` adds to oat's classes."""

    def __init__(self, judging: Judging) -> None:
        super().__init__()
        self.judging = judging

    def get_reward(
        self, inputs: Sequence[str], responses: Sequence[str], references: Sequence[Any], batch_size: int = 4
    ) -> tuple[Any, list[dict[str, float]]]:
        """A float tensor with one reward per response, and what is worth logging of each."""
        import torch

        pairs: list[Pair] = [
            (problem_of({}, i, gold=reference, prompt=prompt), completion_of(response))
            for i, (prompt, response, reference) in enumerate(zip(inputs, responses, references, strict=True))
        ]
        infos = [
            {**self.judging.numbers(problem, verdict), "formatted": float(verdict.extracted is not None)}
            for (problem, _), verdict in zip(pairs, self.judging.verdicts(pairs), strict=True)
        ]
        return torch.tensor([info["score"] for info in infos]), infos

    def compare(
        self,
        inputs: Sequence[str],
        candidates_A: Sequence[str],
        candidates_B: Sequence[Any],
        batch_size: int = 4,
        return_probs: bool = False,
        disable_tqdm: bool = False,
    ) -> tuple[Any, list[dict[str, float]]]:
        """The rewards of `candidates_A` as an array, where `candidates_B` are the references: oat's evaluation."""
        rewards, infos = self.get_reward(inputs, candidates_A, candidates_B)
        return rewards.numpy(), infos
