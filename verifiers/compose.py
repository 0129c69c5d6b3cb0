"""Rewards made of rewards: small frozen dataclasses whose verdict holds the verdicts of their parts.

A part that was not judged (score None) makes the whole not judged wherever the whole depends on it.
In a weighted sum `status` and `extracted` come from the part named `correct` where there is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from .types import Completion, Problem, Verdict, Verifier

Parts = dict[str, Verdict]


def weighted(**parts: tuple[float, Verifier]) -> "Weighted":
    """The sum of weight x score over named parts; a penalty has a negative weight.

    >>> from rlvr.verifiers import Completion, Problem, verify_format, verify_math, weighted
    >>> reward = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))
    >>> reward(Problem("1", answer="4"), Completion("<think>2+2</think><answer>4</answer>")).score
    1.1
    """
    if not parts:
        raise ValueError("weighted() needs at least one part: weighted(correct=(1.0, verify_math))")
    for name, part in parts.items():
        if not isinstance(part, tuple) or len(part) != 2 or not isfinite(part[0]):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"weighted(): {name} is {part!r}, not a pair of a finite weight and a verifier")
    return Weighted(tuple((name, weight, verifier) for name, (weight, verifier) in parts.items()))


def gate(condition: Verifier, *, then: Verifier) -> "Gate":
    """`then` where `condition` is `correct`, else 0 and `then` is not run.

    >>> from rlvr.verifiers import Completion, Problem, gate, verify_format, verify_math
    >>> gate(verify_format, then=verify_math)(Problem("1", answer="4"), Completion("4")).reason
    'missing_tag'
    """
    return Gate(condition, then)


def all_of(**parts: Verifier) -> "AllOf":
    """The smallest score of named parts: `correct` when every part is. A 0 decides, also beside a part not judged.

    Not for amounts such as `length_penalty`, whose best score is 0: give those a negative weight in `weighted`.
    """
    if not parts:
        raise ValueError("all_of() needs at least one part: all_of(math=verify_math, format=verify_format)")
    return AllOf(tuple(parts.items()))


def any_of(**parts: Verifier) -> "AnyOf":
    """The largest score of named parts, tried in order until one is `correct`."""
    if not parts:
        raise ValueError("any_of() needs at least one part: any_of(math=verify_math, text=verify_text)")
    return AnyOf(tuple(parts.items()))


def by_source(routes: Mapping[str, Verifier], *, default: Verifier | None = None) -> "BySource":
    """The verifier that `routes` names for `problem.source`, else `default`.

    The verdict is the chosen verifier's own, with one part named after the source, or `default`.
    Raises ValueError on a problem whose source has no route when there is no default.
    """
    return BySource(tuple(routes.items()), default)


@dataclass(frozen=True, slots=True)
class Weighted:
    parts: tuple[tuple[str, float, Verifier], ...]

    def __call__(self, problem: Problem, completion: Completion) -> Verdict:
        verdicts = {name: verifier(problem, completion) for name, _, verifier in self.parts}
        total = 0.0
        for name, weight, _ in self.parts:
            score = verdicts[name].score
            if score is None:
                return _whole(None, verdicts, decisive=verdicts.get("correct"))
            total += weight * score
        return _whole(total, verdicts, decisive=verdicts.get("correct"))


@dataclass(frozen=True, slots=True)
class Gate:
    condition: Verifier
    then: Verifier

    def __call__(self, problem: Problem, completion: Completion) -> Verdict:
        gate = self.condition(problem, completion)
        if gate.status != "correct" or gate.score is None:
            score = None if gate.score is None else 0.0
            return Verdict(score, gate.status, gate.reason, gate.extracted, {"gate": gate}, gate.detail)
        then = self.then(problem, completion)
        return Verdict(then.score, then.status, then.reason, then.extracted, {"gate": gate, "then": then}, then.detail)


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[tuple[str, Verifier], ...]

    def __call__(self, problem: Problem, completion: Completion) -> Verdict:
        verdicts = {name: verifier(problem, completion) for name, verifier in self.parts}
        lowest = min((v.score for v in verdicts.values() if v.score is not None), default=None)
        unjudged = any(v.score is None for v in verdicts.values())
        return _whole(None if unjudged and lowest != 0 else lowest, verdicts, decisive=None)


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[tuple[str, Verifier], ...]

    def __call__(self, problem: Problem, completion: Completion) -> Verdict:
        verdicts: Parts = {}
        for name, verifier in self.parts:
            verdict = verdicts[name] = verifier(problem, completion)
            if verdict.status == "correct" and verdict.score is not None:
                return Verdict(verdict.score, "correct", verdict.reason, verdict.extracted, verdicts, verdict.detail)
        scores = [v.score for v in verdicts.values() if v.score is not None]
        unjudged = len(scores) < len(verdicts)
        return _whole(None if unjudged else max(scores), verdicts, decisive=None)


@dataclass(frozen=True, slots=True)
class BySource:
    routes: tuple[tuple[str, Verifier], ...]
    default: Verifier | None = None

    def __call__(self, problem: Problem, completion: Completion) -> Verdict:
        name, verifier = next((r for r in self.routes if r[0] == problem.source), ("default", self.default))
        if verifier is None:
            known = ", ".join(source for source, _ in self.routes)
            raise ValueError(f"problem {problem.id}: no route for source {problem.source!r} (there are {known})")
        v = verifier(problem, completion)
        return Verdict(v.score, v.status, v.reason, v.extracted, {name: v}, v.detail)


def _whole(score: float | None, parts: Parts, *, decisive: Verdict | None) -> Verdict:
    """The verdict of a composition: `correct` when its decisive part is, else when every part reaches its maximum."""
    extracted = decisive.extracted if decisive else next((v.extracted for v in parts.values() if v.extracted), None)
    if score is None:
        cause = next(v for v in parts.values() if v.score is None)
        status = decisive.status if decisive else "error"
        return Verdict(None, status, "part_not_judged", extracted, parts, cause.detail or cause.reason)
    if decisive:
        return Verdict(score, decisive.status, decisive.reason, extracted, parts, decisive.detail)
    failures = [v for v in parts.values() if v.status != "correct"]
    failed = next((v for v in failures if v.score is not None), failures[0] if failures else None)
    status = failed.status if failed else "correct"
    return Verdict(score, status, "part_failed" if failed else "all_parts", extracted, parts)
