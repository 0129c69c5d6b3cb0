"""`rlvr compare`: two scored runs on the same problems, problem by problem."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ..verifiers.types import STATUSES
from .columns import ALIASES
from .errors import BadRow, UsageError
from .files import Row, Source, json_type
from .metrics import Estimate, estimate, wilson
from .paired import detectable, holm, mcnemar, sign_flip
from .render import Output

SHOWN = 20
"""Flipped problems that the terminal lists; `--json` has all of them."""
_NAMED = 3


@dataclass(slots=True)
class _Scores:
    """What one run has of one problem."""

    samples: set[int] = field(default_factory=set[int])
    scores: Counter[float] = field(default_factory=Counter[float])
    correct: int = 0
    golds: set[str] = field(default_factory=set[str])

    @property
    def mean(self) -> Fraction:
        """Of the scores as they are written: 0.1 is a tenth."""
        total = sum((Fraction(repr(score)) * count for score, count in self.scores.items()), Fraction())
        return total / len(self.samples)

    @property
    def share(self) -> Fraction:
        return Fraction(self.correct, len(self.samples))


@dataclass(slots=True)
class ScoredRun:
    """The scored rows of one run, by problem."""

    name: str
    not_judged: int = 0
    problems: dict[str, _Scores] = field(default_factory=dict[str, _Scores])

    @property
    def most(self) -> int:
        """Samples of the problem that has most."""
        return max(len(problem.samples) for problem in self.problems.values())

    @property
    def short(self) -> list[str]:
        """Problems that have fewer samples than others."""
        return [id for id, problem in self.problems.items() if len(problem.samples) < self.most]


def compare(paths: Sequence[str], *, common: bool = False) -> dict[str, Any]:
    """The `--json` object for runs A B (A B …): pairs of files that `rlvr score --out` wrote, or of their directories.

    Differences are B minus A. `common` compares on the problems that both have whole, instead of refusing.
    Raises UsageError for what the user can mend: an odd number of runs, rows without a verdict, problems that only one
    of the two has, problems with unequal numbers of samples.
    """
    if not paths or len(paths) % 2:
        raise UsageError(f"takes runs in pairs, A B or A1 B1 A2 B2 …; here are {len(paths)}")
    pairs = [
        _compare(read_scored(a), read_scored(b), common=common) for a, b in zip(paths[::2], paths[1::2], strict=True)
    ]
    adjusted = holm([pair["sign_flip"]["p"] for pair in pairs])
    for pair, p in zip(pairs, adjusted, strict=True):
        pair["sign_flip"]["holm"] = p
    return {"rlvr": version("rlvr"), "pairs": pairs}


def read_scored(path: str) -> ScoredRun:
    """The rows of a scored file, or of the `scored.jsonl` of a directory. Raises UsageError."""
    file = Path(path)
    if file.is_dir():
        file /= "scored.jsonl"
        if not file.exists():
            raise UsageError(f"{path}: holds no scored.jsonl; score the run first")
    run = ScoredRun(path)
    for line in Source(str(file)).lines():
        if isinstance(line.row, BadRow):
            raise line.row
        _add(run, line.row, str(file), line.number)
    if not run.problems:
        raise UsageError(f"{path}: no rows to compare")
    return run


def _add(run: ScoredRun, row: Row, name: str, line: int) -> None:
    for column in ("id", "sample", "score", "status"):
        if column not in row:
            raise BadRow(name, line, f"no column {column!r}: not a row that `rlvr score --out` wrote; score it first")
    sample, score, status = row["sample"], row["score"], row["status"]
    if not isinstance(row["id"], str):
        raise BadRow(name, line, f"column 'id': is {json_type(row['id'])}; a problem id is text")
    if not isinstance(sample, int) or isinstance(sample, bool):
        raise BadRow(name, line, f"column 'sample': is {json_type(sample)}; a sample is a whole number")
    numeric = isinstance(score, int | float) and not isinstance(score, bool)
    if score is not None and not (numeric and isfinite(score)):
        raise BadRow(name, line, f"column 'score': is {json_type(score)}; a score is a finite number, or null")
    if status not in STATUSES:
        raise BadRow(name, line, f"column 'status': {status!r} is none of {', '.join(STATUSES)}")
    problem = run.problems.setdefault(row["id"], _Scores())
    if sample in problem.samples:
        raise BadRow(name, line, f"sample {sample} of problem {row['id']!r} stands in the file twice")
    problem.samples.add(sample)
    problem.scores[float(score or 0)] += 1
    problem.correct += status == "correct"
    run.not_judged += score is None
    gold = next((row[column] for column in ALIASES["answer"] if column in row), None)
    if isinstance(gold, str | int | float):
        problem.golds.add(str(gold))


def _compare(a: ScoredRun, b: ScoredRun, *, common: bool) -> dict[str, Any]:
    notes = list[str]()
    ids = _common(a, b, notes) if common else _same(a, b)
    ours, theirs = ([run.problems[id] for id in ids] for run in (a, b))
    differences = [y.mean - x.mean for x, y in zip(ours, theirs, strict=True)]
    difference = estimate([float(each) for each in differences])
    told = difference.stderr is not None and difference.stderr > 0
    if len(ids) == 1:
        notes.append("one problem cannot tell how much the difference would vary: no interval")
    elif not told:
        notes.append("the difference is the same on every problem: they cannot tell its error, and it has no interval")
        difference = Estimate(difference.mean, None, None)
    notes += [*_gold_notes(ids, ours, theirs), *_judged_notes(a, b)]
    one_each = a.most == b.most == 1
    return {
        "a": _described(a, ours),
        "b": _described(b, theirs),
        "problems": len(ids),
        "difference": asdict(difference),
        "sign_flip": asdict(sign_flip(differences)),
        "mcnemar": _mcnemar(ours, theirs) if one_each else None,
        "detectable": detectable(difference.stderr, len(ids)) if told and difference.stderr else None,
        "flipped": list(_flipped(ids, ours, theirs)),
        "notes": notes,
    }


def _same(a: ScoredRun, b: ScoredRun) -> list[str]:
    """The problems of both runs, which must be the same and whole."""
    way_out = "; --common compares on what both have whole"
    for one, other in ((a, b), (b, a)):
        missing = [id for id in other.problems if id not in one.problems]
        if missing:
            raise UsageError(
                f"{one.name}: lacks {len(missing):,} of the {len(other.problems):,} problems of {other.name}: "
                f"{_named(missing)}{way_out}"
            )
    for run in (a, b):
        if run.short:
            raise UsageError(
                f"{run.name}: {len(run.short):,} of {len(run.problems):,} problems have fewer than {run.most:,} "
                f"samples: {_named(run.short)}{way_out}"
            )
    return list(a.problems)


def _common(a: ScoredRun, b: ScoredRun, notes: list[str]) -> list[str]:
    short = {*a.short, *b.short}
    ids = [id for id in a.problems if id in b.problems and id not in short]
    if not ids:
        raise UsageError(f"{a.name} and {b.name}: have no problem in common that is whole in both")
    for run in (a, b):
        left_out = len(run.problems) - len(ids)
        if left_out:
            notes.append(f"{run.name}: {left_out:,} of {len(run.problems):,} problems are left out (--common)")
    return ids


def _described(run: ScoredRun, problems: Sequence[_Scores]) -> dict[str, Any]:
    means = [float(problem.mean) for problem in problems]
    if run.most == 1 and set(means) <= {0.0, 1.0}:
        mean = wilson(int(sum(means)), len(means))
    else:
        mean = estimate(means)
        mean = mean.within_unit_interval() if min(means) >= 0 and max(means) <= 1 else mean
    return {"name": run.name, "samples_per_problem": run.most, "not_judged": run.not_judged, "score": asdict(mean)}


def _mcnemar(ours: Sequence[_Scores], theirs: Sequence[_Scores]) -> dict[str, Any]:
    only_a = sum(x.correct > y.correct for x, y in zip(ours, theirs, strict=True))
    only_b = sum(x.correct < y.correct for x, y in zip(ours, theirs, strict=True))
    return {"only_a": only_a, "only_b": only_b, "p": mcnemar(only_a, only_b)}


def _flipped(ids: Sequence[str], ours: Sequence[_Scores], theirs: Sequence[_Scores]) -> Iterator[dict[str, Any]]:
    """Problems that more than half of one run's samples got right and less than half of the other's, largest first."""
    half = Fraction(1, 2)
    rows = [
        (id, x.share, y.share)
        for id, x, y in zip(ids, ours, theirs, strict=True)
        if (x.share - half) * (y.share - half) < 0
    ]
    for id, x, y in sorted(rows, key=lambda row: -abs(row[1] - row[2])):
        yield {"id": id, "a": float(x), "b": float(y)}


def _gold_notes(ids: Sequence[str], ours: Sequence[_Scores], theirs: Sequence[_Scores]) -> list[str]:
    """Runs made with different versions of a benchmark have the same ids."""
    known = [
        (id, *x.golds, *y.golds)
        for id, x, y in zip(ids, ours, theirs, strict=True)
        if len(x.golds) == len(y.golds) == 1 and x.golds != y.golds
    ]
    if not known:
        return []
    id, gold_a, gold_b = known[0]
    return [
        f"{len(known):,} of {len(ids):,} problems have another gold answer in B than in A, first {id!r}: {gold_a!r} "
        f"and {gold_b!r}; are these the same problems?"
    ]


def _judged_notes(a: ScoredRun, b: ScoredRun) -> list[str]:
    return [
        f"{run.name}: {run.not_judged:,} samples were not judged and count as no score"
        for run in (a, b)
        if run.not_judged
    ]


def _named(ids: Sequence[str]) -> str:
    """A few of them, shortened.

    >>> _named(["p1", "p2", "p3", "p4"])
    "'p1', 'p2', 'p3' and 1 more"
    """
    names = ", ".join(repr(id if len(id) <= 40 else f"{id[:40]}…") for id in ids[:_NAMED])
    return names if len(ids) <= _NAMED else f"{names} and {len(ids) - _NAMED:,} more"


def print_comparison(found: dict[str, Any]) -> None:
    """The comparison on standard output; colours on a terminal only."""
    console = Output(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 100)
    for pair in found["pairs"]:
        console.print()
        console.print(_means(pair))
        console.print()
        for sentence in _sentences(pair, tests=len(found["pairs"])):
            console.print(sentence)
        if pair["flipped"]:
            console.print()
            console.print(_flips(pair["flipped"]))
        for note in pair["notes"]:
            console.print(f"[dim]note:[/] {escape(note)}")


def _means(pair: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(f"{pair['problems']:,} problems", overflow="fold")
    for heading in ("samples each", "mean score", "std. error", "95 % interval"):
        table.add_column(heading, justify="right")
    for letter in ("a", "b"):
        run = pair[letter]
        name = f"[bold]{letter.upper()}[/] {escape(run['name'])}"
        table.add_row(name, f"{run['samples_per_problem']:,}", *_cells(run["score"], ""))
    table.add_row("[bold]B − A[/]", "", *_cells(pair["difference"], "+"))
    return table


def _cells(value: dict[str, Any], sign: str) -> tuple[str, str, str]:
    interval = value["ci95"]
    return (
        f"[bold]{_percent(value['mean'], sign)}[/]",
        "" if value["stderr"] is None else _percent(value["stderr"]),
        "none" if interval is None else f"{_percent(interval[0], sign)} to {_percent(interval[1], sign)}",
    )


def _sentences(pair: dict[str, Any], *, tests: int) -> Iterator[str]:
    flip, pairs = pair["sign_flip"], pair["mcnemar"]
    error = f" ± {flip['error']:.2g}, drawn" if flip["error"] else ""
    adjusted = f"; [bold]{flip['holm']:.3g}[/] for {tests} tests (Holm)" if tests > 1 else ""
    yield f"p = [bold]{flip['p']:.3g}[/]{error} by sign flips over problems{adjusted}"
    if pairs is not None:
        yield (
            f"p = [bold]{pairs['p']:.3g}[/] by McNemar's exact test: {pairs['only_a']:,} problems only A got right, "
            f"{pairs['only_b']:,} only B"
        )
    if pair["detectable"] is not None:
        yield (
            f"a difference of [bold]{_percent(pair['detectable'])}[/] would have been found 4 times out of 5 "
            "(level 5 %, power 80 %)"
        )


def _flips(flipped: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(f"{len(flipped):,} problems flipped", overflow="fold")
    table.add_column("right in A", justify="right")
    table.add_column("right in B", justify="right")
    for row in flipped[:SHOWN]:
        colour = "green" if row["b"] > row["a"] else "red"
        table.add_row(escape(row["id"]), f"{row['a']:.1%}", f"[{colour}]{row['b']:.1%}[/]")
    if len(flipped) > SHOWN:
        table.add_row(f"[dim]and {len(flipped) - SHOWN:,} more (--json lists all)[/]", "", "")
    return table


def _percent(value: float, sign: str = "") -> str:
    return f"{100 * value:{sign}.2f} %"
