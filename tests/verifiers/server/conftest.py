"""A service as a process of its own, and a reward that does as it is told."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

BACKSTOP_S = 120
"""Whatever hangs is a failure; no test measures time."""

COMMAND = [sys.executable, "-c", "import sys; from rlvr.evals.cli import main; sys.exit(main())", "serve"]

# What the completion says is done: `wait FILE` writes its process into FILE.begun, and ends when FILE is there.
REWARD = """
import os, signal, time
from pathlib import Path
from rlvr.verifiers import Verdict, gate, verify_math, weighted
from rlvr.verifiers.types import not_judged, wrong

def reward(problem, completion):
    word, _, rest = completion.text.partition(" ")
    if word == "wait":
        Path(rest + ".new").write_text(str(os.getpid()))
        Path(rest + ".new").rename(rest + ".begun")
        while not Path(rest).exists():
            time.sleep(0.01)
    elif word == "hang":
        while True:
            pass
    elif word == "sleep":
        time.sleep(float(rest))
    elif word == "die":
        if not rest or not Path(rest).exists():
            Path(rest or "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    elif word == "raise":
        raise RuntimeError("broken")
    elif word == "eat":
        bytearray(1 << 33)
    elif word == "unjudged":
        return not_judged("gold_unreadable", "the gold makes no sense")
    elif word == "wrong":
        return wrong("different_text", "wrong")
    return Verdict(1.0, "correct", "same_text", f"{problem.id}|{problem.answer}|{completion.text}")

def opener(problem, completion):
    return wrong("missing_tag") if completion.text.startswith("shut") else Verdict(1.0, "correct", "well_formed")

parts = gate(opener, then=weighted(correct=(2.0, reward)))

class Unloadable:
    def __call__(self, problem, completion):
        raise AssertionError
    def __reduce__(self):
        return explode, ()

def explode():
    raise RuntimeError("cannot be loaded")

unloadable = Unloadable()
"""


class Server:
    """A running service."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self.process, self.folder = process, folder
        assert process.stdout is not None
        self.url = process.stdout.readline().strip()
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.client = httpx2.Client(base_url=self.url, timeout=BACKSTOP_S, limits=httpx2.Limits(max_connections=300))
        self._threads = ThreadPoolExecutor(64)

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(self.process.stdout)

    def post(self, route: str, body: Any, **options: Any) -> Any:
        """The response to a JSON body, or to bytes as they are."""
        if isinstance(body, bytes):
            options.setdefault("headers", {"Content-Type": "application/json"})
            return self.client.post(route, content=body, **options)
        return self.client.post(route, json=body, **options)

    def score(self, *texts: str, **fields: Any) -> list[dict[str, Any]]:
        """The results for some completions in one request."""
        done = self.post("/score", {"items": [{"completion": text} for text in texts], **fields})
        assert done.status_code == 200, done.text
        return done.json()["results"]

    def later(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> "Future[Any]":
        """The same in a thread."""
        return self._threads.submit(call, *arguments, **options)

    def metric(self, name: str) -> float:
        """The sum of a metric over the labels in it that begin so."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def until(self, what: Callable[[], object]) -> None:
        """Wait for something to be true."""
        end = time.monotonic() + BACKSTOP_S
        while not what():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.02)

    def wait_ready(self) -> None:
        self.until(lambda: self.client.get("/health").status_code == 200)

    def workers(self) -> list[int]:
        """The processes that the service itself started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def file(self, name: str) -> Path:
        return self.folder / name

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(BACKSTOP_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.client.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._reader.join(BACKSTOP_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


def started(folder: Path, *options: object, reward: str = "rewards:reward", **environment: str) -> Server:
    """`rlvr serve --port 0 …` in a folder, where `rewards:reward` is the reward above; it takes requests."""
    (folder / "rewards.py").write_text(REWARD)
    process = subprocess.Popen(
        [*COMMAND, "--reward", reward, "--port", "0", *map(str, options)],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    server = Server(process, folder)
    try:
        server.wait_ready()
    except BaseException:
        server.close()
        raise
    return server


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """serve(*options): a service for one test."""
    servers: list[Server] = []

    def begin(*options: object, **more: Any) -> Server:
        servers.append(started(tmp_path, *options, **more))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One service for all tests of a file: each also finds out whether the ones before it did harm."""
    server = started(tmp_path_factory.mktemp("server"), "--workers", 1, "--max-body", 1)
    yield server
    server.close()
