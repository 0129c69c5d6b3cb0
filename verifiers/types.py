"""What goes into a verifier and what comes out. Everything here is frozen, slotted and pickles."""

import copyreg
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from operator import attrgetter
from typing import Any, Literal, Protocol, get_args

Status = Literal["correct", "wrong", "unextracted", "truncated", "timeout", "error"]
STATUSES: tuple[Status, ...] = get_args(Status)

# The closed set of reasons that rlvr's own verifiers give, each with the sentence that a report shows.
REASONS: Mapping[str, str] = {
    # math: what decided
    "same_text": "the same text after light normalisation",
    "same_number": "the same rational number",
    "different_number": "a different rational number, or another unit",
    "same_time": "the same time of day",
    "different_time": "another time of day",
    "different_text": "different words",
    "same_form": "the same after exact algebra, by kind",
    "different_form": "another value after exact algebra, or another kind of answer",
    "same_value": "the same value at enough points, to 40 digits",
    "different_value": "another value at a point",
    "symbolic_equal": "equal by math-verify",
    "symbolic_different": "not equal by math-verify",
    "several_answers": "several answers where one is asked",
    "empty_answer": "the box or tag is empty",
    "no_answer": "no final answer was found",
    "too_deep": "nested deeper than any answer",
    "too_long": "the answer is longer than any answer to this problem can be",
    "too_big": "a number past every bound, and the gold is not of that size",
    "unreadable": "the answer is not mathematics that can be read, nor the gold's words",
    "cut_off": "cut at the length limit before an answer",
    "gold_unreadable": "the gold answer cannot be read",
    # limits and faults
    "deadline": "no verdict before the deadline, twice",
    "memory_limit": "more memory was needed than allowed",
    "verifier_raised": "the verifier raised an exception",
    "verifier_crashed": "the verifier's process died",
    "malformed_problem": "the problem lacks what the verifier needs",
    "overloaded": "the service had no time for it before the request's deadline",
    # code
    "all_tests_passed": "the program passes every test",
    "wrong_output": "the program gives something else than a test expects",
    "exception": "the program raised an exception, or ended with an error status",
    "signal": "the program crashed",
    "cpu_limit": "the program used more processor time than allowed, twice",
    "wall_limit": "the program did not end in time, twice",
    "output_limit": "the program wrote more than allowed",
    "compile_error": "the program does not compile",
    "no_code": "no program was found",
    "checker_raised": "the problem's checker raised on what the program gave",
    "tests_broken": "the problem's own test code broke",
    "sandbox_unavailable": "the sandbox is not there, or it broke",
    # format
    "well_formed": "every tag is there, once and in order",
    "missing_tag": "a tag is missing",
    "repeated_tag": "a tag stands more than once",
    "wrong_order": "the tags are not in order",
    "text_outside": "there is text outside the tags, or before them",
    "empty_section": "a section holds no text",
    # language, length, repetition
    "language_consistent": "enough words are in the target language",
    "language_mixed": "too few words are in the target language",
    "no_words": "there are no words to judge",
    "within_length": "shorter than the soft limit",
    "over_length": "longer than the soft limit",
    "no_token_count": "the length in tokens is not known",
    "not_repetitive": "no more n-grams are repeated than allowed",
    "repetitive": "more n-grams are repeated than allowed",
    # compositions
    "all_parts": "every part reached its maximum",
    "part_failed": "a part did not reach its maximum",
    "part_not_judged": "a part could not be judged",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What was asked, and what decides it. All but `id` is optional; a verifier says what it needs."""

    id: str
    prompt: str | None = None
    answer: str | None = None
    """The gold answer, as text."""
    tests: Any = None
    """Tests for code, in the shapes that `verify_code` reads."""
    source: str | None = None
    """Where the problem comes from; `by_source` routes by it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote."""

    text: str
    n_tokens: int | None = None
    finished: bool | None = None
    """False when it was cut at the length limit, None when nobody knows."""


class InvalidVerdict(ValueError):
    """A verdict that cannot be: a fault of the verifier, not of the problem."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier says.

    `score` is a finite float, or None for *not judged*: our side failed (gold unreadable, sandbox down, code broke).
    What the completion causes scores 0. A leaf verifier scores in [0, 1]; a weighted sum may leave it.
    `reason` is a short code; rlvr's own are the keys of `REASONS`. `extracted` is the answer that was found.
    `parts` holds the verdicts inside a composition. `detail` is one line for a person: what was compared, what broke.

    Raises InvalidVerdict for a score that is not finite or a status outside `STATUSES`.
    """

    score: float | None
    status: Status
    reason: str
    extracted: str | None = None
    parts: Mapping[str, "Verdict"] = field(default_factory=dict[str, "Verdict"])
    detail: str | None = None

    def __post_init__(self) -> None:
        if self.score is not None and not isfinite(self.score):
            raise InvalidVerdict(f"a score is a finite number or None, not {self.score!r}")
        if self.status not in STATUSES:
            raise InvalidVerdict(f"a status is one of {', '.join(STATUSES)}, not {self.status!r}")


class UnusableVerifier(RuntimeError):
    """A verifier that cannot be sent to, or loaded by, a worker process."""


class Verifier(Protocol):
    """Any function of a problem and a completion. Options are keyword-only and bound with `functools.partial`.

    It never raises on any completion, raises ValueError on a malformed problem, and holds no state that could change a
    verdict: the same in any thread, process or event loop.
    """

    def __call__(self, problem: Problem, completion: Completion, /) -> Verdict: ...


def correct(reason: str, extracted: str | None = None, detail: str | None = None) -> Verdict:
    """Score 1, status `correct`."""
    return Verdict(1.0, "correct", reason, extracted, detail=detail)


def wrong(reason: str, extracted: str | None = None, detail: str | None = None) -> Verdict:
    """Score 0, status `wrong`."""
    return Verdict(0.0, "wrong", reason, extracted, detail=detail)


def not_judged(reason: str, detail: str | None = None, extracted: str | None = None) -> Verdict:
    """Score None, status `error`: our side could not judge."""
    return Verdict(None, "error", reason, extracted, detail=detail)


def _pickle_by_fields(kind: type[Any], *names: str) -> None:
    """What dataclasses do for slots of their own accord takes three times as long, and every worker is sent these."""
    values = attrgetter(*names)
    copyreg.pickle(kind, lambda one: (kind, values(one)))


for _kind in (Problem, Completion, Verdict):
    _pickle_by_fields(_kind, *(each.name for each in fields(_kind)))
