"""One self-contained HTML page for a scored run: its numbers, its plots, and the samples themselves.

The page asks nothing of any network. What the model wrote travels as compressed base64 and becomes text nodes only, so
that it can be neither markup nor script; the page's Content-Security-Policy names its one script by its hash.
"""

import gzip
import json
import os
import re
from array import array
from base64 import b64encode
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from html import escape
from math import inf, isfinite, isnan, nan
from pathlib import Path
from typing import Any, cast

from ..verifiers.types import REASONS, STATUSES
from .selection import FIELD_LIMIT, Selection, Shown, shown_id
from .tally import Tally

MAX_BARS = 300  # problems with a bar of their own; beyond, neighbours in rank share one
MAX_LENGTH_BINS = 24
MAX_CELLS = 50_000  # samples in the map of all of them
CHUNK_BYTES = 256 * 1024  # text that the browser unpacks to show one sample
SHORT = 160  # characters of an answer or a prompt in the table

_CORRECT = STATUSES.index("correct")
_TEMPLATE = Path(__file__).with_name("report.html")


def write_report(
    path: str | os.PathLike[str], *, title: str, summary: Mapping[str, Any], tally: Tally, selection: Selection
) -> None:
    """Write the page to `path`, whole or not at all: it replaces what was there once it is complete.

    `summary` is the object that `rlvr score --json` prints; absent keys and null numbers leave gaps in the page, no
    error. `tally` holds every sample of the run and feeds the plots; `selection` holds the samples that can be opened.
    The same arguments give the same bytes. Raises OSError where `path` cannot be written.
    """
    problems = _Problems(tally)
    head: dict[str, Any] = {
        "summary": finite(summary),
        "shown": selection.describe(),
        "statuses": STATUSES,
        "sentences": REASONS,
        "counts": {
            "samples": len(tally),
            "problems": len(problems.order),
            "not_judged": tally.not_judged(),
            "status": tally.status_counts(),
            "reasons": [[status, reason, n] for (status, reason), n in tally.reasons.most_common()],
        },
        "problems": problems.bars(),
        "map": problems.sample_map(tally),
        "lengths": _length_bins(tally),
    }
    template = re.split(r"\{\{(\w+)\}\}", _TEMPLATE.read_text(encoding="utf-8"))
    fields: dict[str, Iterable[str]] = {
        "csp": [page_policy("".join(template))],
        "title": [escape(title)],
        "head": [pack(head)],
        "index": [pack(_index(selection, problems))],
        "texts": _text_blocks(selection),
    }
    write_whole(Path(path), (piece for i, part in enumerate(template) for piece in (fields[part] if i % 2 else [part])))


class _Problems:
    """Problems that have samples in order of their mean score, best first; those without a judged sample last.

    As in the headline, a sample that was not judged adds nothing to a mean and counts in it.
    """

    def __init__(self, tally: Tally) -> None:
        self.ids = tally.problem_ids
        size = len(self.ids)
        self.samples = array("L", bytes(array("L").itemsize * size))
        self.judged = array("L", self.samples)
        self.correct = array("L", self.samples)
        total = array("d", bytes(array("d").itemsize * size))
        for problem, status, score in zip(tally.problem, tally.status, tally.score, strict=True):
            self.samples[problem] += 1
            self.correct[problem] += status == _CORRECT
            if not isnan(score):
                self.judged[problem] += 1
                total[problem] += score
        counts = zip(total, self.samples, self.judged, strict=True)
        self.means = array("d", (score / n if judged else nan for score, n, judged in counts))
        with_samples = (problem for problem in range(size) if self.samples[problem])
        self.order = array("L", sorted(with_samples, key=self._key))
        self._rank = array("L", bytes(array("L").itemsize * size))
        for rank, problem in enumerate(self.order):
            self._rank[problem] = rank
        self._number = tally.find
        self._cut = {shown_id(name): number for number, name in enumerate(self.ids) if len(name) > FIELD_LIMIT}

    def _key(self, problem: int) -> float:
        mean = self.means[problem]
        return inf if isnan(mean) else -mean

    def rank(self, shown: str) -> int:
        """The place in the order of the problem whose samples bear this id in the page."""
        problem = self._cut.get(shown, self._number(shown))
        return -1 if problem is None else self._rank[problem]

    def bars(self) -> list[dict[str, Any]]:
        """At most `MAX_BARS` bars, each for the problems of rank `first` to `last`.

        Empty where bars would say nothing: one problem, or one sample each that is either 0 or 1.
        """
        size = len(self.order)
        if size < 2 or (max(self.samples) == 1 and all(mean in (0, 1) or isnan(mean) for mean in self.means)):
            return []
        count = min(size, MAX_BARS)
        bars: list[dict[str, Any]] = []
        for bar in range(count):
            first, end = size * bar // count, size * (bar + 1) // count
            group = self.order[first:end]
            means = [mean for problem in group if not isnan(mean := self.means[problem])]
            bars.append(
                {
                    "first": first,
                    "last": end - 1,
                    "id": self.ids[group[0]][:SHORT],
                    "mean": sum(means) / len(means) if means else None,
                    "samples": sum(self.samples[problem] for problem in group),
                    "not_judged": sum(self.samples[problem] - self.judged[problem] for problem in group),
                    "correct": sum(self.correct[problem] for problem in group),
                }
            )
        return bars

    def sample_map(self, tally: Tally) -> dict[str, Any] | None:
        """The status of every sample: a text per problem, best first, whose character i is the status of sample i, or a
        space where there is none. None where it would say nothing or not fit: one sample each, too many, unnumbered.
        """
        size, most = len(self.order), max(self.samples, default=0)
        if size < 2 or most < 2 or size > MAX_BARS or size * most > MAX_CELLS or max(tally.run) >= 2 * most:
            return None
        columns = max(tally.run) + 1
        cells = [[" "] * columns for _ in range(size)]
        for problem, run, status in zip(tally.problem, tally.run, tally.status, strict=True):
            cells[self._rank[problem]][run] = str(status)
        return {"rows": ["".join(row) for row in cells], "ids": [self.ids[problem][:SHORT] for problem in self.order]}


def _length_bins(tally: Tally) -> list[dict[str, Any]]:
    """Samples by length in characters and by status, in bins of round numbers that widen as 1, 2, 5, 10 do."""
    pairs = Counter(zip(tally.length, tally.status, strict=True))
    if not pairs:
        return []
    lengths = {length for length, _ in pairs}
    edges = _round_edges(min(lengths), max(lengths))
    counts = [[0] * len(STATUSES) for _ in edges]
    for (length, status), n in pairs.items():
        counts[bisect_right(edges, length) - 1][status] += n
    ends = [*edges[1:], None]
    return [{"from": lo, "to": hi, "counts": n} for lo, hi, n in zip(edges, ends, counts, strict=True)]


def _round_edges(lowest: int, highest: int) -> list[int]:
    """The lower edges of at most `MAX_LENGTH_BINS` bins that hold lowest..highest.

    >>> _round_edges(100, 1200)
    [100, 125, 150, 200, 250, 300, 400, 500, 600, 800, 1000]
    """
    ladders = ([10, 12.5, 15, 20, 25, 30, 40, 50, 60, 80], [10, 15, 20, 30, 50, 70], [10, 20, 50], [10])
    edges = [0]
    for ladder in ladders:
        steps = sorted({int(step * 10**power) for power in range(-1, 20) for step in ladder} | {0})
        edges = steps[bisect_right(steps, lowest) - 1 : bisect_right(steps, highest)]
        if len(edges) <= MAX_LENGTH_BINS:
            break
    return edges


class _Column:
    """A column of strings that repeat: each distinct one once, and a number per row."""

    def __init__(self) -> None:
        self._numbers: dict[str | None, int] = {}
        self._rows: list[int] = []

    def add(self, value: str | None) -> None:
        self._rows.append(self._numbers.setdefault(value, len(self._numbers)))

    def packed(self) -> dict[str, Any]:
        return {"values": list(self._numbers), "rows": self._rows}


def _index(selection: Selection, problems: "_Problems") -> dict[str, Any]:
    """What the table needs of every chosen sample, as columns."""
    numbers: dict[str, list[Any]] = {key: [] for key in ("place", "sample", "status", "score", "length", "rank")}
    texts = {key: _Column() for key in ("id", "reason", "extracted", "gold", "snippet")}
    for shown in selection.chosen():
        sample = shown.sample
        numbers["place"].append(shown.index)
        numbers["sample"].append(sample.sample)
        numbers["status"].append(STATUSES.index(sample.status))
        numbers["score"].append(sample.score)
        numbers["length"].append(shown.length)
        numbers["rank"].append(problems.rank(sample.id))
        texts["id"].add(sample.id)
        texts["reason"].add(sample.reason)
        texts["extracted"].add(_short(sample.extracted))
        texts["gold"].add(_short(sample.gold))
        texts["snippet"].add(_short(sample.completion if sample.prompt is None else sample.prompt))
    return {**numbers, **{key: column.packed() for key, column in texts.items()}}


def _short(text: str | None) -> str | None:
    return None if text is None else " ".join(text[: 2 * SHORT].split())[:SHORT]


def _text_blocks(selection: Selection) -> Iterator[str]:
    """Script blocks of texts, `CHUNK_BYTES` or one sample each; `data-first` is the row that a block begins with."""
    first, size, chunk = 0, 0, list[Shown]()
    for shown in selection.chosen():
        chunk.append(shown)
        size += len(shown.sample.completion)
        if size >= CHUNK_BYTES:
            yield _text_block(first, chunk)
            first, size, chunk = first + len(chunk), 0, []
    if chunk:
        yield _text_block(first, chunk)


def _text_block(first: int, chunk: list[Shown]) -> str:
    prompts = _Column()  # the samples of a problem share their prompt
    rows: list[dict[str, Any]] = []
    for shown in chunk:
        sample = shown.sample
        prompts.add(sample.prompt)
        row: dict[str, Any] = {"completion": sample.completion, "detail": sample.detail, "parts": sample.parts}
        row |= {"gold": sample.gold, "extracted": sample.extracted}
        if shown.gap:  # in two pieces: JavaScript counts UTF-16 units, and a position would point elsewhere there
            place, missing = shown.gap
            row |= {"completion": sample.completion[:place], "end": sample.completion[place:], "missing": missing}
        rows.append({key: value for key, value in row.items() if value not in (None, {})})
    data = pack({"prompts": prompts.packed(), "samples": rows})
    return f'<script type="application/octet-stream+base64" class="texts" data-first="{first}">{data}</script>\n'


def pack(data: Any) -> str:
    """JSON, compressed, in base64: nothing in it can end a script block. mtime 0: equal data give equal pages."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return b64encode(gzip.compress(text.encode("utf-8", "surrogatepass"), 4, mtime=0)).decode("ascii")


def finite(data: Any) -> Any:
    """NaN and infinities as None: JSON has no such numbers, and a report must not fail over one statistic."""
    if isinstance(data, Mapping):
        return {str(key): finite(value) for key, value in cast(Mapping[Any, Any], data).items()}
    if isinstance(data, (list, tuple)):
        return [finite(value) for value in cast(Iterable[Any], data)]
    return None if isinstance(data, float) and not isfinite(data) else data


def page_policy(template: str) -> str:
    """Nothing from anywhere; the page's own style and script by their hashes; and no text may be made into markup."""

    def hashes(tag: str) -> str:
        blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", template, re.DOTALL)
        return " ".join(f"'sha256-{b64encode(sha256(block.encode()).digest()).decode()}'" for block in blocks)

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def write_whole(path: Path, pieces: Iterable[str]) -> None:
    """Write a text file, whole or not at all; a pipe is written to. Raises OSError."""
    target = path.resolve()  # a link keeps pointing where it did
    if target.exists() and not target.is_file():  # a pipe, /dev/stdout: nothing to replace
        with target.open("w", encoding="utf-8", errors="replace") as file:
            file.writelines(pieces)
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with partial.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.writelines(pieces)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
