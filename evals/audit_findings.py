"""The findings of an audit as rows: count, share, severity, and the samples to look at."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from ..verifiers.types import STATUSES, Status
from .audit_equal import Equality
from .audit_groups import Spread
from .audit_kinds import KINDS, LEVELS, severity
from .audit_opinion import Answers, Pair
from .audit_table import Samples

_SHOWN = 300  # characters of an answer or a gold


class Findings:
    """Findings as they are made. `top` samples are listed with each; `names` are the files."""

    def __init__(self, samples: Samples, names: Sequence[str], top: int) -> None:
        self._samples, self._names, self._top = samples, names, top
        self._found: list[dict[str, Any]] = []
        self.skipped: list[dict[str, str]] = []

    def add(
        self,
        key: str,
        count: int,
        of: int,
        worst: Sequence[tuple[int, str]] = (),
        *,
        says: str = "",
        level: str | None = None,
        cases: int | None = None,
        entries: int | None = None,
    ) -> None:
        """One finding. `cases` is how many problems show it, where that is not `count`; `entries` how many there are to
        list, where `worst` is not all of them."""
        kind, problems = KINDS[key], len(self._samples.golds)
        cases = count if cases is None else cases
        listed = [self._place(i, why) for i, why in worst[: self._top]]
        self._found.append(
            {
                "key": key,
                "section": kind.section,
                "title": kind.title,
                "severity": level or severity(kind, count, of, cases=cases, problems=problems),
                "count": count,
                "of": of,
                "share": count / of if of else 0.0,
                "unit": kind.unit,
                "says": says,
                "definition": kind.definition,
                "thresholds": kind.thresholds,
                "worst": listed,
                "more": (len(worst) if entries is None else entries) - len(listed),
            }
        )

    def add_samples(
        self,
        key: str,
        members: Sequence[int],
        of: int,
        worst: Sequence[tuple[int, str]] | None = None,
        *,
        says: str = "",
        entries: int | None = None,
    ) -> None:
        """A finding in so many samples; without `worst` the first of them are listed."""
        cases = len({self._samples.tally.problem[i] for i in members})
        if worst is None:
            worst, entries = [(i, "") for i in members[: self._top]], len(members)
        self.add(key, len(members), of, worst, says=says, cases=cases, entries=entries)

    def skip(self, key: str, why: str) -> None:
        """What could not be looked for."""
        self.skipped.append({"key": key, "title": KINDS[key].title, "why": why})

    def skip_in_part(self, key: str, equal: Equality) -> None:
        """What was not looked for everywhere, where comparisons were left out."""
        if equal.note is not None:
            self.skip(key, equal.note)

    def ordered(self) -> list[dict[str, Any]]:
        """Severe ones first, then in the order of `KINDS`."""
        kinds = list(KINDS)
        return sorted(self._found, key=lambda each: (LEVELS.index(each["severity"]), kinds.index(each["key"])))

    def _place(self, sample: int, why: str) -> dict[str, Any]:
        samples = self._samples
        problem, score, step = samples.tally.problem[sample], samples.score(sample), samples.step[sample]
        return {
            "id": samples.id_of(problem),
            "sample": samples.number[sample],
            "file": self._names[samples.file[sample]],
            "line": samples.line[sample],
            "step": step if step >= 0 else None,
            "score": None if isnan(score) else score,
            "extracted": _short(samples.tally.answer(sample), _SHOWN),
            "gold": _short(samples.golds[problem], _SHOWN),
            "why": why,
        }


def opinion_findings(found: Findings, answers: Answers | None, why_not: str | None) -> None:
    """Where math-verify disagrees, either way."""
    if answers is None:
        for key in ("paid", "unpaid"):
            found.skip(key, why_not or "")
        return
    _disagreement(found, "paid", [(pair, pair.right) for pair in answers.paid], answers.right)
    _disagreement(found, "unpaid", [(pair, pair.wrong) for pair in answers.unpaid], answers.wrong)


def _disagreement(found: Findings, key: str, pairs: Sequence[tuple[Pair, Sequence[int]]], of: int) -> None:
    worst = [
        (members[0], f"gold {_line(pair.gold)}, answer {_line(pair.answer)}: {_plural(len(members), 'sample')}")
        for pair, members in pairs
    ]
    says = f"{_plural(len(pairs), 'different pair')} of gold and answer" if pairs else ""
    found.add(key, sum(len(members) for _, members in pairs), of, worst, says=says, cases=len(pairs))


def verdict_findings(found: Findings, samples: Samples, parts: Sequence[Mapping[str, Any]]) -> None:
    """What was not judged, found or finished, and parts that never vary."""
    tally = samples.tally
    statuses: tuple[Status, ...] = ("unextracted", "truncated", "timeout")
    for status in statuses:
        number = STATUSES.index(status)
        found.add_samples(status, [i for i, each in enumerate(tally.status) if each == number], len(samples))
    unjudged = [i for i in range(len(samples)) if not samples.judged(i)]
    causes = ", ".join(f"{reason} {n:,}" for reason, n in samples.unjudged.most_common(4))
    found.add_samples("not_judged", unjudged, len(samples), says=causes)
    if not parts:
        found.skip("dead_part", "the reward has no parts")
        return
    judged = [part for part in parts if part["judged"] > 1]
    dead = [part for part in judged if not part["varies"]]
    said = ", ".join(f"{part['name']} is always {part['max']:g}" for part in dead[:6])
    found.add("dead_part", len(dead), len(judged), says=said)


def group_findings(found: Findings, samples: Samples, groups: Spread) -> None:
    """Groups without spread, problems that none or all solve, golds that may be wrong."""
    problems = len(groups.shares)
    if not problems:
        for key in ("no_spread", "unsolved", "solved", "suspect_gold"):
            found.skip(key, "no problem has two judged samples")
        return
    found.add("unsolved", len(groups.unsolved), problems, [(i, "") for i in groups.unsolved])
    found.add("solved", len(groups.solved), problems)
    same = f", {len(groups.all_same):,} the same otherwise" if groups.all_same else ""
    says = f"{len(groups.all_wrong):,} all wrong, {len(groups.all_right):,} all right{same}"
    kinds = ((groups.all_wrong, "all wrong"), (groups.all_same, "all the same"))
    worst = [(i, kind) for members, kind in kinds for i in members]  # those all right have nothing to show
    found.add("no_spread", len(worst) + len(groups.all_right), groups.groups, worst, says=says)
    worst = [
        (
            each.samples[0],
            ("" if each.gold is None else f"gold {_line(each.gold)}; ")
            + f"{each.share:.0%} of its samples say {_line(each.answer)}",
        )
        for each in groups.suspects
    ]
    found.add("suspect_gold", len(worst), problems, worst)


def length_finding(found: Findings, lengths: Mapping[str, Any]) -> None:
    """Whether right samples are longer or shorter than wrong ones of the same problem."""
    problems, ci95, rank = lengths["problems"], lengths["ci95"], lengths["correlation"]
    if ci95 is None:
        found.skip("length", f"{_plural(problems, 'problem')} with both right and wrong samples; two are needed")
        return
    difference, relative = lengths["difference"], lengths["relative"]
    way = "longer" if difference > 0 else "shorter"
    says = (
        f"right ones are {abs(difference):,.0f} {lengths['unit']} ({abs(relative):.0%}) {way} than wrong ones of the "
        f"same problem, on average over the {problems:,} problems with both; 95 % interval of the difference "
        + f"{ci95[0]:+,.0f} to {ci95[1]:+,.0f}".replace("-", "−")
    )
    if rank is not None:
        says += f"; rank correlation of length and score {rank:+.2f}".replace("-", "−") + (
            f", ranked within each problem and pooled over all {lengths['ranked_samples']:,} samples of the "
            f"{lengths['ranked_problems']:,} problems with two or more"
        )
    sure = ci95[0] > 0 or ci95[1] < 0
    found.add("length", problems, problems, says=says, level="look" if sure and abs(relative) >= 0.1 else "fine")


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _short(text: str | None, limit: int) -> str | None:
    return text if text is None or len(text) <= limit else f"{text[:limit]}…"


def _line(text: str | None) -> str:
    return "none" if text is None else " ".join((_short(text, 60) or "").split())
