"""Which completions are good enough to be learnt from: one at a time, and among those of one problem."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from heapq import heappush, heappushpop
from typing import Any, BinaryIO, Literal

from ..evals.columns import Sample
from ..evals.errors import UsageError
from ..verifiers.language import LANGUAGES, verify_language

Order = Literal["random", "first", "shortest"]
_FENCE = re.compile(r"^[ \t]{0,8}(?:`{3}|~{3})", re.MULTILINE)
_LINE_BREAKS = re.compile(r"[\r\n]+")


@dataclass(frozen=True, slots=True)
class Rules:
    """What is kept; the fields are the options of `rlvr select`. Raises UsageError for one outside its range."""

    language: str | None = "en"
    """The chain of thought's, an ISO 639-1 code; None keeps any and mixed ones."""
    language_share: float = 1.0
    """Share of its words that must be in that language."""
    identify: bool = False
    """Tell languages of one script apart, by lingua; else only scripts are."""
    max_paragraph: int | None = 2000
    """Characters between two line breaks. DeepSeek gives no number; this is a page of print."""
    max_length: int | None = None
    """Characters of a completion."""
    code_blocks: bool = True
    """Whether a completion may hold fenced code."""
    per_problem: int | None = None
    order: Order = "random"
    """Which of a problem's completions are taken where there are more. Random is fair to every kind of solution, in
    whatever order the files are; shortest is Kimi k1.5's way to shorter thoughts (arXiv:2501.12599, section 2.4)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.language is not None and self.language not in LANGUAGES:
            raise UsageError(f"--language {self.language}: unknown; known are {', '.join(sorted(LANGUAGES))}, or none")
        if not 0 <= self.language_share <= 1:
            raise UsageError(f"--language-share {self.language_share:g}: is not from 0 to 1")
        for name in ("max_paragraph", "max_length", "per_problem"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} {value}: is below 1")


def first_fault(sample: Sample, status: str, rules: Rules) -> str | None:
    """The first check that a sample fails: its status where that is not correct, `cut`, `empty`, `too long`,
    `long paragraph`, `code block` or `mixed language`. None where it passes all.

    A completion without words, formulas alone, passes the check of language: nothing in it is mixed.
    Raises ImportError when `identify` needs lingua and it is not installed, ValueError when lingua knows no such
    language.

    Source: DeepSeek-R1, arXiv:2501.12948, section 2.3.3: chains of thought with mixed languages, long paragraphs and
    code blocks were filtered out.
    """
    text = sample.completion.text
    if status != "correct":
        return status
    if sample.completion.finished is False:
        return "cut"  # it would teach not to end
    if not text.strip():
        return "empty"
    if rules.max_length is not None and len(text) > rules.max_length:
        return "too long"
    if rules.max_paragraph is not None and max(map(len, _LINE_BREAKS.split(text))) > rules.max_paragraph:
        return "long paragraph"
    if not rules.code_blocks and _FENCE.search(text):
        return "code block"
    if rules.language is not None:
        language: dict[str, Any] = {"language": rules.language, "identify": rules.identify}
        share = verify_language(sample.problem, sample.completion, **language).score
        if share is not None and share < rules.language_share:
            return "mixed language"
    return None


@dataclass(slots=True)
class _Problem:
    seen: set[bytes] = field(default_factory=set[bytes])
    heap: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Of the rows that are taken, minus the key and the place: the first to give way stands first."""


class Choice:
    """Takes good samples one by one, drops those that a problem has already, and keeps `rules.per_problem` of each.

    Rows wait in `spool`, a file that can be read and written; in memory stand some bytes for each.
    """

    def __init__(self, rules: Rules, spool: BinaryIO) -> None:
        self._rules = rules
        self._spool = spool
        self._place = 0
        self._problems: dict[str, _Problem] = {}
        self.dropped: Counter[str] = Counter()

    def add(self, problem_id: str, text: str, row: bytes) -> None:
        """One sample and the line that is written when it is kept."""
        problem = self._problems.setdefault(problem_id, _Problem())
        digest = _digest(text)
        if digest in problem.seen:
            self.dropped["duplicate"] += 1
            return
        problem.seen.add(digest)
        entry = (-self._key(problem_id, text, digest), -self._place)
        if self._rules.per_problem is None or len(problem.heap) < self._rules.per_problem:
            heappush(problem.heap, entry)
        else:
            self.dropped["more than asked"] += 1
            if heappushpop(problem.heap, entry) == entry:
                return
        self._spool.write(row)
        self._place += len(row)

    def _key(self, problem_id: str, text: str, digest: bytes) -> int:
        """Which come first, the lower ones. The random order is the texts' own, whatever file they stand in."""
        if self._rules.order == "random":
            drawn = repr((self._rules.seed, problem_id)).encode() + digest
            return int.from_bytes(blake2b(drawn, digest_size=8).digest())
        return len(text) if self._rules.order == "shortest" else 0

    def problems(self) -> int:
        """How many problems have a row that is kept."""
        return len(self._problems)

    def rows(self) -> Iterator[bytes]:
        """What is kept, in the order in which it was added."""
        for place in sorted(-place for problem in self._problems.values() for _, place in problem.heap):
            self._spool.seek(place)
            yield self._spool.readline()


def _digest(text: str) -> bytes:
    """Of the text without what a reader does not see: case, width, and how its words are spaced."""
    normal = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=12).digest()
