"""The soak of `python benchmarks/serve.py --soak MINUTES`: what `rlvr serve` does when nothing is as it should be.

32 clients with real pairs: single requests, batches of up to 16, both trainers' protocols, explanations. 5 % of the
items are hostile: most of them from tests/cases/hostile_math.jsonl, a fifth hang, crash, sleep or eat memory. 1 % of
the requests are left by their client, a burst every 20 s overfills the queue, and every 10 s one of the service's
processes is killed with SIGKILL. A request that was accepted and not left is lost when it gets no answer, fewer results
than items, another verdict for an honest item than `verify_math` gives in one process, or an answer after the deadline
and a second. Honest items without a verdict (`overloaded`) are counted apart.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from serve_reward import MARK

HERE = Path(__file__).parent
CASES = HERE.parent / "tests" / "cases" / "hostile_math.jsonl"
CLIENTS = 32
TIMEOUT_S, DEADLINE_S, QUEUE, WORKERS = 2, 10, 1000, 2
HOSTILE = 0.05
KILL_S, BURST_S, SAMPLE_S = 10.0, 20.0, 5.0
Pair = tuple[str, str]


class Soak:
    """The clients, and what they saw."""

    def __init__(self, pairs: Sequence[Pair], address: str, pid: int) -> None:
        from rlvr.verifiers import Completion, Problem, verify_math

        self.pairs, self.pid = pairs, pid
        self.host, _, port = address.removeprefix("http://").partition(":")
        self.port = int(port)
        self.right = [verify_math(Problem("", answer=gold), Completion(text)).score for gold, text in pairs]
        with CASES.open(encoding="utf-8") as lines:
            cases = [case for case in map(json.loads, lines) if isinstance(case["answer"], str)]
        self.cases = [case for case in cases if case["answer"].isprintable()]  # half a surrogate is no JSON
        self.counts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.honest: list[float] = []
        self.with_hostile: list[float] = []
        self.memory: list[tuple[float, float]] = []
        self.random = random.Random(0)

    def item(self) -> tuple[dict[str, str], float | None, bool]:
        """(the item, the score that it must get, whether it is hostile)"""
        if self.random.random() >= HOSTILE:
            index = self.random.randrange(len(self.pairs))
            gold, text = self.pairs[index]
            return {"answer": gold, "completion": text}, self.right[index], False
        if self.random.random() < 0.8:
            case = self.random.choice(self.cases)
            return {"answer": case["gold"], "completion": f"\\boxed{{{case['answer']}}}"}, None, True
        return {"answer": "4", "completion": MARK + self.random.choice(["hang", "crash", "sleep", "eat"])}, None, True

    async def client(self, end: float) -> None:
        """One connection after another, each with some requests."""
        while time.monotonic() < end:
            try:
                reader, writer = await asyncio.open_connection(self.host, self.port)
            except OSError:
                self.faults["no connection"] += 1
                await asyncio.sleep(1)
                continue
            try:
                for _ in range(self.random.randrange(1, 50)):
                    if time.monotonic() >= end or not await self.request(reader, writer, self.kind()):
                        break
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                self.faults[f"no answer: {type(error).__name__}"] += 1
            finally:
                writer.close()

    def kind(self) -> str:
        return self.random.choices(["one", "many", "openrlhf", "slime", "explain"], [60, 25, 6, 6, 3])[0]

    async def request(self, reader, writer, kind: str, size: int | None = None) -> bool:
        """One request; whether the connection can go on."""
        size = size or (self.random.randrange(2, 17) if kind == "many" else 1)
        chosen = [self.item() for _ in range(size)]
        items = [item for item, *_ in chosen]
        hostile = any(each[2] for each in chosen)
        route, body = ask(kind, items)
        data = json.dumps(body).encode()
        head = (
            f"POST {route} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        writer.write(head.encode() + data)
        await writer.drain()
        self.counts["requests"] += 1
        if self.random.random() < 0.01:
            await asyncio.sleep(self.random.random() * 0.05)
            self.counts["left by the client"] += 1
            return False
        begun = time.perf_counter()
        status, headers, answer = await asyncio.wait_for(response(reader), DEADLINE_S + 30)
        took = time.perf_counter() - begun
        if status == 429:
            self.counts["refused with 429"] += 1
            await asyncio.sleep(int(headers["retry-after"]) * self.random.uniform(0.5, 1.0))
            return True
        self.counts["accepted"] += 1
        (self.with_hostile if hostile else self.honest).append(took)
        fault = self.fault(kind, status, answer, [each[1] for each in chosen], hostile)
        if fault is None and took > DEADLINE_S + 1:
            fault = "after the deadline"
        if fault is None:
            self.counts["answered"] += 1
        else:
            self.faults[fault] += 1
        return True

    def fault(self, kind: str, status: int, answer, right: list[float | None], hostile: bool) -> str | None:
        """What is wrong with an answer."""
        if status != 200:
            if status == 503 and kind in ("openrlhf", "slime", "explain") and "judged" in str(answer) + str(answer):
                self.counts["503: not judged"] += 1
                return None
            return None if status == 503 and kind == "explain" else f"status {status}: {str(answer)[:80]}"
        if kind == "explain":
            return None
        if kind in ("openrlhf", "slime"):
            scores = answer["rewards"] if kind == "openrlhf" else [answer]
        else:
            rows = answer["results"] if kind == "many" else [answer]
            for row, want in zip(rows, right, strict=False):
                if row["status"] in ("timeout", "error"):
                    who = "hostile" if want is None else "honest"
                    self.counts[f"items: {row['status']}, {row['reason']} ({who})"] += 1
            scores = [None if row["reason"] == "overloaded" else row["score"] for row in rows]
            right = [None if score is None else want for score, want in zip(scores, right, strict=False)]
        if len(scores) != len(right):
            return "another number of results"
        wrong = any(want is not None and score != want for score, want in zip(scores, right, strict=True))
        return "another verdict" if wrong else None

    async def bursts(self, end: float) -> None:
        """More at a time than the queue takes."""
        while time.monotonic() + BURST_S < end:
            await asyncio.sleep(BURST_S)
            await asyncio.gather(*(self.burst() for _ in range(12)))

    async def burst(self) -> None:
        try:
            reader, writer = await asyncio.open_connection(self.host, self.port)
            await self.request(reader, writer, "many", 150)
            writer.close()
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            self.faults[f"no answer: {type(error).__name__}"] += 1

    async def killer(self, end: float) -> None:
        """A worker at random."""
        while time.monotonic() + KILL_S < end:
            await asyncio.sleep(KILL_S)
            workers = [pid for pid, parent in parents().items() if parent == self.pid]
            if workers:
                os.kill(self.random.choice(workers), signal.SIGKILL)
                self.counts["workers killed"] += 1

    async def watch(self, end: float) -> None:
        """The resident memory of the service and all below it, in MB."""
        while time.monotonic() < end:
            await asyncio.sleep(SAMPLE_S)
            self.memory.append((resident_mb(self.pid), tree_mb(self.pid)))

    async def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        clients = [self.client(end) for _ in range(CLIENTS)]
        await asyncio.gather(*clients, self.bursts(end), self.killer(end), self.watch(end))


def ask(kind: str, items: list[dict[str, str]]) -> tuple[str, object]:
    """Route and body."""
    first = items[0]
    if kind == "one":
        return "/score", first
    if kind == "many":
        return "/score", {"items": items}
    if kind == "openrlhf":
        query = f"<s>Q: What?\n{first['completion']}</s>"
        return "/get_reward", {"query": [query], "prompts": ["Q: What?\n"], "labels": [first["answer"]]}
    if kind == "slime":
        return "/remote_rm", {"prompt": "What?", "response": first["completion"], "label": first["answer"]}
    return "/explain", {"gold": first["answer"], "text": first["completion"]}


async def response(reader) -> tuple[int, dict[str, str], object]:
    """(status, headers, JSON)"""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(lines[0].split()[1]), headers, json.loads(body)


def parents() -> dict[int, int]:
    """The parent of every process."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            except OSError:
                continue
    return found


def tree_mb(root: int) -> float:
    """Resident memory of a process and all below it; what they share counts for each."""
    tree, above = {root}, parents()
    while more := {pid for pid, parent in above.items() if parent in tree} - tree:
        tree |= more
    return sum(map(resident_mb, tree))


def resident_mb(pid: int) -> float:
    """0 for a process that has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0


def soak(minutes: float, pairs: Sequence[Pair]) -> None:
    """Run it and print what came of it; exit code 1 when something was lost."""
    options = [
        "--workers",
        WORKERS,
        "--timeout",
        TIMEOUT_S,
        "--deadline",
        DEADLINE_S,
        "--queue",
        QUEUE,
        "--memory",
        1500,
    ]
    code = "import sys; from rlvr.evals.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", "--reward", "serve_reward:reward", "--port", "0"]
    process = subprocess.Popen([*command, *map(str, options)], cwd=HERE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    run = Soak(pairs[:1000], process.stdout.readline().strip(), process.pid)
    asyncio.run(run.run(minutes * 60))
    process.terminate()
    ended = process.wait(60)
    for name, count in sorted(run.counts.items(), key=lambda each: each[0].startswith("items")):
        print(f"{count:>9,}  {name}")
    print(f"{sum(run.faults.values()):>9,}  lost  {dict(run.faults) or ''}")
    for name, times in (("honest", run.honest), ("with a hostile item", run.with_hostile)):
        print(f"{name}: {len(times):,} requests, {quantiles(times)}")
    print(f"all: {quantiles(run.honest + run.with_hostile)}; deadline {DEADLINE_S} s")
    third = len(run.memory) // 3
    for name, column in (("the service's own process", 0), ("all its processes", 1)):
        values = [each[column] for each in run.memory]
        parts = [sorted(part) for part in (values[:third], values[third : 2 * third], values[2 * third :]) if part]
        print(
            f"memory of {name}, median of each third:", ", ".join(f"{part[len(part) // 2]:,.0f} MB" for part in parts)
        )
    print(f"exit code after SIGTERM: {ended}")
    sys.exit(1 if run.faults or ended else 0)


def quantiles(times: list[float]) -> str:
    """In words."""
    times = sorted(times)
    return ", ".join(f"{name} {times[int((len(times) - 1) * share)] * 1e3:,.1f} ms" for name, share in SHARES.items())


SHARES = {"p50": 0.5, "p99": 0.99, "max": 1.0}
