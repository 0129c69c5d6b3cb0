"""`rlvr score` by the local pool and by Ray, two workers each: rows per second, and that the bytes are equal.

    python benchmarks/ray_overhead.py [ROWS [COSTLY_ROWS]]        (default: 100000 20000)

The rows are those of the dumps under ../shared/data/dumps, again and again with ids of their own (a synthetic mix where
the dumps are absent). Each command runs in turn in a process of its own, RUNS times, on two processors; medians are
printed. What the command takes for one row (start, imports, Ray) is measured the same way and given apart; so is the
processor time of the driver, the process that reads and writes, without that start. Cheap is
`math`; costly is 5 ms of processor time for each row (benchmarks/costly_reward.py). `in one process` is what
`rlvr score` does for `math` unless it is told otherwise.
"""

import filecmp
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from statistics import median

RUNS = int(os.environ.get("RUNS", "3"))
HERE = Path(__file__).parent
DUMPS = Path(__file__).parents[2] / "shared" / "data" / "dumps"
NAMES = ("sky_t1_32b_math500", "qwen2.5_14b_math500", "qwen_math_100x8", "gsm8k_gpt3_labelled")
WAYS = {
    "in one process": ["--workers", "0"],
    "local pool": ["--workers", "2"],
    "ray": ["--workers", "2", "--executor", "ray"],
}


def pairs() -> Iterator[tuple[str, str]]:
    """(gold, completion) of the dumps."""
    for name in NAMES:
        with (DUMPS / f"{name}.jsonl").open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                texts = row.get("code") or row["completion"]
                yield from ((str(row["answer"]), text) for text in ([texts] if isinstance(texts, str) else texts))


def synthetic() -> Iterator[tuple[str, str]]:
    for n in range(1000):
        yield str(n), f"{'We think about it. ' * (n % 200)}The answer is \\boxed{{{n if n % 3 else n + 1}}}."


def write_rows(path: Path, count: int) -> None:
    known = list(pairs() if DUMPS.is_dir() else synthetic())
    with path.open("w", encoding="utf-8") as file:
        for number, (gold, text) in enumerate(islice(cycle(known), count)):
            file.write(json.dumps({"id": number, "answer": gold, "completion": text}) + "\n")


# `rlvr`, which says at its end what processor time it used itself, without its workers.
RLVR = """
import sys, time
from pathlib import Path
from rlvr.evals.cli import main
main(sys.argv[2:])
Path(sys.argv[1]).write_text(str(time.process_time()))
"""


def seconds(folder: Path, rows: str, out: str, *more: str) -> tuple[float, float]:
    """Of `rlvr score ROWS --out OUT` from start to end: wall-clock seconds, and processor seconds of the driver."""
    for old in (folder / out, folder / f"{out}.run.json"):
        old.unlink(missing_ok=True)
    told = folder / "driver"
    command = [sys.executable, "-c", RLVR, str(told), "score", str(folder / rows), "--out", str(folder / out)]
    start = time.perf_counter()
    subprocess.run([*command, "--json", "--quiet", *more], check=True, stdout=subprocess.DEVNULL, cwd=HERE)
    return time.perf_counter() - start, float(told.read_text())


def compare(folder: Path, verifier: str, ways: list[str], count: int) -> None:
    write_rows(folder / "rows.jsonl", count)
    write_rows(folder / "one.jsonl", 1)
    whole: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    start: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(RUNS):
        for way in ways:
            start[way].append(seconds(folder, "one.jsonl", "one-out.jsonl", "--verifier", verifier, *WAYS[way]))
            whole[way].append(seconds(folder, "rows.jsonl", f"{way}.jsonl", "--verifier", verifier, *WAYS[way]))
            assert filecmp.cmp(folder / f"{ways[0]}.jsonl", folder / f"{way}.jsonl", shallow=False), "the bytes differ"
    size = (folder / "rows.jsonl").stat().st_size >> 20
    print(f"\n{verifier}, {count:,} rows, {size} MB; the same bytes out each way")
    print(f"{'':16}{'one row':>10}{'whole':>10}{'rows/s':>10}{'rows/s without start':>22}{'driver, us per row':>20}")
    walls = {way: [median(wall for wall, _ in times) for times in (start[way], whole[way])] for way in ways}
    for way, (one, all_rows) in walls.items():
        first, last = (median(driver for _, driver in times) for times in (start[way], whole[way]))
        print(
            f"{way:16}{one:8.2f} s{all_rows:8.2f} s{count / all_rows:10,.0f}{count / (all_rows - one):22,.0f}"
            f"{(last - first) / count * 1e6:20.0f}"
        )
    (local_one, local), (ray_one, ray) = walls["local pool"], walls["ray"]
    print(f"ray / local pool: {ray / local:.2f} of the time, {(ray - ray_one) / (local - local_one):.2f} without start")


def main(rows: int, costly_rows: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), "math", list(WAYS), rows)
        compare(Path(folder), "costly_reward:five_ms", ["local pool", "ray"], costly_rows)


if __name__ == "__main__":
    main(*(int(argument) for argument in (*sys.argv[1:], *("100000", "20000")[len(sys.argv) - 1 :])))
