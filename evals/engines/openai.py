"""Any OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama, a hosted one.

The client is httpx2 and not the `openai` package: that one is built on it, brings a dozen packages more, and its own
retries, clocks and parsing would stand between this file and what the server really sent.
"""

import asyncio
import logging
import os
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from .drawing import Give, drawn
from .http_answers import Refused, Unwell, checked, data_lines, retry_after_s
from .openai_wire import (
    NEUTRAL,
    OPTIONAL,
    Answer,
    Broken,
    Choice,
    Unusable,
    refused_names,
    request_body,
    served_models,
)
from .seeds import seed_of
from .types import UNKNOWN, EngineInfo, EngineUnavailable, Generated, Prompt, Sampling

_log = logging.getLogger("rlvr.engines")
_LONGEST_WAIT_S = 60.0
_LONGEST_RETRY_AFTER_S = 600.0
_GREETINGS = 3
"""Tries at start: a server that is wrong or down should be said soon."""
_LOST_IN_A_ROW = 3
"""So many samples given up, or `concurrency` where that is more, with none between them that came: the server is gone,
and the rest get one try each."""

Job = tuple[Prompt, tuple[int, ...]]


class OpenAIEngine:
    """Chat completions for messages, completions for plain text, streamed so that a stall is told from a long thought.

    A request brings one sample, drawn with its own seed. `batch_n=True` asks for all samples of a prompt at once
    (`n`), which some servers draw faster; they then have no seeds, and a server that refuses `n`, ignores it or answers
    fewer choices is asked one by one from then on.

    A prompt's `prefix` is sent as the start of the assistant's message with `continue_final_message` (vLLM, SGLang,
    llama.cpp continue it); a server that refuses that field gets the message alone, and the log says so.

    `concurrency` requests are out at once. What may pass (429, 5xx, a broken or cut connection, malformed JSON,
    `silence_s` seconds without a token) is tried `retries` times more, after `Retry-After` where the server states it
    and else after `backoff_s` seconds, doubled each time up to a minute, with jitter. What is then still missing is
    a Generated with its `error`. The key is read from the environment variable `api_key_env` and never kept.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str = "http://127.0.0.1:8000/v1",
        api_key_env: str = "OPENAI_API_KEY",
        concurrency: int = 64,
        batch_n: bool = False,
        retries: int = 8,
        backoff_s: float = 1.0,
        silence_s: float = 600.0,
    ) -> None:
        self._model = model
        self._base_url = base_url.rstrip("/")
        self._api_key_env = api_key_env
        self._concurrency = concurrency
        self._batch_n = batch_n
        self._retries = retries
        self._backoff_s = backoff_s
        self._silence_s = silence_s
        self._dropped: frozenset[str] = frozenset()
        self._n_works = batch_n
        self._lost = 0
        self._client: httpx2.AsyncClient | None = None
        self._slots = asyncio.Semaphore(concurrency)

    async def start(self) -> EngineInfo:
        if not re.match(r"https?://[^/]", self._base_url):
            raise EngineUnavailable(f"the base URL {self._base_url} is no URL: write http://HOST:PORT/v1")
        key = os.environ.get(self._api_key_env)
        self._client = httpx2.AsyncClient(
            base_url=self._base_url + "/",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            # The silence of a server is timed by data, not by bytes: a proxy's keep-alive is no progress.
            timeout=httpx2.Timeout(None, connect=30.0),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=self._concurrency),
        )
        models = await self._greeted()
        served = next((model for model in models if model["id"] in (self._model, f"{self._model}:latest")), None)
        if served is None:
            names = ", ".join(model["id"] for model in models) or "nothing"
            raise EngineUnavailable(f"{self._shown_url} does not serve {self._model}; it serves {names}")
        return EngineInfo(
            name="openai",
            model=self._model,
            revision=None,
            versions={"httpx2": version("httpx2"), **await self._server_version(served)},
            options={
                "base_url": self._shown_url,
                "concurrency": self._concurrency,
                "batch_n": self._batch_n,
                "retries": self._retries,
                "silence_s": self._silence_s,
                **NEUTRAL,
                **{name: served[name] for name in ("root", "max_model_len") if served.get(name)},
            },
        )

    def render(self, prompt: Prompt) -> str | None:
        return None if prompt.messages else prompt.text + prompt.prefix

    def sample(self, prompts: Sequence[tuple[Prompt, Sequence[int]]], sampling: Sampling) -> AsyncIterator[Generated]:
        jobs: list[Job] = []
        for prompt, samples in prompts:
            groups = [tuple(samples)] if self._batch_n else [(sample,) for sample in samples]
            jobs += [(prompt, group) for group in groups if group]
        return drawn(jobs, partial(self._draw, sampling=sampling), at_once=self._concurrency)

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    @property
    def _http(self) -> httpx2.AsyncClient:
        if self._client is None:
            raise RuntimeError("start the engine first")
        return self._client

    @property
    def _shown_url(self) -> str:
        """Without a user's name and password."""
        parts = urlsplit(self._base_url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))

    # greeting

    async def _greeted(self) -> Sequence[Mapping[str, Any]]:
        """What the server serves. Raises EngineUnavailable."""
        for failures in range(1, _GREETINGS + 1):
            try:
                return served_models(await self._get("models"))
            except Refused as refused:
                raise EngineUnavailable(await self._why_refused(refused)) from None
            except Broken as broken:
                if failures == _GREETINGS:
                    raise EngineUnavailable(
                        f"no OpenAI-compatible server at {self._shown_url} ({broken}); --base-url names another"
                    ) from None
                await asyncio.sleep(self._wait_s(broken, failures))
        raise AssertionError("unreachable")

    async def _why_refused(self, refused: Refused) -> str:
        if refused.status in (401, 403):
            held = "is refused" if os.environ.get(self._api_key_env) else "is not set"
            return f"{self._shown_url} wants a key, and {self._api_key_env} {held}: {refused}"
        if not self._base_url.endswith("/v1"):
            try:
                served_models(await self._get(f"{self._base_url}/v1/models"))
                return f"{self._shown_url} lacks its /v1: --base-url {self._shown_url}/v1"
            except (Refused, Broken):
                pass
        return f"{self._shown_url}/models answers {refused}: is this the base URL of an OpenAI-compatible server?"

    async def _server_version(self, served: Mapping[str, Any]) -> Mapping[str, str]:
        """vLLM and Ollama say theirs; of the others only the name is known, where they state one."""
        root = self._base_url.removesuffix("/v1")
        name = str(served.get("owned_by") or "server")
        for path in ("/version", "/api/version"):
            try:
                answer = httpx2.Response(200, text=await self._get(root + path)).json()
                return {name: str(answer["version"])}
            except (Refused, Broken, ValueError, KeyError, TypeError):
                continue
        return {name: UNKNOWN}

    async def _get(self, url: str) -> str:
        try:
            async with asyncio.timeout(min(self._silence_s, 30.0)):
                response = await self._http.get(url)
                await checked(response)
                return response.text
        except (TimeoutError, httpx2.RequestError) as broken:
            raise _broken(broken) from broken

    # drawing

    async def _draw(self, job: Job, give: Give, *, sampling: Sampling) -> None:
        prompt, samples = job
        refused = False
        if len(samples) > 1 and self._n_works:
            async with self._slots:
                samples, refused = await self._persist(prompt, samples, sampling, give)
        came: list[bool] = []

        def count(one: Generated) -> None:
            came.append(one.error is None)
            give(one)

        await asyncio.gather(*(self._single(prompt, sample, sampling, count) for sample in samples))
        if refused and any(came):
            self._single_from_now_on("refuses n")

    async def _single(self, prompt: Prompt, sample: int, sampling: Sampling, give: Give) -> None:
        async with self._slots:
            await self._persist(prompt, (sample,), sampling, give)

    async def _persist(
        self, prompt: Prompt, samples: tuple[int, ...], sampling: Sampling, give: Give
    ) -> tuple[tuple[int, ...], bool]:
        """Ask until every sample is given, with its error if need be.

        Returns what is left to be asked one by one, and whether that is because the server refused the batch.
        """
        missing = dict.fromkeys(samples)

        def keep(one: Generated) -> None:
            del missing[one.sample]
            if one.error is None:
                self._lost = 0
            give(one)

        def give_up(why: Exception, samples: Sequence[int]) -> None:
            for sample in samples:
                keep(Generated(prompt.problem_id, sample, seed=self._seed(prompt, sample, sampling), error=str(why)))

        failures = 0
        while wanted := tuple(missing):
            try:
                await self._ask(prompt, wanted, sampling, keep, give_up)
            except Refused as refused:
                if refused.names - self._dropped:
                    self._do_without(refused)
                elif refused.names:  # another request learned it meanwhile
                    continue
                elif len(wanted) > 1:
                    return tuple(missing), True
                else:
                    give_up(refused, wanted)
            except Broken as broken:
                failures = 1 if len(missing) < len(wanted) else failures + 1
                if failures > (0 if self._lost >= max(_LOST_IN_A_ROW, self._concurrency) else self._retries):
                    self._lost += len(missing)
                    give_up(broken, tuple(missing))
                elif missing:
                    await asyncio.sleep(self._wait_s(broken, failures))
            else:
                if missing:
                    self._single_from_now_on(
                        f"answers {len(wanted) - len(missing)} choices where {len(wanted)} are due"
                    )
                    return tuple(missing), False
        return (), False

    async def _ask(
        self,
        prompt: Prompt,
        samples: tuple[int, ...],
        sampling: Sampling,
        keep: Give,
        give_up: Callable[[Exception, Sequence[int]], None],
    ) -> None:
        """One request for these samples; keeps each as it finishes. Raises Refused and Broken."""
        seed = self._seed(prompt, samples[0], sampling) if len(samples) == 1 else None
        path, body = request_body(self._model, prompt, sampling, n=len(samples), seed=seed, dropped=self._dropped)
        answer = Answer(len(samples))

        def finish(index: int, choice: Choice) -> None:
            try:
                reason = choice.finish_reason()
            except Unusable as unusable:
                return give_up(unusable, [samples[index]])
            return keep(
                Generated(
                    prompt.problem_id,
                    samples[index],
                    text=choice.text(prompt.prefix),
                    finish_reason=reason,
                    n_tokens=answer.tokens(choice),
                    prompt_tokens=answer.prompt_tokens,
                    seed=body.get("seed"),
                    logprobs=tuple(choice.logprobs) if sampling.logprobs else None,
                )
            )

        try:
            await self._receive(path, body, answer, finish)
        except Refused as refused:
            raise Refused(refused.status, str(refused), refused_names(str(refused), body)) from None
        except (TimeoutError, httpx2.RequestError) as broken:
            raise _broken(broken) from broken

    async def _receive(
        self, path: str, body: Mapping[str, Any], answer: Answer, finish: Callable[[int, Choice], None]
    ) -> None:
        """Read one answer to its end, a stream or a whole one. A single choice waits for the count of its tokens."""
        held: list[tuple[int, Choice]] = []
        loop = asyncio.get_running_loop()
        try:
            async with (
                asyncio.timeout(self._silence_s) as patience,
                self._http.stream("POST", path, json=body) as response,
            ):
                await checked(response)
                async for payload in data_lines(response):
                    patience.reschedule(loop.time() + self._silence_s)
                    for index, choice in answer.take(payload):
                        if answer.n > 1:
                            finish(index, choice)
                        else:
                            held.append((index, choice))
        except (TimeoutError, httpx2.RequestError, Broken):
            if not held:
                raise  # a completion that has its finish_reason is whole, whatever happens to the rest of the stream
        for index, choice in held:
            finish(index, choice)
        if any(choice.finish is None for choice in answer.choices.values()):
            raise Broken("the stream was cut before the completion's end")
        if not answer.choices and answer.n == 1:  # of several, they are asked for one by one
            raise Broken("the server answered without a choice")

    # what is learned about the server

    def _seed(self, prompt: Prompt, sample: int, sampling: Sampling) -> int | None:
        return None if "seed" in self._dropped else seed_of(sampling.seed, prompt.problem_id, sample)

    def _do_without(self, refused: Refused) -> None:
        self._dropped |= refused.names
        for name in sorted(refused.names):
            cost = OPTIONAL.get(name, "max_completion_tokens is sent instead")
            _log.warning("%s refuses %s: %s", self._shown_url, name, cost)

    def _single_from_now_on(self, why: str) -> None:
        if self._n_works:
            self._n_works = False
            _log.warning("%s %s: its samples are asked for one by one", self._shown_url, why)

    def _wait_s(self, broken: Broken, failures: int) -> float:
        stated = retry_after_s(broken)
        if stated is not None:
            return min(stated, _LONGEST_RETRY_AFTER_S) + random.uniform(0, self._backoff_s)
        return min(self._backoff_s * 2 ** (failures - 1), _LONGEST_WAIT_S) * random.uniform(0.5, 1)


def _broken(cause: Exception) -> Broken:
    if isinstance(cause, TimeoutError):
        return Broken("the server fell silent")
    return Unwell(str(cause) or type(cause).__name__)
