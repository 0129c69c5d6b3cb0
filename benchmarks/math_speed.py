"""Pairs per second of `verify_math` on what models really wrote, beside `math-verify` and beside the floor.

    python benchmarks/math_speed.py [--runs N] [--peer-pairs N] [DUMP.jsonl …]   (default: every dump in ../shared/data)

A pair is a gold answer and a whole completion with a box. Every pass has a process of its own, pinned to one core, and
counts processor seconds, so that a busy machine changes little; medians of the runs are printed. Imports and the start
of the tail's worker are measured apart and not counted, on our side and on the peer's.

Steady state: one uncounted pass warms the interpreter's specialised code, never the caches, which are emptied. Caches
must not flatter, so several passes are shown:
  stream     every pair once, in the order of the files, caches empty at the start: what `rlvr score` does
  distinct   each distinct (gold, box) once, caches empty at the start
  cold       every pair, all caches of ours emptied before each one; p50, p99 and max are of this pass
  boxes      as stream, with the text of the last box alone in place of the completion
Pairs that reach the symbolic tail are counted and timed (wall clock) apart from all of these.
The floor finds the last box and compares strings. `math-verify` judges a random subset (seed 0), with its own caches
and time limits, as its README shows; the ratio is that of the time both take for this subset (ours: stream).
"""

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "dumps"
MATH_ALONE = ("sky_t1_32b_math500", "qwen2.5_14b_math500", "qwen_math_100x8")
SEED = 0
Pair = tuple[str, str]
Result = dict[str, Any]


def read_pairs(files: list[str]) -> list[Pair]:
    """(gold, completion) of every sample that has a box; columns are found as `rlvr score` finds them."""
    from rlvr.evals.columns import RowReader
    from rlvr.evals.files import Source
    from rlvr.verifiers.extract import last_box

    pairs: list[Pair] = []
    for file in files:
        reader = RowReader(file, {}, needs_answer=True)
        for line in Source(file).lines():
            assert isinstance(line.row, dict), line.row
            pairs += [
                (sample.problem.answer or "", sample.completion.text)
                for sample in reader.samples(line.row, line.number)
                if last_box(sample.completion.text) is not None
            ]
    return pairs


def subset(pairs: list[Pair], size: int) -> list[Pair]:
    """The peer's share of the pairs, the same in every process."""
    return pairs if len(pairs) <= size else random.Random(SEED).sample(pairs, size)


def caches() -> Iterator[Callable[[], None]]:
    """What empties each cache of ours."""
    found: set[int] = set()
    for name, module in list(sys.modules.items()):
        if name.startswith("rlvr.verifiers"):
            for value in vars(module).values():
                if hasattr(value, "cache_clear") and id(value) not in found:
                    found.add(id(value))
                    yield value.cache_clear


def judge_all(pairs: list[Pair]) -> tuple[float, list[bool], list[float]]:
    """(processor seconds of the fast path, which pairs reached the tail, seconds of those)"""
    from rlvr.verifiers import Completion, Problem, verify_math
    from rlvr.verifiers.math import compare as ladder

    inputs = [(Problem("", answer=gold), Completion(text)) for gold, text in pairs]
    tail_cpu, tail_wall = [0.0], list[float]()
    real = ladder.symbolically_equal

    def timed_tail(gold: str, answer: str, timeout_s: float) -> bool:
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            return real(gold, answer, timeout_s)
        finally:
            tail_wall.append(time.perf_counter() - wall)
            tail_cpu[0] += time.process_time() - cpu

    setattr(ladder, "symbolically_equal", timed_tail)  # noqa: B010 - timed apart
    reached: list[bool] = []
    gc.collect()
    start = time.process_time()
    for problem, completion in inputs:
        before = len(tail_wall)
        verify_math(problem, completion)
        reached.append(len(tail_wall) > before)
    seconds = time.process_time() - start - tail_cpu[0]
    setattr(ladder, "symbolically_equal", real)  # noqa: B010
    return seconds, reached, tail_wall


def ours(files: list[str], size: int) -> Result:
    start = time.process_time()
    from rlvr.verifiers import Completion, Problem, verify_math
    from rlvr.verifiers.extract import last_box
    from rlvr.verifiers.math.numeric import decimal_value
    from rlvr.verifiers.math.parse import parse

    decimal_value(parse("2^x"))
    decimal_value(parse(r"\sqrt{2}"))  # imports what evaluation needs
    imports = time.process_time() - start

    from rlvr.verifiers.math.symbolic import symbolically_equal

    start = time.perf_counter()
    symbolically_equal("x", "x", 60.0)
    worker = time.perf_counter() - start

    pairs = read_pairs(files)
    clear = list(caches())
    judge_all(pairs)
    for empty_one in clear:
        empty_one()
    stream_s, reached, tail_s = judge_all(pairs)
    for empty_one in clear:
        empty_one()
    distinct = list({(gold, last_box(text)): (gold, text) for gold, text in pairs}.values())
    distinct_s, _, _ = judge_all(distinct)
    for empty_one in clear:
        empty_one()
    subset_s, subset_reached, _ = judge_all(subset(pairs, size))
    for empty_one in clear:
        empty_one()
    boxes_s, _, _ = judge_all([(gold, f"\\boxed{{{last_box(text)}}}") for gold, text in pairs])
    times: list[float] = []
    for (gold, text), tail in zip(pairs, reached, strict=True):
        if tail:
            continue
        problem, completion = Problem("", answer=gold), Completion(text)
        for empty_one in clear:
            empty_one()
        start = time.process_time()
        verify_math(problem, completion)
        times.append(time.process_time() - start)
    return {
        "imports": imports, "worker": worker, "pairs": len(pairs), "stream": stream_s, "distinct": len(distinct),
        "distinct_s": distinct_s, "tail": sum(reached), "tail_s": sum(tail_s), "subset": subset_s,
        "subset_tail": sum(subset_reached), "boxes": boxes_s, "cold": sum(times), **quantiles(times),
        "slowest": [short(pairs, reached, times, i) for i in sorted(range(len(times)), key=times.__getitem__)[-3:]],
    }  # fmt: skip


def short(pairs: list[Pair], reached: list[bool], times: list[float], index: int) -> str:
    from rlvr.verifiers.extract import last_box

    gold, text = [pair for pair, tail in zip(pairs, reached, strict=True) if not tail][index]
    return f"{1000 * times[index]:.2f} ms: {gold[:60]} | {(last_box(text) or '')[:80]}"


def floor(files: list[str], size: int) -> Result:
    from rlvr.verifiers.extract import last_box

    pairs = read_pairs(files)
    start = time.process_time()
    same = sum(last_box(text) == gold for gold, text in pairs)
    return {"work": time.process_time() - start, "same": same}


def peer(files: list[str], size: int) -> Result:
    start = time.process_time()
    from math_verify import parse, verify

    verify(parse(r"$\frac{1}{2}$"), parse("$0.5$"))
    imports = time.process_time() - start
    chosen = subset(read_pairs(files), size)
    times: list[float] = []
    gc.collect()
    for gold, text in chosen:
        start = time.process_time()
        verify(parse(f"${gold}$"), parse(text))
        times.append(time.process_time() - start)
    return {"imports": imports, "pairs": len(chosen), "work": sum(times), **quantiles(times)}


def quantiles(times: list[float]) -> Result:
    ordered = sorted(times)
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[int(0.99 * len(ordered))], "max": ordered[-1]}


SIDES = {"floor": floor, "ours": ours, "peer": peer}


def in_a_process(side: str, files: list[str], size: int) -> Result:
    command = [sys.executable, __file__, "--side", side, "--peer-pairs", str(size), *files]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def middle(results: list[Result]) -> Result:
    """The median of every figure over the runs."""
    return {k: median(r[k] for r in results) if isinstance(v, int | float) else v for k, v in results[0].items()}


def measure(name: str, files: list[str], runs: int, size: int) -> None:
    sides = {side: middle([in_a_process(side, files, size) for _ in range(runs)]) for side in SIDES}
    us, them, least = sides["ours"], sides["peer"], sides["floor"]
    fast = us["pairs"] - us["tail"]
    print(
        f"\n{name}: {us['pairs']:,} pairs ({us['distinct']:,} distinct) of {len(files)} dumps; medians of {runs} runs"
    )
    print(f"  {'':26}{'pairs/s':>10}{'us/pair':>10}")
    for label, count, seconds in (
        ("floor", us["pairs"], least["work"]),
        ("verify_math, stream", fast, us["stream"]),
        ("verify_math, boxes", fast, us["boxes"]),
        ("verify_math, distinct", us["distinct"], us["distinct_s"]),
        ("verify_math, cold", fast, us["cold"]),
        (f"math-verify ({them['pairs']:,} pairs)", them["pairs"], them["work"]),
    ):
        print(f"  {label:26}{count / seconds:10,.0f}{1e6 * seconds / count:10,.1f}")
    print(f"  {'':26}{'p50':>10}{'p99':>10}{'max':>10}   (ms)")
    for label, side in (("verify_math, cold", us), ("math-verify", them)):
        print(f"  {label:26}" + "".join(f"{1000 * side[k]:10.3f}" for k in ("p50", "p99", "max")))
    share = us["tail"] / us["pairs"]
    print(
        f"  symbolic tail: {us['tail']:.0f} pairs ({share:.2%}), {us['tail_s']:.2f} s of wall clock, not counted above"
    )
    print(f"  not counted: imports {us['imports']:.2f} s, worker {us['worker']:.2f} s; peer's {them['imports']:.2f} s")
    ratio = them["work"] / us["subset"]
    print(f"  math-verify / verify_math on the same {them['pairs']:,} pairs: {ratio:,.0f} times the processor time")
    print(f"  verify_math (stream) / floor: {us['stream'] / least['work']:.1f}")
    print("  slowest: " + "\n           ".join(reversed(us["slowest"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peer-pairs", type=int, default=1000)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(SIDES[options.side](options.files, options.peer_pairs)))
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    files = options.files or sorted(map(str, FOLDER.glob("*.jsonl")))
    if not files:
        sys.exit(f"no dumps in {FOLDER}; name some")
    measure("all", files, options.runs, options.peer_pairs)
    alone = [file for file in files if Path(file).stem in MATH_ALONE]
    if alone and alone != files:
        measure("MATH alone", alone, options.runs, options.peer_pairs)


if __name__ == "__main__":
    main()
