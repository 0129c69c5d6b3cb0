"""An OpenAI-compatible server that misbehaves as told, a tiny model, vLLM's server, drawing all from an engine."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from rlvr.evals.engines.openai import OpenAIEngine
from rlvr.evals.engines.types import Engine, Generated, Prompt, Sampling

MODEL = "tiny"
Behave = Callable[[int, dict[str, Any]], str]


class Server:
    """Answers `POST` number k with the act that `behave(k, body)` names; keeps every body, and counts who is there."""

    def __init__(self, behave: Behave | None = None, **seen: Any) -> None:
        self.behave = behave or (lambda k, body: "good")
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[str] = []
        self.active = self.most_active = 0
        self.models: Any = seen.get("models", [{"id": MODEL, "owned_by": "vllm", "root": "/models/tiny"}])
        self.models_status: int = seen.get("models_status", 200)
        self.base = ""
        self.delay_s = 0.0
        self.tasks: set[asyncio.Task[None] | None] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        self.base = f"http://{host}:{port}"
        try:
            yield self
        finally:
            server.close()
            left = [task for task in self.tasks if task is not None]
            for task in left:
                task.cancel()
            await asyncio.gather(*left)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next((int(h.split(":")[1]) for h in head.lower().split("\r\n") if h.startswith("content-le")), 0)
            body = json.loads(await reader.readexactly(length) or b"null")
            self.headers.append(head)
            method, path, _ = head.split(" ", 2)
            self.active += method == "POST"
            self.most_active = max(self.active, self.most_active)
            try:
                await (self.post(path, body, reader, writer) if method == "POST" else self.get(path, writer))
            finally:
                self.active -= method == "POST"
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client hung up, or the test is over
        finally:
            self.tasks.discard(asyncio.current_task())
            writer.close()

    async def get(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/v1/models":
            await send(writer, self.models_status, {"data": self.models, "detail": "because"})
        else:
            await send(writer, *((200, {"version": "1.2.3"}) if path == "/version" else (404, {"detail": "Not Found"})))

    async def post(
        self, path: str, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.paths.append(path)
        number = len(self.bodies)
        self.bodies.append(body)
        await asyncio.sleep(self.delay_s)
        n, act = body.get("n", 1), self.behave(number, body)
        chat = path.endswith("/chat/completions")
        whole = {"good": range(n), "fewer": range((n + 1) // 2), "one": range(1), "none": range(0)}
        if act in whole:
            await stream(writer, chat, body, list(whole[act]))
        elif act == "duplicate":
            await stream(writer, chat, body, [i for i in range(n) for _ in range(2)] + [n, n + 1])
        elif act == "no-n":
            if n > 1:
                await send(writer, 400, {"error": {"message": "only one completion is supported"}})
            else:
                await stream(writer, chat, body, [0])
        elif act.startswith("without "):
            name = act.removeprefix("without ")
            if name in body:
                await send(writer, 400, {"detail": [{"loc": ["body", name], "msg": "extra", "input": body}]})
            else:
                await stream(writer, chat, body, list(range(n)))
        elif act == "refuse":
            pass
        elif act == "stall":
            writer.write(HEAD_SSE)
            await writer.drain()
            while True:  # a keep-alive is no progress
                writer.write(b": ping\n\n")
                await writer.drain()
                await asyncio.sleep(0.05)
        elif act == "cut":
            await stream(writer, chat, body, list(range(n)), cut=True)
        elif act == "cut-after-end":
            await stream(writer, chat, body, list(range(n)), done=False)
        elif act == "malformed":
            writer.write(HEAD_SSE + b'data: {"choices": [{"index": 0, "del\n\ndata: [DONE]\n\n')
        elif act == "html":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>")
        elif act == "error-in-stream":
            writer.write(HEAD_SSE + b'data: {"error": {"message": "engine died", "code": 500}}\n\ndata: [DONE]\n\n')
        elif act == "429-after":
            await send(writer, 429, {"error": {"message": "slow down"}}, "Retry-After: 0.01\r\n")
        elif act == "whole":
            choices = [
                {"index": i, "message": {"content": text_of(body, i)}, "finish_reason": "length"} for i in range(n)
            ]
            await send(writer, 200, {"choices": choices, "usage": {"completion_tokens": 3, "prompt_tokens": 7}})
        elif act.isdigit():
            await send(writer, int(act), {"error": {"message": f"said {act}"}})
        else:
            await stream(writer, chat, body, list(range(n)), finish=act)
        await writer.drain()


HEAD_SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"


def text_of(body: dict[str, Any], index: int) -> str:
    """What the server's model says: it depends on the seed and nothing else. U+2028 stands unescaped in its JSON."""
    return f"\u2028said with {body.get('seed')}, choice {index} of {body.get('n', 1)}"


async def send(writer: asyncio.StreamWriter, status: int, payload: Any, extra: str = "") -> None:
    body = json.dumps(payload).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


async def stream(
    writer: asyncio.StreamWriter,
    chat: bool,
    body: dict[str, Any],
    indices: Sequence[int],
    *,
    finish: str = "stop",
    cut: bool = False,
    done: bool = True,
) -> None:
    writer.write(HEAD_SSE)

    def event(payload: Any) -> None:
        writer.write(b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n")

    for place, index in enumerate(indices):
        text = text_of(body, index)
        for at in range(0, len(text), 10):
            piece = text[at : at + 10]
            event({"choices": [{"index": index, **({"delta": {"content": piece}} if chat else {"text": piece})}]})
            await writer.drain()
        if cut and place == len(indices) - 1:
            return
        event({"choices": [{"index": index, "delta": {}, "text": "", "finish_reason": finish}]})
    if done:
        event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3 * len(indices)}})
        writer.write(b"data: [DONE]\n\n")


def prompts(problems: int, samples: int, **more: Any) -> list[tuple[Prompt, Sequence[int]]]:
    message = {"role": "user", "content": "What is 2 + 2?"}
    return [(Prompt(f"p{i}", messages=(message,), **more), range(samples)) for i in range(problems)]


def keys(drawn: Sequence[Generated]) -> list[tuple[str, int]]:
    return sorted((one.problem_id, one.sample) for one in drawn)


async def draw(engine: Engine, asked: Sequence[tuple[Prompt, Sequence[int]]], sampling: Sampling) -> list[Generated]:
    """Everything the engine gives, after checking that it is all that was asked for, each once."""
    drawn = [one async for one in engine.sample(asked, sampling)]
    assert keys(drawn) == sorted((prompt.problem_id, sample) for prompt, samples in asked for sample in samples)
    return drawn


def engine_at(server: Server, **options: Any) -> OpenAIEngine:
    return OpenAIEngine(MODEL, base_url=server.base + "/v1", **{"backoff_s": 0.001, "silence_s": 0.4, **options})


@pytest.fixture
def tools() -> Any:
    """What is above, for tests: they are not a package."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tiny")
    script = Path(__file__).parents[1] / "tiny_model.py"
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def vllm_options() -> tuple[str, ...]:
    """How vLLM is started, as for --engine-option."""
    sizes = ("max_model_len=2048", "max_num_seqs=16", "kv_cache_memory_bytes=268435456")
    return ("dtype=float32", "enforce_eager=true", *sizes)


@pytest.fixture(scope="session")
def server(tiny_model: Path, vllm_options: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of vLLM's own OpenAI server; killed with all its processes at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(tiny_model)]
    command += ["--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(port), "--no-enable-chunked-prefill"]
    for option in vllm_options:
        name, _, value = option.partition("=")
        command += [f"--{name.replace('_', '-')}", *([] if value == "true" else [value])]
    log = tmp_path_factory.mktemp("server") / "log"
    url = f"http://127.0.0.1:{port}/v1"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        try:
            for _ in range(800):
                assert process.poll() is None, log.read_text()[-3000:]
                try:
                    with urllib.request.urlopen(f"{url}/models", timeout=5):
                        break
                except (urllib.error.URLError, ConnectionError, TimeoutError):
                    sleep(0.5)
            else:
                pytest.fail(log.read_text()[-3000:])
            yield url
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
