"""open-instruct: `as_open_instruct(reward, name="math")` before `grpo_fast` builds its verifiers.

Read: allenai/open-instruct, `open_instruct/ground_truth_utils.py` at commit c28e030, and a copy of a later version,
whose verifiers are handed the state of an environment (`rollout_state`) too. Run: a contract test from both.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from ..types import Problem, Verdict, Verifier
from .judging import Judging, Pair, judging, leaves
from .rows import completion_of, problem_of

NAMED = "RlvrVerifier"
PLUG = "python -c \"import {module}, runpy; runpy.run_module('open_instruct.grpo_fast', run_name='__main__')\" …"

_MADE: list[Any] = []  # open-instruct finds verifiers by `__subclasses__()`, which holds them weakly


def as_open_instruct(reward: Verifier | Judging, *, name: str = "rlvr", weight: float = 1.0) -> Any:
    """A subclass of `VerifierFunction`. Making it is enough: open-instruct finds it by its base class.

    name: what rows of the data set name in their `dataset` column; that of a verifier of open-instruct's own (`math`,
    `gsm8k`) takes its place. weight: open-instruct's own factor, beside its `--verification_reward` (10). The parts
    stand in the result's `reasoning`. open-instruct cannot leave a sample out: what was not judged raises NotJudged,
    which stops the trainer, unless `Judging(…, unjudged=)` says what to pay.
    """
    base = import_module("open_instruct.ground_truth_utils")
    own = {"judging": judging(reward), "own_name": name, "own_weight": weight, "result": base.VerificationResult}
    made = type("RlvrVerifier", (_Verifier, base.VerifierFunction), own)
    _MADE.append(made)
    return made


class _Verifier:
    """What `RlvrVerifier` adds to open-instruct's class."""

    judging: Judging
    own_name: str
    own_weight: float
    result: Any

    def __init__(self, verifier_config: Any = None) -> None:
        super().__init__(self.own_name, weight=self.own_weight, verifier_config=verifier_config)  # pyright: ignore[reportCallIssue]

    def __call__(
        self,
        tokenized_prediction: Sequence[int],
        prediction: str,
        label: Any,
        query: str | None = None,
        rollout_state: dict[str, Any] | None = None,
    ) -> Any:
        """open-instruct's `VerificationResult` for what the model wrote; `label` is the gold."""
        problem, completion = _pair(tokenized_prediction, prediction, label, query)
        return self._result(problem, self.judging.verdict(problem, completion))

    async def async_call(
        self,
        tokenized_prediction: Sequence[int],
        prediction: str,
        label: Any,
        query: str | None = None,
        rollout_state: dict[str, Any] | None = None,
    ) -> Any:
        """The same, while the event loop goes on; open-instruct calls this one."""
        problem, completion = _pair(tokenized_prediction, prediction, label, query)
        (verdict,) = await self.judging.verdicts_async([(problem, completion)])
        return self._result(problem, verdict)

    def _result(self, problem: Problem, verdict: Verdict) -> Any:
        parts = [f"{name} {part.score} ({part.reason})" for name, part in leaves(verdict)]
        return self.result(score=self.judging.pay(problem, verdict), reasoning=", ".join(parts) or verdict.reason)


def _pair(tokens: Sequence[int], prediction: str, label: object, query: str | None) -> Pair:
    return problem_of({}, gold=label, prompt=query), completion_of(prediction, n_tokens=len(tokens))
