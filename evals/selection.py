"""The samples that a report will hold, chosen while a run streams by, in bounded memory."""

import heapq
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, TypedDict

from ..verifiers.types import Status

# What a browser bears. Measured on two cores: 43,000 samples of mathematical prose that fill MAX_BYTES make a page of
# 40 MB, which Chromium shows within a second and whose texts it searches in 4 s; junk that hardly compresses, 115 MB.
MAX_SAMPLES = 50_000
MAX_BYTES = 128 * 2**20

# Characters of one sample that are kept. 32,768 new tokens of reasoning are about 120,000 characters; the answer
# stands at the end, so the tail gets the larger part.
COMPLETION_HEAD, COMPLETION_TAIL = 60_000, 100_000
PROMPT_LIMIT = 40_000
FIELD_LIMIT = 4_000


class Part(TypedDict):
    """One part of a composition, as the report shows it."""

    score: float | None
    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class ReportSample:
    """One scored completion with everything that the report shows of it. `score` None means not judged."""

    id: str
    sample: int
    """Which completion of its problem, from 0."""
    status: Status
    score: float | None
    reason: str
    detail: str | None
    prompt: str | None
    completion: str
    gold: str | None
    extracted: str | None
    parts: Mapping[str, Part] = field(default_factory=dict[str, Part])


@dataclass(frozen=True, slots=True)
class Shown:
    """A chosen sample, its long texts cut."""

    index: int
    """Its place in the input, from 0."""
    sample: ReportSample
    length: int
    """Characters of the whole completion."""
    gap: tuple[int, int] | None
    """Where in `sample.completion` text was left out, and how many characters; None where nothing was."""


class Selection:
    """At most `max_samples` samples whose texts come to at most `max_bytes` of UTF-8, however many are added.

    All samples while they fit. Beyond that those that are not correct come before the correct ones, and within each
    of the two classes the order is that of a hash of (id, sample): the samples are taken in this order up to the first
    that no longer fits. So neither the order of the input nor chance decides, and two runs over one file agree.

    Texts are held compressed: about 0.4 of `max_bytes` for mathematical prose. `max_samples` None is `MAX_SAMPLES`.
    Raises ValueError for a negative limit.
    """

    def __init__(self, max_samples: int | None = None, max_bytes: int = MAX_BYTES) -> None:
        self.max_samples = MAX_SAMPLES if max_samples is None else max_samples
        self.max_bytes = max_bytes
        if self.max_samples < 0 or max_bytes < 0:
            raise ValueError(f"a report holds 0 samples or more, not {self.max_samples} ({max_bytes} bytes)")
        self.seen = 0
        self._seen_correct = 0
        self._kept_correct = 0
        self._bytes = 0
        self._heap: list[tuple[int, int, int, bytes]] = []  # (-rank, index, bytes of text, compressed text)
        self._limit = 1 << 65  # the lowest rank that did not fit: whatever ranks there or after stays out

    @property
    def kept(self) -> int:
        """How many are chosen so far."""
        return len(self._heap)

    def add(self, sample: ReportSample) -> None:
        """Consider one sample; its texts are cut and compressed only when it is taken."""
        index = self.seen
        self.seen += 1
        self._seen_correct += sample.status == "correct"
        rank = _rank(sample)
        if rank >= self._limit:
            return
        text = _pack(sample)
        heapq.heappush(self._heap, (-rank, index, len(text), zlib.compress(text, 1)))
        self._bytes += len(text)
        self._kept_correct += sample.status == "correct"
        while self.kept > self.max_samples or self._bytes > self.max_bytes:
            self._limit = -self._heap[0][0]
            self._drop_from_limit()

    def _drop_from_limit(self) -> None:
        # All of equal rank at once (an id that the input repeats), or the order of the input would decide.
        while self._heap and -self._heap[0][0] >= self._limit:
            rank, _, size, _ = heapq.heappop(self._heap)
            self._bytes -= size
            self._kept_correct -= -rank >= _CORRECT

    def chosen(self) -> Iterator[Shown]:
        """The chosen samples in input order, one at a time: unpacked together they could fill the memory."""
        for _, index, _, text in sorted(self._heap, key=lambda entry: entry[1]):
            yield _unpack(index, zlib.decompress(text))

    def describe(self) -> str:
        """One sentence part that says which samples were chosen.

        >>> Selection().describe()
        'no samples'
        """
        kept, seen = self.kept, self.seen
        if kept == seen:
            return "no samples" if not seen else "the only sample" if seen == 1 else f"all {seen:,} samples"
        if not kept:
            return f"none of the {seen:,} samples"
        right, all_right = self._kept_correct, self._seen_correct
        wrong, all_wrong = kept - right, seen - all_right
        picked = "picked by a hash of problem and sample number"
        start = f"{kept:,} of {seen:,} samples"
        if not all_wrong or not all_right:
            return f"{start}, {picked}"
        if wrong < all_wrong:
            return f"{start}: {wrong:,} of the {all_wrong:,} that are not correct, {picked}"
        if not right:
            return f"{start}: all that are not correct, and none of the {all_right:,} correct ones"
        return f"{start}: all {wrong:,} that are not correct, and {right:,} of the {all_right:,} correct ones, {picked}"


_CORRECT = 1 << 64


def _rank(sample: ReportSample) -> int:
    key = f"{sample.sample}:{sample.id}".encode("utf-8", "surrogatepass")
    digest = int.from_bytes(blake2b(key, digest_size=8).digest(), "big")
    return digest + _CORRECT if sample.status == "correct" else digest


def _pack(sample: ReportSample) -> bytes:
    text, gap = _cut_completion(sample.completion)
    fields: list[Any] = [
        shown_id(sample.id), sample.sample, sample.status, sample.score, _cut(sample.reason, FIELD_LIMIT),
        _cut(sample.detail, FIELD_LIMIT), _cut(sample.prompt, PROMPT_LIMIT), text, _cut(sample.gold, FIELD_LIMIT),
        _cut(sample.extracted, FIELD_LIMIT), dict(sample.parts),
    ]  # fmt: skip
    # surrogatepass: a row may hold half a surrogate pair, and it must not end the run.
    return json.dumps([fields, len(sample.completion), gap], ensure_ascii=False).encode("utf-8", "surrogatepass")


def _unpack(index: int, packed: bytes) -> Shown:
    fields, length, gap = json.loads(packed.decode("utf-8", "surrogatepass"))
    return Shown(index, ReportSample(*fields), length, tuple(gap) if gap else None)


def _cut_completion(text: str) -> tuple[str, tuple[int, int] | None]:
    missing = len(text) - COMPLETION_HEAD - COMPLETION_TAIL
    if missing <= 0:
        return text, None
    return text[:COMPLETION_HEAD] + text[-COMPLETION_TAIL:], (COMPLETION_HEAD, missing)


def shown_id(problem_id: str) -> str:
    """The problem's id as a chosen sample bears it: cut when it is longer than any id should be."""
    return _shorten(problem_id, FIELD_LIMIT)


def _cut(text: str | None, limit: int) -> str | None:
    return None if text is None else _shorten(text, limit)


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} […{len(text) - 2 * half:,} more characters not shown…] {text[-half:]}"
