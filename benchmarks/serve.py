"""`rlvr serve` under load, beside `math_verify` called in the same web framework; and a soak with hostile requests.

    python benchmarks/serve.py [--seconds S] [--clients 1,32,256] [--workers N]
    python benchmarks/serve.py --soak MINUTES

Load: real pairs (gold, whole completion) out of ../shared/data/dumps, one per request; they repeat after 4,000, which
helps the caches of our workers a little. The clients are keep-alive connections of one other process, on raw asyncio
transports, each sending the next request when it has its answer; `clients busy` is that process's share of a processor,
and well below 100 % the clients are not the bottleneck. On a machine with other work the processor seconds per request
say more than the rate. Beside ours, in the same run on the same machine:
  async    a FastAPI handler `async def` that calls `parse` and `verify` with their own time limits, which are signals
           and work only in the main thread, where the event loop is: what most people write, and one item blocks all
  threads  a handler `def`, which runs in FastAPI's threads, with `timeout_seconds=None`: without any time limit
  nothing  an ASGI application that answers at once: what uvicorn and the clients cost by themselves
All speak HTTP from one process; ours has its worker processes besides.

Soak: see `serve_soak.py`.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "dumps"
DUMPS = ("sky_t1_32b_math500", "qwen2.5_14b_math500", "qwen_math_100x8")
COLUMNS = {"answer": ("answer",), "completion": ("code", "response")}
WARM_UP_S = 2.0
SAID = {
    "ours": "rlvr serve --reward math",
    "async": "math_verify, async def (its own time limits)",
    "threads": "math_verify, def (no time limit)",
    "nothing": "a server that judges nothing",
}


def read_pairs(limit: int = 4000) -> list[tuple[str, str]]:
    """(gold, completion), in an order that is the same in every run."""
    pairs: list[tuple[str, str]] = []
    for name in DUMPS:
        with (FOLDER / f"{name}.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                texts = row.get("response") or row["code"]
                pairs += [(str(row["answer"]), text) for text in (texts if isinstance(texts, list) else [texts])]
    random.Random(0).shuffle(pairs)
    return pairs[:limit]


# the services


def start(kind: str, workers: int) -> tuple["subprocess.Popen[str]", str]:
    """A service as a process, and its address."""
    if kind == "ours":
        command = [sys.executable, "-c", "import sys; from rlvr.evals.cli import main; sys.exit(main())", "serve"]
        command += ["--reward", "math", "--port", "0", "--workers", str(workers)]
    else:
        command = [sys.executable, __file__, "--peer", kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def peer(kind: str) -> None:
    """`math_verify` behind FastAPI, or nothing behind it."""
    import socket

    import uvicorn
    from fastapi import FastAPI
    from math_verify import parse, verify
    from pydantic import BaseModel

    class Item(BaseModel):
        answer: str
        completion: str

    app = FastAPI()
    if kind == "async":

        @app.post("/score")
        async def in_loop(item: Item) -> dict[str, float]:
            return {"score": float(verify(parse(f"${item.answer}$"), parse(item.completion)))}

    elif kind == "threads":

        @app.post("/score")
        def in_thread(item: Item) -> dict[str, float]:
            gold = parse(f"${item.answer}$", parsing_timeout=None)
            answer = parse(item.completion, parsing_timeout=None)
            return {"score": float(verify(gold, answer, timeout_seconds=None))}

    else:

        async def nothing(scope, receive, send):
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
                await send({"type": "http.response.body", "body": b"{}"})

        app = nothing
    parse("$1$")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # without it, no TCP_NODELAY
    listening.bind(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_keep_alive=75)
    uvicorn.Server(config).run(sockets=[listening])


def processor_s(pid: int) -> tuple[float, float]:
    """Processor seconds of a process, and of those that it started and that run."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / ticks
    below, found = 0.0, {pid}
    while more := {child for child, (parent, _) in parents.items() if parent in found} - found:
        below += sum(parents[child][1] for child in more)
        found |= more
    return parents[pid][1], below


# the clients


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer."""

    def __init__(self, requests: Sequence[bytes], first: int, seen: list[tuple[float, float, int]]) -> None:
        self.requests, self.next, self.seen = requests, first, seen
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.begun = time.perf_counter()
        self.transport.write(self.requests[self.next % len(self.requests)])
        self.next += 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        at = head.lower().index(b"content-length:") + 15
        if len(body) < int(head[at:].split(b"\r\n", 1)[0]):
            return
        self.buffer = b""
        now = time.perf_counter()
        self.seen.append((now, now - self.begun, int(head[9:12])))
        self.ask()


async def clients(address: str, count: int, seconds: float) -> tuple[list[tuple[float, float, int]], int]:
    """(when, seconds, status) of every answer within the time, and the number of all answers."""
    host, _, port = address.removeprefix("http://").partition(":")
    requests = []
    for gold, text in read_pairs():
        body = json.dumps({"answer": gold, "completion": text}).encode()
        head = f"POST /score HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        requests.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    seen: list[tuple[float, float, int]] = []
    loop = asyncio.get_running_loop()
    for number in range(count):
        first = number * len(requests) // count
        await loop.create_connection(lambda first=first: Client(requests, first, seen), host, int(port))
    await asyncio.sleep(WARM_UP_S)
    begin = time.perf_counter()
    await asyncio.sleep(seconds)
    return [each for each in seen if each[0] >= begin], len(seen)


def load(options: argparse.Namespace) -> None:
    """The table."""
    kinds = [kind for kind in SAID if kind in options.kinds.split(",")]
    rates: dict[str, dict[int, tuple[float, float]]] = {}
    for kind in kinds:
        process, address = start(kind, options.workers)
        try:
            print(f"\n{SAID[kind]}")
            rates[kind] = {}
            for count in map(int, options.clients.split(",")):
                command = [sys.executable, __file__, "--client", address, "--seconds", str(options.seconds)]
                before = processor_s(process.pid)
                done = subprocess.run([*command, "--clients", str(count)], stdout=subprocess.PIPE, check=True)
                found = json.loads(done.stdout)
                spent = [(b - a) / found["all"] * 1e6 for a, b in zip(before, processor_s(process.pid), strict=True)]
                rates[kind][count] = found["rate"], sum(spent)
                bad = "" if not found["bad"] else f"   {found['bad']} answers were not 200"
                print(
                    f"  {count:>4} clients  {found['rate']:8.0f} requests/s   p50 {found['p50'] * 1e3:8.2f} ms   "
                    f"p99 {found['p99'] * 1e3:8.2f} ms   processor/request: server {spent[0]:6.0f} us, its workers "
                    f"{spent[1]:6.0f} us   clients busy {found['cpu']:4.0%}{bad}"
                )
        finally:
            process.terminate()
            process.wait(30)
    for kind in rates.keys() & {"async", "threads"}:
        for count in rates[kind].keys() & rates.get("ours", {}).keys():
            (rate, cost), (peers_rate, peers_cost) = rates["ours"][count], rates[kind][count]
            print(
                f"ours / {kind}, {count} clients: {rate / peers_rate:.1f} times the requests per second, "
                f"1/{peers_cost / cost:.1f} of the processor time per request"
            )


def client(options: argparse.Namespace) -> None:
    """One process of clients; its figures as JSON."""
    cpu, clock = time.process_time(), time.perf_counter()
    seen, answers = asyncio.run(clients(options.client, int(options.clients), options.seconds))
    times = sorted(seconds for _, seconds, _ in seen)
    print(
        json.dumps({
            "rate": len(times) / options.seconds,
            "all": answers,
            "p50": median(times),
            "p99": times[int(len(times) * 0.99)],
            "bad": sum(status != 200 for *_, status in seen),
            "cpu": (time.process_time() - cpu) / (time.perf_counter() - clock),
        })
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", default="1,32,256")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kinds", default=",".join(SAID))
    parser.add_argument("--soak", type=float, metavar="MINUTES", nargs="?", const=10.0)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        peer(options.peer)
    elif options.client:
        client(options)
    elif options.soak:
        from serve_soak import soak

        soak(options.soak, read_pairs())
    else:
        load(options)


if __name__ == "__main__":
    main()
