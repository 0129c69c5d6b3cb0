"""How long users wait before anything happens: `rlvr --help` and `import rlvr.verifiers`, beside bare Python.

    python benchmarks/startup.py

Each command is started 15 times, in turn with the others; the medians of the wall-clock times are printed.
"""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

RUNS = 15
COMMANDS = {
    "bare python": [sys.executable, "-c", "pass"],
    "import rlvr.verifiers": [sys.executable, "-c", "import rlvr.verifiers"],
    "rlvr --help": [str(Path(sys.executable).with_name("rlvr")), "--help"],
    "import math_verify (peer)": [sys.executable, "-c", "import math_verify"],
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for command in COMMANDS.values():
        seconds(command)  # warm the file cache
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    bare = median(times["bare python"])
    print(f"{'command':28} {'median':>9} {'over bare':>10}   of {RUNS} runs, wall clock")
    for name, runs in times.items():
        print(f"{name:28} {median(runs) * 1000:6.0f} ms {(median(runs) - bare) * 1000:7.0f} ms")


if __name__ == "__main__":
    main()
