"""The reward of a run, judged in the background while the next completions are sampled."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ..evals.verifier import choose_verifier
from ..verifiers.pool import WorkerPool, judge
from ..verifiers.threads import score_threads
from ..verifiers.types import Completion, Problem, Verdict

Pair = tuple[Problem, Completion]


class Judge:
    """A verifier by name (see `rlvr score --verifier`). Verdicts come in the order of the pairs.

    Built-in verifiers run in a thread, code in the sandbox's threads, anybody's own in processes that a deadline ends.
    What could not be judged has no score; it is never 0. Raises UsageError for no such verifier or option.
    """

    def __init__(self, name: str, options: Sequence[str] = (), workers: int | None = None) -> None:
        self._chosen = choose_verifier(name, options, workers)
        self._pool = None if self._chosen.bounded else WorkerPool(self._chosen.verifier, workers=workers)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rlvr-judge")

    def submit(self, pairs: Sequence[Pair]) -> Future[list[Verdict]]:
        """Begin to judge; one call after the other."""
        return self._thread.submit(self._verdicts, pairs)

    def close(self) -> None:
        """End what the verifier holds. What was submitted and not begun is dropped."""
        self._thread.shutdown(cancel_futures=True)
        if self._pool is not None:
            self._pool.close()
        self._chosen.close()

    def _verdicts(self, pairs: Sequence[Pair]) -> list[Verdict]:
        verifier = self._chosen.verifier
        if self._pool is not None:
            return list(self._pool.score(pairs))
        if self._chosen.threads is not None:
            return list(score_threads(verifier, pairs, workers=self._chosen.threads))
        return [judge(verifier, problem, completion) for problem, completion in pairs]
