"""What a run comes to: scored.jsonl in order, summary.json and report.html, of a run that just ended or an old one."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from ..verifiers.types import Problem, Verdict
from .ballots import ballots
from .errors import UsageError
from .files import Row, dump_line
from .output import verdict_row
from .published import beside, warnings
from .report import write_report
from .run_dir import REPORT, SCORED, SUMMARY, Key, RunDir, completion_of
from .scoring import Scorer
from .selection import ReportSample, Selection
from .summary import Summary, summarise
from .tally import Tally
from .verifier import Chosen, choose_verifier

_PARALLEL = ("tensor_parallel_size", "data_parallel_size", "pipeline_parallel_size")


@dataclass(frozen=True, slots=True)
class Scoring:
    """What judging took, in seconds."""

    busy_s: float = 0.0
    after_last_s: float | None = None
    """From the last sample to the last verdict: what scoring added to the run; None where nothing was drawn."""
    run_s: float | None = None
    """What drawing took with it."""


def rescore(folder: RunDir, verifier: str | None = None, options: tuple[str, ...] = (), *, anew: bool) -> Summary:
    """Judge the samples of a run: all of them `anew`, or those without a verdict. Writes its files again.

    Another verifier, or other options, become the run's. Raises UsageError where the folder holds no samples.
    """
    if folder.manifest is None:
        raise UsageError(f"{folder.path}: is no run of ours: no manifest.json")
    kept = folder.manifest["task"]["verifier"]
    if verifier is None and not options:
        options = tuple(f"{name}={json.dumps(value)}" for name, value in kept["options"].items())
    chosen = choose_verifier(kept["name"] if verifier is None else verifier, options)
    try:
        if json.loads(json.dumps(dict(chosen.identity))) != kept:
            folder.rename_verifier(chosen.identity)
        problems = {problem.id: problem for problem in folder.problems()}
        places = {(row["id"], row["sample"]): place for row, place in folder.samples()}
        verdicts: dict[Key, Verdict] = {} if anew else folder.verdicts()
        with Scorer(chosen, verdicts.__setitem__) as scorer:
            for key in [key for key in places if key not in verdicts]:
                _hand_over(scorer, folder, key, problems[key[0]], places[key])
        return conclude(folder, chosen, verdicts, places, Scoring(scorer.busy_s))
    finally:
        chosen.close()


def _hand_over(scorer: Scorer, folder: RunDir, key: Key, problem: Problem, place: int) -> None:
    scorer.add(key, problem, lambda: completion_of(folder.sample_at(place)))


def conclude(
    folder: RunDir,
    chosen: Chosen,
    verdicts: Mapping[Key, Verdict],
    places: Mapping[Key, int],
    scoring: Scoring,
) -> Summary:
    """Write scored.jsonl (by problem and sample), summary.json and report.html; the summary.

    `places` says where each sample stands in samples.jsonl. Raises UsageError when there is no sample at all.
    """
    assert folder.manifest is not None
    if not places:
        raise UsageError(f"{folder.path}: no sample could be had{_first_error(folder)}")
    tally, selection, count = Tally(), Selection(), _Count()

    def scored() -> Iterator[bytes]:
        for problem in folder.problems():
            for sample in range(folder.manifest["task"]["n"] if folder.manifest else 0):
                key = (problem.id, sample)
                if key in places:
                    row = folder.sample_at(places[key])
                    count.add(row)
                    _tell(problem, row, verdicts[key], tally, selection)
                    yield _scored_row(row, problem, verdicts[key])

    folder.write_whole(SCORED, scored())
    run = _run_part(folder, tally, count, places, scoring)
    summary: Summary = {
        "rlvr": folder.manifest["rlvr"],
        "verifier": _spelled(chosen),
        "files": [{"name": str(folder.path)}],
        **summarise(tally, equivalent=chosen.votes),
        "votes": [] if chosen.votes is None else ballots(tally, chosen.votes),
        "bad_rows": 0,
        "seconds": round(scoring.busy_s, 3),
        "run": run,
    }
    task = folder.manifest["task"]
    if task["benchmark"]:
        run["published"] = beside(folder.manifest["model"], task["name"], summary, task["n"], task["published_n"])
        run["warnings"] = warnings(folder.manifest, summary)
    folder.write_whole(SUMMARY, [json.dumps(summary, indent=1).encode() + b"\n"])
    title = f"{task['name']}, {folder.manifest['model']}"
    write_report(folder.path / REPORT, title=title, summary=summary, tally=tally, selection=selection)
    return summary


class _Count:
    """Tokens of the prompts and the completions."""

    def __init__(self) -> None:
        self.tokens = 0
        self.counted = 0
        self.prompts: dict[str, int] = {}

    def add(self, row: Row) -> None:
        if row["n_tokens"] is not None:
            self.tokens += row["n_tokens"]
            self.counted += 1
        if row["prompt_tokens"] is not None:
            self.prompts[row["id"]] = row["prompt_tokens"]


def _run_part(
    folder: RunDir, tally: Tally, count: _Count, places: Mapping[Key, int], scoring: Scoring
) -> dict[str, Any]:
    """What the summary says of the run beyond its scores."""
    manifest = folder.manifest
    assert manifest is not None
    expected = len(folder.problems()) * manifest["task"]["n"]
    errors = Counter(row["error"] for row in _last_errors(folder) if (row["id"], row["sample"]) not in places)
    seconds = folder.seconds()
    engine = manifest["engine"]
    counted = count.counted == len(tally)
    sizes = [engine["options"].get(name) for name in _PARALLEL]
    devices = None if engine["name"] == "openai" else prod(size for size in sizes if isinstance(size, int))
    return {
        "folder": str(folder.path),
        "task": manifest["task"]["name"],
        "model": manifest["model"],
        "revision": engine["revision"],
        "engine": engine["name"],
        "engine_versions": engine["versions"],
        "prompt": manifest["prompt"]["style"],
        "sampling": manifest["sampling"],
        "task_hash": manifest["task"]["hash"],
        "expected": expected,
        "missing": expected - len(tally),
        "errors": [{"error": error, "samples": number} for error, number in errors.most_common(5)],
        "tokens": count.tokens if counted else None,
        "prompt_tokens": sum(count.prompts.values()) if count.prompts else None,
        "seconds": round(seconds, 3),
        "tokens_per_second": count.tokens / seconds if counted and seconds else None,
        "devices": devices,
        "device_hours": None if devices is None else devices * seconds / 3600,
        "scoring": {
            "seconds": scoring.busy_s,
            "share": scoring.busy_s / scoring.run_s if scoring.run_s else None,
            "after_last_sample_s": scoring.after_last_s,
        },
        "published": [],
        "warnings": [],
    }


def _last_errors(folder: RunDir) -> list[Row]:
    return list({(row["id"], row["sample"]): row for row in folder.errors()}.values())


def _first_error(folder: RunDir) -> str:
    errors = Counter(row["error"] for row in _last_errors(folder))
    return "".join(f": {error} ({number} times)" for error, number in errors.most_common(1))


def _scored_row(row: Row, problem: Problem, verdict: Verdict) -> bytes:
    kept = {name: row[name] for name in ("id", "sample", "finish_reason", "n_tokens")}
    gold = {} if problem.answer is None else {"answer": problem.answer}
    return dump_line({**kept, **gold, **verdict_row(verdict)})


def _tell(problem: Problem, row: Row, verdict: Verdict, tally: Tally, selection: Selection) -> None:
    finished = completion_of(row).finished
    tally.add(problem.id, verdict, len(row["completion"]), number=row["sample"], finished=finished)
    selection.add(
        ReportSample(
            problem.id, row["sample"], verdict.status, verdict.score, verdict.reason, verdict.detail, problem.prompt,
            row["completion"], problem.answer, verdict.extracted,
            {name: {"score": p.score, "status": p.status, "reason": p.reason} for name, p in verdict.parts.items()},
        )
    )  # fmt: skip


def _spelled(chosen: Chosen) -> str:
    options: Mapping[str, Any] = chosen.identity["options"]
    return " ".join([chosen.identity["name"], *(f"{name}={value}" for name, value in options.items())])
