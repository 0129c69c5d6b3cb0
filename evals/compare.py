"""`rlvr compare`: two scored runs on the same problems, problem by problem."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from sys import float_info
from typing import Any, cast

from ..verifiers.columns import ALIASES, is_number
from ..verifiers.types import STATUSES
from .errors import BadRow, UsageError
from .files import Row, Source, json_type
from .metrics import Estimate, estimate, proportion, wilson
from .paired import detectable, holm, mcnemar, sign_flip
from .run_dir import FREE_OPTIONS, SCORED, is_run, read_manifest

_NAMED = 3
_ANSWER = 200  # characters of an answer that are kept
_NO_SETTING = frozenset(
    {"started", "command", "folder_git", "first_prompt.problem", "first_prompt.messages", "first_prompt.text"}
    | {"engine.model", *(f"engine.options.{name}" for name in FREE_OPTIONS)}
)
"""Of two manifests: what says nothing of how the runs were made, or says again what another entry says."""


@dataclass(slots=True)
class _Scores:
    """What one run has of one problem."""

    samples: set[int] = field(default_factory=set[int])
    scores: Counter[float] = field(default_factory=Counter[float])
    correct: int = 0
    golds: set[str] = field(default_factory=set[str])
    answers: Counter[str] = field(default_factory=Counter[str])

    @property
    def mean(self) -> Fraction:
        """Of the scores as they are written: 0.1 is a tenth."""
        total = sum((Fraction(repr(score)) * count for score, count in self.scores.items()), Fraction())
        return total / len(self.samples)

    @property
    def share(self) -> Fraction:
        return Fraction(self.correct, len(self.samples))

    @property
    def answer(self) -> dict[str, Any] | None:
        """The most frequent answer as it was written, and how many samples gave it; None where none has an answer."""
        return next(({"text": text, "samples": count} for text, count in self.answers.most_common(1)), None)


@dataclass(slots=True)
class ScoredRun:
    """The scored rows of one run, by problem."""

    name: str
    manifest: Row | None = None
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
        file /= SCORED
        if not file.exists():
            raise UsageError(f"{path}: holds no {SCORED}; score the run first")
    of_run = file.name == SCORED and is_run(file.parent)
    run = ScoredRun(path, read_manifest(file.parent) if of_run else None)
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
    if score is not None and not (is_number(score) and abs(score) <= float_info.max):
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
    answer = row.get("extracted")
    if isinstance(answer, str) and answer:
        problem.answers[answer if len(answer) <= _ANSWER else f"{answer[:_ANSWER]}…"] += 1


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
        "settings": None if a.manifest is None or b.manifest is None else differing_settings(a.manifest, b.manifest),
        "scores": [
            {"id": id, "a": float(x.mean), "b": float(y.mean)} for id, x, y in zip(ids, ours, theirs, strict=True)
        ],
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
        mean = proportion(means) if min(means) >= 0 and max(means) <= 1 else estimate(means)
    return {"name": run.name, "samples_per_problem": run.most, "not_judged": run.not_judged, "score": asdict(mean)}


def _mcnemar(ours: Sequence[_Scores], theirs: Sequence[_Scores]) -> dict[str, Any]:
    only_a = sum(x.correct > y.correct for x, y in zip(ours, theirs, strict=True))
    only_b = sum(x.correct < y.correct for x, y in zip(ours, theirs, strict=True))
    return {"only_a": only_a, "only_b": only_b, "p": mcnemar(only_a, only_b)}


def differing_settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What two manifests say differently, each as name, a and b; None where one does not say it.

    >>> differing_settings({"sampling": {"seed": 0, "top_p": 1}}, {"sampling": {"seed": 1, "top_p": 1}})
    [{'name': 'sampling.seed', 'a': 0, 'b': 1}]
    """
    ours, theirs = dict(_flat(a)), dict(_flat(b))
    names = [*ours, *(name for name in theirs if name not in ours)]
    rows = ({"name": name, "a": ours.get(name), "b": theirs.get(name)} for name in names if name not in _NO_SETTING)
    return [row for row in rows if row["a"] != row["b"]]


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(cast(Row, value), f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _flipped(ids: Sequence[str], ours: Sequence[_Scores], theirs: Sequence[_Scores]) -> Iterator[dict[str, Any]]:
    """Problems that more than half of one run's samples got right and less than half of the other's, largest first."""
    half = Fraction(1, 2)
    rows = [(id, x, y) for id, x, y in zip(ids, ours, theirs, strict=True) if (x.share - half) * (y.share - half) < 0]
    for id, x, y in sorted(rows, key=lambda row: -abs(row[1].share - row[2].share)):
        yield {
            "id": id, "a": float(x.share), "b": float(y.share), "gold": min(x.golds | y.golds, default=None),
            "answer_a": x.answer, "answer_b": y.answer,
        }  # fmt: skip


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
