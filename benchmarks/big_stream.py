"""Memory of `rlvr score` on a stream of any size: every row a problem of its own, with a report.

    python benchmarks/big_stream.py [GIGABYTES]        (default: 0.5)

Prints samples, seconds and the peak resident memory of the scorer.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEXT = ("Let us compute step by step. We have $x^2 + 3x - 10 = 0$ and so on. " * 30)[:1900]


def write_rows(count: int) -> None:
    """Rows of about 2 KB on standard output; every third answer is wrong."""
    for i in range(count):
        box = i if i % 3 else i + 1
        row = {"id": f"p{i}", "problem": f"what is {i}?", "answer": str(i), "completion": f"{TEXT} \\boxed{{{box}}}"}
        sys.stdout.write(json.dumps(row) + "\n")


def main(gigabytes: float) -> None:
    count = int(gigabytes * 1e9 / 2000)
    rlvr = str(Path(sys.executable).with_name("rlvr"))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        rows = subprocess.Popen([sys.executable, __file__, "--rows", str(count)], stdout=subprocess.PIPE)
        command = [rlvr, "score", "-", "--json", "--report", f"{folder}/report.html"]
        done = subprocess.run(command, stdin=rows.stdout, capture_output=True, check=True)
        rows.wait()
    seconds = time.perf_counter() - start
    samples = json.loads(done.stdout)["samples"]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{samples:,} samples, {gigabytes:g} GB, in {seconds:.0f} s; peak memory {peak:.0f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rows"]:
        write_rows(int(sys.argv[2]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.5)
