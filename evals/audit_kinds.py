"""What `rlvr audit` looks for: each kind of finding with its exact definition and from when on it matters."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from .audit_groups import AGREE, FEWEST, SHORT, SHORT_SHARE
from .audit_text import DEFINITIONS

LEVELS = ("serious", "look", "fine")
FEW = 3
"""What fewer problems show is never serious, whatever its share, unless the files hold no more."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`look` and `serious` are shares (of `unit`) from which on a finding is one; 0 means from the first case on."""

    section: str
    title: str
    definition: str
    unit: str
    look: float
    serious: float

    @property
    def thresholds(self) -> str:
        """From when on it is worth a look, and serious."""
        if self.look == inf:
            return ""
        look = "the first case" if self.look == 0 else f"{self.look:.0%}"
        serious = "never serious" if self.serious == inf else f"serious from {self.serious:.0%} in {FEW} problems"
        return f"Worth a look from {look} on, {serious}."


def severity(kind: Kind, count: int, of: int, *, cases: int, problems: int) -> str:
    """`serious`, `look` or `fine` for a finding in `cases` of the files' `problems`."""
    share = count / of if of else 0.0
    if cases >= min(FEW, problems) and share >= kind.serious:
        return "serious"
    return "look" if count and share >= kind.look else "fine"


_SECOND, _REASONS, _GROUPS, _WINNERS, _LENGTH = (
    "Second opinion", "Verdicts", "Groups", "Rewarded samples", "Length",
)  # fmt: skip
SECTIONS = (_WINNERS, _SECOND, _REASONS, _GROUPS, _LENGTH)

KINDS: Mapping[str, Kind] = {
    "paid": Kind(
        _SECOND, "called right, and math-verify says no",
        "the reward, or its part that is mathematics, calls the answer right and math-verify, given gold and answer "
        "as LaTeX, calls it wrong; of the samples called right on which it has an opinion. Either may be the one that "
        "errs",
        "samples called right", 0.0, 0.01,
    ),
    "unpaid": Kind(
        _SECOND, "called wrong, and math-verify says yes",
        "the reward calls the answer wrong and math-verify calls it right; of the samples called wrong on which it has "
        "an opinion",
        "wrong samples", 0.0, 0.01,
    ),
    "grader": Kind(_WINNERS, "text to the grader", DEFINITIONS["grader"], "rewarded samples", 0.0, 0.01),
    "hedged": Kind(_WINNERS, "hedged", DEFINITIONS["hedged"], "rewarded samples", 0.0, 0.01),
    "same_text": Kind(
        _WINNERS, "one text for several problems",
        "the same words were rewarded in problems whose golds differ (whose prompts differ, where no golds are known)",
        "rewarded samples", 0.0, 0.01,
    ),
    "leaked_gold": Kind(
        _WINNERS, "the gold stands in the prompt",
        "a box, a tag or a stated answer in the prompt, outside of worked examples, is the gold", "problems", 0.0, 0.01,
    ),
    "bare": Kind(_WINNERS, "an answer without reasoning", DEFINITIONS["bare"], "rewarded samples", 0.0, 0.01),
    "short": Kind(
        _WINNERS, "very short",
        f"fewer than {SHORT} characters, and fewer than {SHORT_SHARE:.0%} of the median of its problem's judged "
        f"samples (of all files' where these are fewer than {FEWEST})",
        "rewarded samples", 0.0, 0.01,
    ),
    "repeated": Kind(_WINNERS, "repeated text", DEFINITIONS["repeated"], "rewarded samples", 0.0, 0.01),
    "cut": Kind(_WINNERS, "cut, and rewarded all the same", DEFINITIONS["cut"], "rewarded samples", 0.0, 0.2),
    "suspect_gold": Kind(
        _GROUPS, "the gold may be wrong",
        f"nobody solved the problem, and more than {AGREE:.0%} of its judged samples ({FEWEST} or more) agree on one "
        "other answer",
        "problems", 0.0, 0.05,
    ),
    "not_judged": Kind(
        _REASONS, "not judged", "score null: our side failed, not the model", "samples", 0.0, 0.01
    ),
    "timeout": Kind(
        _REASONS, "timed out", "status timeout: judging it took too long, twice", "samples", 0.0, 0.01
    ),
    "unextracted": Kind(
        _REASONS, "no answer found", "status unextracted: the reward found no answer in the text", "samples", 0.05, 0.3
    ),
    "truncated": Kind(
        _REASONS, "cut before an answer", "status truncated: cut at the length limit, without an answer", "samples",
        0.05, 0.3,
    ),
    "dead_part": Kind(
        _REASONS, "parts that never vary",
        "a part whose score was the same in every judged sample: it teaches nothing", "parts", 0.0, inf,
    ),
    "no_spread": Kind(
        _GROUPS, "groups without spread",
        "all judged samples of a problem (in one step) have the same score: their advantage in GRPO is 0",
        "groups", 0.5, 0.9,
    ),
    "unsolved": Kind(
        _GROUPS, "problems that nobody solved", "two judged samples or more, none correct", "problems", 0.3, 0.9
    ),
    "solved": Kind(
        _GROUPS, "problems that all samples solve", "two judged samples or more, all correct", "problems", 0.5, 0.9
    ),
    "length": Kind(
        _LENGTH, "length and score",
        "length of right samples less that of wrong ones, paired by problem, each problem counted once; worth a look "
        "where its interval does not hold 0 and it is a tenth of the length or more. The rank correlation ranks each "
        "problem's samples by length and by score: every sample counts, and none more for being much longer, so that "
        "it may have the other sign (above 0: longer ones score higher)", "problems", inf, inf,
    ),
}  # fmt: skip
