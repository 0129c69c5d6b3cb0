"""`rlvr score` on a dump beside a plain loop over `math_verify.parse` and `verify`, and beside the floor.

    python benchmarks/score_dump.py [DUMP.jsonl]        (default: ../shared/data/dumps/sky_t1_32b_math500.jsonl)

All run in turn on one processor, in processes of their own, RUNS times; medians are printed. The floor reads the file,
parses the rows and finds the boxes. Process start and imports are measured apart on every side and subtracted. For ours
they are those of `rlvr score` on one row, and the start of the math-verify worker; the samples that reached math-verify
are counted and timed apart.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

RUNS = 5
DUMP = Path(__file__).parents[2] / "shared" / "data" / "dumps" / "sky_t1_32b_math500.jsonl"
Row = tuple[str, str]
Result = dict[str, Any]


def rows(path: str) -> list[Row]:
    """(gold, completion) pairs of a dump whose columns are `answer` and `code` or `response`."""
    pairs: list[Row] = []
    with Path(path).open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            texts = row.get("response") or row["code"]
            pairs += [(row["answer"], text) for text in (texts if isinstance(texts, list) else [texts])]
    return pairs


def floor(path: str) -> Result:
    from rlvr.verifiers.extract import last_box

    start = time.perf_counter()
    boxes = [last_box(text) for _, text in rows(path)]
    return {"work": time.perf_counter() - start, "boxes": sum(box is not None for box in boxes)}


def peer(path: str) -> Result:
    """The loop that math-verify's README shows, with its own time limits (5 s to parse, 5 s to compare)."""
    start = time.perf_counter()
    from math_verify import parse, verify

    parse("$1$")
    imports = time.perf_counter() - start
    start = time.perf_counter()

    def judge(gold: str, text: str) -> bool:
        return verify(parse(f"${gold}$"), parse(text))

    times, right = timed(judge, rows(path))
    return {"imports": imports, "work": time.perf_counter() - start, "worst": max(times), "right": right}


def ours_by_sample(path: str) -> Result:
    """Each sample in turn, in this process: the largest time, and the share of those that reach math-verify."""
    from rlvr.verifiers import Completion, Problem, equivalent, verify_math

    start = time.perf_counter()
    equivalent(r"\sqrt{4}", "2")  # starts the worker
    worker = time.perf_counter() - start
    pairs = rows(path)
    reasons: list[str] = []

    def judge(gold: str, text: str) -> bool:
        verdict = verify_math(Problem("", answer=gold), Completion(text))
        reasons.append(verdict.reason)
        return verdict.status == "correct"

    times, right = timed(judge, pairs)
    tail = [t for t, reason in zip(times, reasons, strict=True) if reason.startswith("symbolic")]
    return {
        "worker": worker, "worst": max(times), "right": right, "samples": len(pairs), "verify": sum(times),
        "tail": len(tail), "tail_s": sum(tail), "worst_fast": max(set(times) - set(tail)),
    }  # fmt: skip


def timed(judge: Callable[[str, str], bool], pairs: list[Row]) -> tuple[list[float], int]:
    times: list[float] = []
    right = 0
    for gold, text in pairs:
        start = time.perf_counter()
        right += judge(gold, text)
        times.append(time.perf_counter() - start)
    return times, right


SIDES = {"floor": floor, "peer": peer, "ours": ours_by_sample}


def in_a_process(side: str, path: str) -> Result:
    done = subprocess.run([sys.executable, __file__, "--side", side, path], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def command_seconds(path: str) -> float:
    """Wall-clock seconds of `rlvr score PATH --json`, from start to end."""
    start = time.perf_counter()
    command = [str(Path(sys.executable).with_name("rlvr")), "score", path, "--json", "--quiet"]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main(path: str) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as one:
        one.write(json.dumps({"answer": "1", "code": r"\boxed{1}"}) + "\n")
        one.flush()
        runs = [
            {"command": command_seconds(path), "start": command_seconds(one.name)}
            | {side: in_a_process(side, path) for side in SIDES}
            for _ in range(RUNS)
        ]

    def middle(read: Callable[[Any], float]) -> float:
        return median(read(run) for run in runs)

    ours, theirs = runs[0]["ours"], runs[0]["peer"]
    work = middle(lambda r: r["command"] - r["start"] - (r["ours"]["worker"] if r["ours"]["tail"] else 0))
    fast = work - middle(lambda r: r["ours"]["tail_s"])
    theirs_work = middle(lambda r: r["peer"]["work"])
    floor_work = middle(lambda r: r["floor"]["work"])
    print(f"{Path(path).name}: {ours['samples']} samples; medians of {RUNS} runs on one processor\n")
    print(f"{'':34}{'rlvr score':>12}{'math-verify':>13}{'floor':>9}")
    print(
        f"{'start and imports (not counted)':34}{middle(lambda r: r['start']):10.2f} s"
        f"{middle(lambda r: r['peer']['imports']):11.2f} s{'':>9}"
    )
    print(f"{'worker start (not counted)':34}{middle(lambda r: r['ours']['worker']):10.2f} s")
    print(f"{'whole command, everything counted':34}{middle(lambda r: r['command']):10.2f} s")
    print(f"{'work':34}{work:10.3f} s{theirs_work:11.3f} s{floor_work:7.3f} s")
    tail = middle(lambda r: r["ours"]["tail_s"])
    print(f"{'  of which reached math-verify':34}{tail:10.3f} s   ({ours['tail']} samples)")
    print(f"{'  the rest':34}{fast:10.3f} s")
    print(
        f"{'largest for one sample':34}{middle(lambda r: r['ours']['worst']) * 1000:9.1f} ms"
        f"{middle(lambda r: r['peer']['worst']) * 1000:10.1f} ms"
    )
    print(f"{'  without math-verify':34}{middle(lambda r: r['ours']['worst_fast']) * 1000:9.1f} ms")
    print(f"{'judged correct':34}{ours['right']:12}{theirs['right']:13}")
    print(f"\nratio of wall times, math-verify / rlvr score: {theirs_work / work:.1f}")
    print(f"rlvr score / floor: {work / floor_work:.1f}; where math-verify is not reached: {fast / floor_work:.1f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        print(json.dumps(SIDES[sys.argv[2]](sys.argv[3])))
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else str(DUMP))
