"""Questions put to the policy: completions sampled, and handed to the judge, who works while the next are sampled."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from ..verifiers.types import Completion, Verdict
from .batching import Sample
from .data import Question
from .judging import Judge
from .policy import Tokenizer
from .rollout import Rollout, Sampler, Sampling


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Completions whose verdicts may not be there yet."""

    questions: Sequence[Question]
    size: int
    rollout: Rollout
    texts: list[str]
    verdicts: Future[list[Verdict]]

    def groups(self) -> list[list[Sample]]:
        """The judged completions of each question. Waits for the judge."""
        rollout = self.rollout
        samples = [
            Sample(self.questions[row // self.size], row % self.size, ids, logps, finished, text, verdict)
            for row, (ids, logps, finished, text, verdict) in enumerate(
                zip(
                    rollout.completions,
                    rollout.logps,
                    rollout.finished,
                    self.texts,
                    self.verdicts.result(),
                    strict=True,
                )
            )
        ]
        return [samples[start : start + self.size] for start in range(0, len(samples), self.size)]


def ask(
    questions: Sequence[Question],
    size: int,
    sampling: Sampling,
    seeds: Sequence[int],
    sampler: Sampler,
    tokenizer: Tokenizer,
    judge: Judge,
) -> Asked:
    """`size` completions of each question, one seed per question; judging begins when all are there."""
    rollout = sampler([question.ids for question in questions], size, sampling, seeds)
    repeated = [question for question in questions for _ in range(size)]
    texts = [q.prefix + tokenizer.decode(ids) for q, ids in zip(repeated, rollout.completions, strict=True)]
    pairs = [
        (question.problem, Completion(text, len(ids), finished))
        for question, text, ids, finished in zip(repeated, texts, rollout.completions, rollout.finished, strict=True)
    ]
    return Asked(questions, size, rollout, texts, judge.submit(pairs))
