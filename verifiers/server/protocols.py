"""OpenRLHF's and slime's remote rewards: their requests as pairs to judge, verdicts as the answers that they take.

Read: OpenRLHF, `openrlhf/utils/agent.py` (SingleTurnAgentExecutor) at commit 04655bc, its trainer's use of the answer
in `samples_generator.py` at 03912e4 and `experience.py` at 12bb036; slime, `slime/rollout/rm_hub/__init__.py`
(remote_rm) at commit 0b420f1, version 0.4.0. Neither protocol can say "not judged": such a request fails, or the item
is paid what the service was told to pay.
"""

from collections.abc import Iterable, Sequence

from ..adapters import rows
from ..adapters.judging import part_score
from ..adapters.rows import finished, problem_of
from ..rows import Row, verdict_row
from ..types import Completion, Problem, Verdict
from .models import BadRequest, OpenRlhfRequest, SlimeRequest


class NotPayable(Exception):
    """An item has no score, and the protocol no word for that. The message names the item and the reason."""


def openrlhf_pairs(request: OpenRlhfRequest) -> list[tuple[Problem, Completion]]:
    """What is judged is what follows the prompt. Raises BadRequest for lists of different lengths, and for a query that
    does not begin with its prompt: the prompt's own text must not be taken for the model's."""
    counts = len(request.query), len(request.prompts), len(request.labels)
    if len(set(counts)) != 1:
        raise BadRequest(
            "query, prompts and labels: are {}, {} and {} long; they must be of one length".format(*counts)
        )
    return [
        (_problem(label, prompt, index, f"labels[{index}]"), finished(response_of(query, prompt, f"query[{index}]")))
        for index, (query, prompt, label) in enumerate(zip(request.query, request.prompts, request.labels, strict=True))
    ]


def openrlhf_reply(verdicts: Sequence[Verdict], parts: Iterable[str], unjudged: float | None) -> Row:
    """Rewards, scores and logs. The names in `extra_logs` are always the same: OpenRLHF fails on a batch where they
    differ. Raises NotPayable."""
    return {
        "rewards": [pay(verdict, unjudged, f"query[{index}]") for index, verdict in enumerate(verdicts)],
        "scores": [_accuracy(verdict) for verdict in verdicts],
        "extra_logs": {
            "acc": [_accuracy(verdict) for verdict in verdicts],
            "judged": [float(verdict.score is not None) for verdict in verdicts],
            **{name: [part_score(verdict, name) for verdict in verdicts] for name in parts},
        },
    }


def slime_pair(request: SlimeRequest) -> tuple[Problem, Completion]:
    """One sample."""
    prompt = request.prompt
    if isinstance(prompt, list):
        return _problem(request.label, [each.model_dump() for each in prompt], 0, "label"), finished(request.response)
    return _problem(request.label, prompt, 0, "label"), finished(request.response)


def slime_reply(verdict: Verdict, unjudged: float | None, *, as_row: bool) -> float | Row:
    """The number that slime takes by itself, or the row of which `--reward-key score` takes the score."""
    score = pay(verdict, unjudged, "response")
    return {**verdict_row(verdict), "score": score} if as_row else score


def pay(verdict: Verdict, unjudged: float | None, item: str) -> float:
    """The score, else what is paid for what was not judged. Raises NotPayable where nothing is."""
    if verdict.score is not None:
        return verdict.score
    if unjudged is not None:
        return unjudged
    why = f"{verdict.reason}: {verdict.detail}" if verdict.detail else verdict.reason
    raise NotPayable(
        f"{item} could not be judged ({why}), and this protocol takes only numbers; "
        "`rlvr serve --unjudged NUMBER` pays a number for such items"
    )


def response_of(query: str, prompt: str, item: str) -> str:
    """What follows the prompt in a query. Raises BadRequest where it does not begin with it."""
    try:
        return rows.response_of(query, prompt, item)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _problem(label: object, prompt: object, index: int, name: str) -> Problem:
    try:
        return problem_of({}, index, gold=label, prompt=prompt)
    except ValueError as error:  # a whole number of thousands of digits
        raise BadRequest(f"{name}: {error}") from None


def _accuracy(verdict: Verdict) -> float:
    return float(verdict.status == "correct" and verdict.score is not None)
