"""`rlvr audit`: what is wrong with a reward, looked for in what it scored.

The `--json` object (`audit` returns it):

rlvr, files, samples, problems, steps, rewarded, bad_rows   what was read; a sample is rewarded when judged `correct`
judged, score {mean, min, max}                              how many samples have a score, and what it is over them
findings [{key, section, title, severity, count, of, share, unit, says, definition, thresholds, worst [{id, sample,
          file, line, step, score, extracted, gold, why}], more}]      most severe first; severity serious, look or fine
skipped [{key, title, why}]                                 what could not be looked for, or not everywhere
status {…}, reasons [{status, reason, count, share}]
parts [{name, samples, judged, mean, max, share_zero, share_max, correlation, varies}]
spread {groups, all_right, all_wrong, all_same, shares}     shares: problems with none, up to each tenth, and all right
second_opinion {pairs, samples, agree, no_opinion, hanging, left_out} or null
lengths {unit, problems, difference, ci95, relative, correlation, ranked_problems, ranked_samples, deciles [{from, to,
         samples, score, beyond}], …}
curves [{from, to, samples, score, correct, length, no_spread, shares {key: share}}]   where rows have a step

The mean of `score` leaves out samples that were not judged; that of `rlvr score` counts them as 0, and differs where
there are any.

Of `lengths`, `difference` is a mean over `problems`, those with both right and wrong samples, each counted once.
`correlation` is Spearman's rank correlation of length and score: the ranks are within each problem, and pooled over the
`ranked_samples` of the `ranked_problems` that have two or more judged and not cut, so that every sample counts and no
length outweighs the others. The two may have different signs.
"""

import heapq
from array import array
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from math import fsum, isnan
from typing import Any

from . import audit_text
from .audit_curves import curves
from .audit_equal import Equality
from .audit_findings import Findings, group_findings, length_finding, opinion_findings, verdict_findings
from .audit_groups import length_bias, same_texts, short_winners, spread
from .audit_opinion import ask, installed, question
from .audit_rows import Scored, ScoredFiles
from .audit_table import Parts, Samples
from .errors import BadRow, UsageError
from .score import Progress

_FLAGS = {key: 1 << place for place, key in enumerate(audit_text.DEFINITIONS)}


class Reading:
    """One pass over the rows: what is kept of each, and the worst `top` samples of every check on a text.

    Raises UsageError for what the user can mend.
    """

    def __init__(self, files: ScoredFiles, top: int) -> None:
        self.files, self.top = files, top
        self.samples, self.parts = Samples(), Parts()
        self.flags = array("H")
        """By sample: the checks that hit."""
        self.leaks: dict[int, tuple[int, str]] = {}
        """By problem whose prompt gives the gold away: its first sample, and where it does."""
        self.equal = Equality()
        """What answers within one text are compared with."""
        self._worst: dict[str, list[tuple[float, int, str]]] = {key: [] for key in _FLAGS}
        for scored in files:
            try:
                self._add(scored)
            except BadRow as error:
                files.refuse(error)
        if not len(self.samples):
            raise UsageError(f"{', '.join(files.names)}: no rows to audit")

    @property
    def rewarded(self) -> list[int]:
        """The samples that were."""
        return [i for i in range(len(self.samples)) if self.samples.rewarded(i)]

    def hit(self, key: str) -> list[int]:
        """The samples that a check hit."""
        return [i for i, flags in enumerate(self.flags) if flags & _FLAGS[key]]

    def worst(self, key: str) -> list[tuple[int, str]]:
        """The worst of them first."""
        return [(-place, why) for _, place, why in sorted(self._worst[key], reverse=True)]

    def _add(self, scored: Scored) -> None:
        samples = self.samples
        new = samples.tally.find(scored.problem.id) is None
        index = samples.add(scored, self.files.names[scored.file])
        self.parts.add(scored.verdict)
        self.flags.append(0)
        if new and (leak := audit_text.leaked_gold(scored.problem)) is not None:
            self.leaks[samples.tally.problem[index]] = (index, leak)
        if not samples.rewarded(index):
            return
        seen = audit_text.look_at_winner(scored.problem, scored.completion, scored.verdict.extracted, self.equal)
        for key, (badness, why) in seen.items():
            self.flags[index] |= _FLAGS[key]
            entry, heap = (badness, -index, why), self._worst[key]
            if len(heap) < self.top:
                heapq.heappush(heap, entry)
            else:
                heapq.heappushpop(heap, entry)


def audit(
    reading: Reading,
    *,
    second_opinion: bool | None = None,
    limit: int = 20_000,
    workers: int | None = None,
    asking: Callable[[int], AbstractContextManager[Progress]] = lambda pairs: nullcontext(Progress()),
) -> dict[str, Any]:
    """The `--json` object of what was read.

    second_opinion: whether math-verify is asked; None where the reward judges mathematics and it is installed. limit:
    pairs of gold and answer that it is asked about. workers: its processes, None for one per core. `asking` is given
    the number of pairs and shows how far it is. Raises UsageError where it is wanted and not installed.
    """
    if second_opinion and not installed():
        raise UsageError("--second-opinion needs math-verify: pip install math-verify")
    samples = reading.samples
    found = Findings(samples, reading.files.names, reading.top)
    asked = question(samples, wanted=second_opinion, limit=limit)
    with asking(len(asked.pairs)) as progress:
        answers = ask(asked, workers, progress)
    opinion_findings(found, answers, asked.why_not)
    _winner_findings(found, reading)
    agreeing = Equality()
    parts, groups, lengths = reading.parts.rows(), spread(samples, agreeing), length_bias(samples)
    group_findings(found, samples, groups)
    found.skip_in_part("suspect_gold", agreeing)
    verdict_findings(found, samples, parts)
    length_finding(found, lengths)
    judged = [score for score in samples.tally.score if not isnan(score)]
    steps = [step for step in samples.step if step >= 0]
    return {
        "rlvr": version("rlvr"),
        "files": reading.files.names,
        "samples": len(samples),
        "problems": len(samples.golds),
        "steps": [min(steps), max(steps)] if steps else None,
        "rewarded": len(reading.rewarded),
        "bad_rows": reading.files.bad_rows,
        "judged": len(judged),
        "score": {"mean": fsum(judged) / len(judged), "min": min(judged), "max": max(judged)} if judged else None,
        "findings": found.ordered(),
        "skipped": found.skipped,
        "status": samples.tally.status_counts(),
        "reasons": [
            {"status": status, "reason": reason, "count": n, "share": n / len(samples)}
            for (status, reason), n in samples.tally.reasons.most_common()
        ],
        "parts": parts,
        "spread": groups.row(),
        "second_opinion": None if answers is None else answers.row(),
        "lengths": lengths,
        "curves": curves(samples, reading.flags, _FLAGS) if steps else [],
    }


def _winner_findings(found: Findings, reading: Reading) -> None:
    """What the checks on rewarded texts found."""
    samples, rewarded = reading.samples, len(reading.rewarded)
    if not rewarded:
        for key in ("short", *_FLAGS, "leaked_gold", "same_text"):
            found.skip(key, "no sample was judged correct")
        return
    short = short_winners(samples)
    worst = [(i, f"{samples.tally.length[i]:,} characters, {share:.1%} of the median") for share, i in short]
    found.add_samples("short", [i for _, i in short], rewarded, worst)
    for key in _FLAGS:
        if key == "cut" and all(known < 0 for known in samples.tally.finished):
            found.skip(key, "no row says whether a completion was cut (finish_reason)")
        else:
            hit = reading.hit(key)
            found.add_samples(key, hit, rewarded, reading.worst(key), entries=len(hit))
    differing = Equality()
    same = same_texts(samples, differing)
    worst = [(members[0], f"won {len(members):,} times in {problems:,} problems") for problems, members in same]
    found.add_samples("same_text", [i for _, members in same for i in members], rewarded, worst)
    found.skip_in_part("same_text", differing)
    found.skip_in_part("hedged", reading.equal)
    if all(prompt == hash(None) for prompt in samples.prompts) or all(gold is None for gold in samples.golds):
        found.skip("leaked_gold", "the rows hold no prompts, or no gold answers")
    else:
        found.add("leaked_gold", len(reading.leaks), len(samples.golds), list(reading.leaks.values()))
