"""What every adapter stands on: how a reward is run, and what a trainer is told of its verdicts."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from inspect import iscoroutinefunction
from math import isfinite
from queue import SimpleQueue
from threading import Lock
from typing import Any, cast

from ..compose import AllOf, AnyOf, BySource, Gate, Weighted
from ..pool import TIMEOUT_S, WorkerPool, judge
from ..rewards import Recipe
from ..types import Completion, Problem, Verdict, Verifier

Pair = tuple[Problem, Completion]
ABOUT_ALL = ("score", "acc", "judged")
"""What trainers log of the whole reward, beside its parts: see `Judging.numbers`."""


_OF_PROBLEMS = ("malformed_problem", "gold_unreadable")
_FORKED = Lock()


class NotJudged(RuntimeError):
    """A completion that our side could not judge, in a trainer whose rewards are numbers and nothing else."""


class Judging:
    """A reward and how it is run; every adapter takes one in a reward's place: `as_verl(Judging(reward, workers=4))`.

    workers: processes that judge, each item with a deadline of `timeout_s` wall-clock seconds, for a reward that may
    hang or crash; 0 judges in the caller's. threads: how many judge at a time there, for a reward that waits for
    others, such as `verify_code`. unjudged: what to pay for a completion that could not be judged, to a trainer that
    takes only numbers; None raises NotJudged, which names the problem and what to do. TRL takes None, and gets it.

    Thread-safe. A pickled or forked copy starts worker processes of its own when it is first used.
    Raises ValueError for a negative count, no time, `unjudged` that is not finite, or a part named as one of
    `ABOUT_ALL`; TypeError for a reward that is no function, or a coroutine function.
    """

    def __init__(
        self,
        reward: Verifier,
        *,
        workers: int = 0,
        threads: int = 1,
        timeout_s: float = TIMEOUT_S,
        unjudged: float | None = None,
    ) -> None:
        if workers < 0 or threads < 1:
            raise ValueError(f"workers >= 0 and threads >= 1, not workers={workers}, threads={threads}")
        if not timeout_s > 0:
            raise ValueError(f"timeout_s is above 0, not {timeout_s!r}")
        _check(reward)
        if unjudged is not None and not isfinite(unjudged):
            raise ValueError(f"unjudged is a finite number or None, not {unjudged!r}")
        self.reward, self.workers, self.threads = reward, workers, threads
        self.timeout_s, self.unjudged = timeout_s, unjudged
        self.parts = part_names(reward)
        """The names of its parts, known without judging; none for a function that composes by itself."""
        if taken := [name for name in self.parts if name in ABOUT_ALL]:
            raise ValueError(f"a part is called {taken[0]}, as trainers log the whole: call it something else")
        self._reset()

    def _reset(self) -> None:
        self._idle: SimpleQueue[WorkerPool | None] = SimpleQueue()  # None: one that nobody has started yet
        for _ in range(self.workers):
            self._idle.put(None)
        self._pid = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def verdict(self, problem: Problem, completion: Completion, /) -> Verdict:
        """One verdict, whatever the reward does."""
        if not self.workers:
            return judge(self.reward, problem, completion)
        if self._pid != os.getpid():  # a forked copy: the workers belong to its parent
            with _FORKED:
                if self._pid != os.getpid():
                    self._reset()
        idle = self._idle
        pool = idle.get()
        try:
            pool = pool or WorkerPool(self.reward, workers=1, timeout_s=self.timeout_s)
            return next(pool.score([(problem, completion)]))
        finally:
            idle.put(pool)

    def verdicts(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """A verdict for each pair, in order. Raises UnusableVerifier where no worker can load the reward."""
        at_a_time = min(self.workers or self.threads, len(pairs))
        if at_a_time <= 1:
            return [self.verdict(problem, completion) for problem, completion in pairs]
        with ThreadPoolExecutor(at_a_time, thread_name_prefix="rlvr-judge") as threads:
            return list(threads.map(self.verdict, *zip(*pairs, strict=True)))

    async def verdicts_async(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """`verdicts` in a thread, while the event loop goes on."""
        import asyncio

        return await asyncio.to_thread(self.verdicts, pairs)

    def pay(self, problem: Problem, verdict: Verdict, *, instead: float | None = None) -> float:
        """The score; where there is none `unjudged`, else `instead`. Raises NotJudged where there is none of them."""
        paid = next((each for each in (verdict.score, self.unjudged, instead) if each is not None), None)
        if paid is not None:
            return paid
        why = f"{verdict.reason}: {verdict.detail}" if verdict.detail else verdict.reason
        gold = " (`rlvr check-gold` finds gold answers that cannot be read)" if verdict.reason in _OF_PROBLEMS else ""
        raise NotJudged(
            f"problem {problem.id} could not be judged ({why}), and this trainer takes only numbers. Mend the cause"
            f"{gold}, or say what to pay for such completions: Judging(reward, unjudged=0.0)"
        )

    def numbers(self, problem: Problem, verdict: Verdict, *, instead: float | None = None) -> dict[str, float]:
        """What is worth logging, under the same names for every verdict.

        `score`, `acc` (1 where the status is correct), `judged`, then each part's score. A part that was not reached,
        or not judged, counts 0.
        """
        return {
            "score": self.pay(problem, verdict, instead=instead),
            "acc": float(verdict.status == "correct" and verdict.score is not None),
            "judged": float(verdict.score is not None),
            **{name: part_score(verdict, name) for name in self.parts},
        }

    def close(self) -> None:
        """End the worker processes that wait. What is used again starts new ones."""
        idle = self._idle
        for pool in [idle.get() for _ in range(self.workers)]:
            if pool is not None:
                pool.close()
            idle.put(None)  # for whoever waits, or comes later


def _check(reward: object) -> None:
    if not callable(reward):
        hint = "; rewards that have names are in rlvr.verifiers and rlvr.verifiers.rewards"
        raise TypeError(f"a reward is a function of a problem and a completion, not {reward!r:.100}{hint}")
    if iscoroutinefunction(reward) or iscoroutinefunction(getattr(reward, "__call__", None)):  # noqa: B004
        raise TypeError("a reward is a plain function, not a coroutine function; adapters have threads of their own")


def judging(reward: Verifier | Judging) -> Judging:
    """The reward with the way to run it; a plain reward is judged in the caller's thread."""
    return reward if isinstance(reward, Judging) else Judging(reward)


def part_names(reward: object, prefix: str = "") -> tuple[str, ...]:
    """The names of the innermost parts of a composition, as `leaves` spells them, without judging anything.

    >>> from rlvr.verifiers import gate, verify_format, verify_math, weighted
    >>> part_names(gate(verify_format, then=weighted(correct=(1.0, verify_math))))
    ('gate', 'then/correct')
    """
    while isinstance(reward, partial | Recipe):
        reward = cast(object, reward.func if isinstance(reward, partial) else reward.reward)
    inside = _inside(reward)
    if not inside:
        return (prefix,) if prefix else ()
    return tuple(leaf for name, part in inside for leaf in part_names(part, f"{prefix}/{name}" if prefix else name))


def _inside(reward: object) -> Iterable[tuple[str, object]]:
    match reward:
        case Weighted():
            return [(name, part) for name, _, part in reward.parts]
        case Gate():
            return [("gate", reward.condition), ("then", reward.then)]
        case AllOf() | AnyOf():
            return reward.parts
        case BySource():
            return [*reward.routes, *([("default", reward.default)] if reward.default else [])]
        case _:
            return []


def leaves(verdict: Verdict, prefix: str = "") -> Iterable[tuple[str, Verdict]]:
    """The innermost verdicts of a composition by name (`then/correct`: a part of a part); none for a leaf."""
    for name, part in verdict.parts.items():
        path = f"{prefix}/{name}" if prefix else name
        if part.parts:
            yield from leaves(part, path)
        else:
            yield path, part


def part_score(verdict: Verdict, name: str) -> float:
    """The score of the part that `part_names` calls so; 0 where it was not reached, or not judged."""
    for step in name.split("/"):
        found = verdict.parts.get(step)
        if found is None:
            return 0.0
        verdict = found
    return 0.0 if verdict.score is None else verdict.score
