"""What an attack is. It scores 1 exactly when it succeeds: it forges the verdict, or answers only after the harm."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .problem import TWO, Question, Style

Kind = Literal["forge", "bomb", "escape", "leftover", "hostile_text"]
Box = Literal["plain", "open"]
Result = Literal["paid", "unpaid", "died", "hung", "bloated"]


@dataclass(frozen=True, slots=True)
class Attack:
    """One program per style of tests, and the naive runners of `naive.py` that it beats."""

    name: str
    kind: Kind
    tries: str
    programs: Mapping[Style, str]
    beats: Mapping[Style, tuple[str, ...]]
    result: Result = "paid"
    """What it does to those naive runners."""
    box: Box = "plain"
    """The throw-away container: Docker's defaults, or one without the isolation in question."""
    question: Question = TWO
    limits: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Limits of the sandbox that differ from the tests' own."""
    unshown: str | None = None
    """Why its success is not shown."""

    def __post_init__(self) -> None:
        for style in self.programs:
            if not self.beats.get(style) and self.unshown is None:
                raise ValueError(f"{self.name}: nothing shows that its {style} form works")
