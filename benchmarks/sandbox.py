"""Programs per second in the Docker sandbox, beside plain `subprocess`, `docker run` and `docker exec`.

    python benchmarks/sandbox.py [--runs N] [--programs N] [--base IMAGE]

Needs an engine and the sandbox's image (`rlvr sandbox build`). All sides run the same small Python program, which reads
numbers and prints their sum, in turn within each run; medians of the runs are printed. `subprocess` is what most code
rewards do: `subprocess.run([python, file], input=…)` with no isolation at all, by the Python of this machine; the
containers run the image's. "own" is what the program takes by its own clock, from its first line to its last; overhead
is the rest of the time from question to answer. CPU is of the processes and of the containers (by the engine's count),
without the engine's own.
With --base the image is built anew from IMAGE, and the time from nothing to the first reward is printed.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from rlvr.sandbox import DockerSandbox, Limits, Program
from rlvr.sandbox.containers import OWNER, connect, owner
from rlvr.sandbox.images import build_image, default_tag
from rlvr.verifiers import Completion, Problem, verify_code

SOURCE = """\
import time
start = time.perf_counter()
import sys
total = sum(int(word) for word in sys.stdin.read().split())
print(total)
print(time.perf_counter() - start, file=sys.stderr)
"""
STDIN = b"1 2 3 4 5\n"
PROBLEM_TESTS = 100
FEW = 10
"""Programs for the sides that take a good part of a second each."""
Cpu = Callable[[], float]


def children_s() -> float:
    """CPU seconds of this process and of its children that ended."""
    sides = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(side.ru_utime + side.ru_stime for side in sides)


def containers_s(client: Any) -> float:
    """The same, and what the containers of this process have used."""
    used = 0
    for container in client.api.containers(filters={"label": OWNER}):
        if str(owner()["pid"]) in container["Labels"][OWNER]:
            stats = client.api.stats(container["Id"], stream=False, one_shot=True)
            used += stats["cpu_stats"]["cpu_usage"]["total_usage"]
    return children_s() + used / 1e9


def programs(count: int) -> list[str]:
    """Different texts of one program, so that no cache answers."""
    return [f"{SOURCE}# {number}\n" for number in range(count)]


class Plain:
    """`subprocess` with a file per program."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.folder, self.command = folder, command

    def __call__(self, source: str) -> float:
        """The program's own seconds."""
        file = self.folder / f"{abs(hash(source))}.py"
        file.write_text(source, encoding="utf-8")
        return self.again(file)

    def again(self, file: Path) -> float:
        done = subprocess.run([*self.command, str(file)], input=STDIN, capture_output=True, timeout=60, check=True)
        assert done.stdout == b"15\n", done
        return float(done.stderr)


def by_docker(command: list[str], source: str) -> float:
    """`docker run` or `docker exec`: the program is an argument of Python."""
    done = subprocess.run([*command, "python3", "-c", source], input=STDIN, capture_output=True, timeout=60, check=True)
    assert done.stdout == b"15\n", done
    return float(done.stderr)


def in_sandbox(sandbox: DockerSandbox, source: str) -> float:
    with sandbox.open(Program(source)) as session:
        (result,) = session.run([STDIN])
    assert result.stdout == b"15\n", result
    return float(result.stderr)


def timed(one: Callable[[str], float], sources: list[str], threads: int, cpu: Cpu) -> tuple[float, float]:
    """(programs per second, CPU milliseconds of each)"""
    before, start = cpu(), time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, sources))
    wall = time.perf_counter() - start
    return len(sources) / wall, 1000 * (cpu() - before) / len(sources)


def overheads(one: Callable[[str], float], sources: list[str]) -> list[float]:
    """Milliseconds beyond the program's own, one at a time."""
    found: list[float] = []
    for source in sources:
        start = time.perf_counter()
        own = one(source)
        found.append(1000 * (time.perf_counter() - start - own))
    return found


def tests_of_one_program(sandbox: DockerSandbox, count: int) -> list[float]:
    """Milliseconds beyond the program's own for each test of one program, compiled once, one test at a time."""
    found: list[float] = []
    with sandbox.open(Program(SOURCE)) as session:
        for _ in range(count):
            start = time.perf_counter()
            (result,) = session.run([STDIN])
            found.append(1000 * (time.perf_counter() - start - float(result.stderr)))
    return found


def a_problem(sandbox: DockerSandbox) -> float:
    """Seconds for a program with many tests."""
    start = time.perf_counter()
    with sandbox.open(Program(SOURCE)) as session:
        results = list(session.run([STDIN] * PROBLEM_TESTS))
    assert all(result.stdout == b"15\n" for result in results)
    return time.perf_counter() - start


def a_problem_plain(plain: Plain) -> float:
    start = time.perf_counter()
    file = plain.folder / "problem.py"
    file.write_text(SOURCE, encoding="utf-8")
    for _ in range(PROBLEM_TESTS):
        plain.again(file)
    return time.perf_counter() - start


def kept_container(client: Any) -> str:
    made = client.containers.run(
        default_tag(), ["python3", "-c", "import time; time.sleep(3600)"], detach=True, network_mode="none",
        auto_remove=True, labels={"rlvr.benchmark": "1"},
    )  # fmt: skip
    return str(made.id)


def first_reward(base: str) -> None:
    """From an engine with a base image to a verdict."""
    start = time.perf_counter()
    client = connect(None)
    for _ in build_image(client, base, tag="rlvr-sandbox:benchmark"):
        pass
    built = time.perf_counter() - start
    with DockerSandbox(workers=1, image="rlvr-sandbox:benchmark") as sandbox:
        reward = partial(verify_code, sandbox=sandbox)
        tests = {"inputs": ["1 2\n"], "outputs": ["3\n"]}
        verdict = reward(Problem("1", tests=tests), Completion("```python\nprint(sum(map(int, input().split())))\n```"))
    assert verdict.score == 1, verdict
    print(
        f"from an engine with {base} to the first reward: {time.perf_counter() - start:.1f} s (build {built:.1f} s)\n"
    )
    client.images.remove("rlvr-sandbox:benchmark")


def rounds(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    client = connect(None)
    kept = kept_container(client)
    run = partial(by_docker, ["docker", "run", "--rm", "-i", "--network", "none", default_tag()])
    execute = partial(by_docker, ["docker", "exec", "-i", kept])
    try:
        with tempfile.TemporaryDirectory() as folder, DockerSandbox(workers=2, limits=Limits(cpu_s=5)) as sandbox:
            plain = Plain(Path(folder), [sys.executable])
            ours = partial(in_sandbox, sandbox)
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(ours, programs(40)))  # both containers are up
            cpu = partial(containers_s, client)
            for number in range(options.runs):
                sources = [f"{source}# run {number}\n" for source in programs(options.programs)]
                yield {
                    "sandbox 1": timed(ours, sources, 1, cpu),
                    "subprocess 1": timed(plain, sources, 1, children_s),
                    "sandbox 2": timed(ours, sources, 2, cpu),
                    "subprocess 2": timed(plain, sources, 2, children_s),
                    "docker exec": timed(execute, sources[:FEW], 1, children_s),
                    "docker run": timed(run, sources[:FEW], 1, children_s),
                    "overhead": overheads(ours, sources),
                    "overhead plain": overheads(plain, sources),
                    "per test": tests_of_one_program(sandbox, len(sources)),
                    "problem": a_problem(sandbox),
                    "problem plain": a_problem_plain(plain),
                }
    finally:
        client.api.remove_container(kept, force=True)


def show(found: list[dict[str, Any]]) -> None:
    def middle(key: str, part: int | None = None) -> float:
        return median(each[key] if part is None else each[key][part] for each in found)

    print(f"{'one program, one test':36}{'programs/s':>12}{'CPU ms each':>13}")
    for key, label in (
        ("sandbox 1", "sandbox, 1 at a time"), ("subprocess 1", "subprocess, 1 at a time"),
        ("sandbox 2", "sandbox, 2 at a time"), ("subprocess 2", "subprocess, 2 at a time"),
        ("docker exec", "docker exec, 1 at a time (client)"), ("docker run", "docker run, 1 at a time (client)"),
    ):  # fmt: skip
        print(f"{label:36}{middle(key, 0):12.1f}{middle(key, 1):13.2f}")
    for count in ("1", "2"):
        ratio = median(each[f"sandbox {count}"][0] / each[f"subprocess {count}"][0] for each in found)
        print(f"ratio sandbox / subprocess, {count} at a time: {ratio:.2f}")
    print(f"\n{'overhead beyond the own time (ms)':36}{'p50':>12}{'p95':>13}")
    for key, label in (
        ("per test", "sandbox, a test of an open program"), ("overhead", "sandbox, a program with one test"),
        ("overhead plain", "subprocess"),
    ):  # fmt: skip
        cuts = [quantiles(each[key], n=20) for each in found]
        print(f"{label:36}{median(cut[9] for cut in cuts):12.2f}{median(cut[18] for cut in cuts):13.2f}")
    share = median(each["problem"] / each["problem plain"] for each in found)
    print(f"\na program with {PROBLEM_TESTS} tests: sandbox {middle('problem'):.3f} s, subprocess "
          f"{middle('problem plain'):.3f} s, sandbox / subprocess {share:.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--base", help="build the image from this one first, and say how long it takes to a reward")
    options = parser.parse_args()
    if options.base:
        first_reward(options.base)
    show(list(rounds(options)))


if __name__ == "__main__":
    main()
