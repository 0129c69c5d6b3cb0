"""Hostile answers in a box: how long the fast path takes on each, and which ones reach the symbolic tail.

    python benchmarks/hostile_math.py [WORST]        (default: the 15 slowest are printed)

The inputs are tests/cases/hostile_math.jsonl. The tail is replaced by a counter; caches are emptied before each input.
The second pass judges all of them in 8 threads at once and compares the verdicts.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from math_speed import caches
from rlvr.verifiers import Completion, Problem, Verdict, verify_math
from rlvr.verifiers.math import compare

CASES = Path(__file__).parents[1] / "tests" / "cases" / "hostile_math.jsonl"
LIMIT_MS = 100


def expand(side: Any) -> str:
    """A text, or parts `[text, times]` with `#` standing for 2, 3, 4 …"""
    if isinstance(side, str):
        return side
    return "".join(part.replace("#", str(i + 2)) for part, times in side for i in range(times))


def main(worst: int) -> None:
    cases = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    pairs = [(expand(case["gold"]), rf"\boxed{{{expand(case['answer'])}}}") for case in cases]
    tail: list[str] = []

    def counted(gold: str, answer: str, timeout_s: float) -> bool:
        tail.append(answer)
        return False

    compare.symbolically_equal = counted

    def judge(pair: tuple[str, str]) -> Verdict:
        return verify_math(Problem("1", answer=pair[0]), Completion(pair[1]))

    judge(("1", r"\boxed{\sin 1}"))
    clear = list(caches())
    times: list[float] = []
    verdicts: list[Verdict] = []
    for pair in pairs:
        for empty_one in clear:
            empty_one()
        start = time.perf_counter()
        verdicts.append(judge(pair))
        times.append((time.perf_counter() - start) * 1000)
    for ms, case, pair, verdict in sorted(zip(times, cases, pairs, verdicts, strict=True), key=lambda t: -t[0])[:worst]:
        print(f"{ms:8.1f} ms  {verdict.reason:16} {case['why']}: {pair[1][:60]!r}")
    print(f"{len(cases)} inputs: {sum(ms > LIMIT_MS for ms in times)} over {LIMIT_MS} ms; {len(tail)} reached the tail")
    for answer in tail[:worst]:
        print(f"   tail: {answer[:100]!r}")
    accepted = [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.status == "correct"]
    print(f"accepted: {len(accepted)}")
    for gold, text in accepted:
        print(f"   accepted: {gold[:60]!r} | {text[:100]!r}")
    with ThreadPoolExecutor(8) as threads:
        print("8 threads give the same verdicts:", list(threads.map(judge, pairs)) == verdicts)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
