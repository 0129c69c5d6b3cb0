"""transformers on a CPU or a GPU: for small models and for checking another engine; vLLM is many times faster."""

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any, cast

import torch
import transformers

from .checkpoint import encode_prompt, find_model, render_prompt
from .decoding import Decoding, Row, decode
from .drawing import Give, drawn
from .seeds import seed_of
from .types import EngineInfo, EngineUnavailable, Generated, Prompt, Sampling

_log = logging.getLogger("rlvr.engines")
# So much of the prompt is decoded in front of a completion: tokenizers drop the space before a first word.
_CONTEXT_TOKENS = 6


class TransformersEngine:
    """Batches of `batch_size` samples with a key-value cache; each sample has its own seed.

    `device` is `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1` or `mps`; `dtype` is `auto` (the
    checkpoint's) or a name such as `float32`. `max_model_len` bounds prompt and completion
    together and defaults to the model's own. A batch that does not fit into the GPU's memory is halved and drawn again.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 16,
        max_model_len: int | None = None,
        attn_implementation: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self._name = model
        self._revision = revision
        self._device = device
        self._dtype = dtype
        self._at_once = batch_size
        self._max_model_len = max_model_len
        self._attn = attn_implementation
        self._trust = trust_remote_code
        self._model: Any = None
        self._tokenizer: Any = None
        self._end_ids: frozenset[int] = frozenset()

    async def start(self) -> EngineInfo:
        if self._dtype != "auto" and not isinstance(getattr(torch, self._dtype, None), torch.dtype):
            raise EngineUnavailable(f"no dtype {self._dtype}: auto, float32, bfloat16 or float16")
        path, commit = find_model(self._name, self._revision)
        device = _device(self._device)
        await asyncio.to_thread(self._load, path, commit, device)
        on = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        return EngineInfo(
            name="transformers",
            model=self._name,
            revision=commit,
            versions={"transformers": version("transformers"), "torch": version("torch")},
            options={
                "device": on,
                "dtype": str(self._model.dtype).removeprefix("torch."),
                "batch_size": self._at_once,
                "max_model_len": self._max_model_len,
                "attn_implementation": self._model.config._attn_implementation,
            },
        )

    def render(self, prompt: Prompt) -> str:
        return render_prompt(self._tokenizer, prompt)

    def sample(self, prompts: Sequence[tuple[Prompt, Sequence[int]]], sampling: Sampling) -> AsyncIterator[Generated]:
        rows = [
            self._row(prompt, ids, sample, sampling)
            for prompt, samples in prompts
            for ids in [tuple(encode_prompt(self._tokenizer, prompt))]
            for sample in samples
        ]
        how = Decoding(sampling.temperature, sampling.top_p, sampling.logprobs, self._end_ids)
        return drawn(self._batches(rows), partial(self._draw, how=how), at_once=1)

    async def aclose(self) -> None:
        self._model = self._tokenizer = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _load(self, path: str, commit: str | None, device: torch.device) -> None:
        cast(Any, transformers).utils.logging.disable_progress_bar()  # the run has its own
        shared = {"revision": commit, "trust_remote_code": self._trust}
        try:
            self._tokenizer = cast(Any, transformers.AutoTokenizer).from_pretrained(path, **shared)
            model = cast(Any, transformers.AutoModelForCausalLM).from_pretrained(
                path, dtype=self._dtype, attn_implementation=self._attn, **shared
            )
            self._model = model.to(device).eval()
        except torch.OutOfMemoryError as full:
            raise EngineUnavailable(
                f"{self._name} does not fit into the memory of {device}: choose a smaller dtype or device=cpu"
            ) from full
        except (OSError, ValueError, ImportError, KeyError, RuntimeError) as broken:
            raise EngineUnavailable(f"transformers cannot load {self._name}: {_first_line(broken)}") from broken
        config = model.config.get_text_config()
        ends: Any = model.generation_config.eos_token_id
        known: list[int | None] = [*(ends if isinstance(ends, list) else [ends]), self._tokenizer.eos_token_id]
        self._end_ids = frozenset(token for token in known if token is not None)
        self._max_model_len = self._max_model_len or getattr(config, "max_position_embeddings", None)

    def _row(self, prompt: Prompt, ids: tuple[int, ...], sample: int, sampling: Sampling) -> Row:
        room = sampling.max_tokens if self._max_model_len is None else self._max_model_len - len(ids)
        seed = seed_of(sampling.seed, prompt.problem_id, sample)
        return Row(prompt.problem_id, sample, ids, prompt.prefix, seed, limit=min(sampling.max_tokens, room))

    def _batches(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        start = 0
        while start < len(rows):
            end = start + self._at_once  # which is less once the memory has run out
            yield rows[start:end]
            start = end

    async def _draw(self, rows: Sequence[Row], give: Give, *, how: Decoding) -> None:
        """A thread draws; a cancelled one ends after the token it is at, and is waited for."""
        stop, loop = threading.Event(), asyncio.get_running_loop()
        thread = asyncio.ensure_future(
            asyncio.to_thread(self._run, rows, how, stop.is_set, lambda one: loop.call_soon_threadsafe(give, one))
        )
        try:
            await asyncio.shield(thread)
        finally:
            stop.set()
            await asyncio.gather(thread, return_exceptions=True)

    def _run(
        self, rows: Sequence[Row], how: Decoding, stopped: Callable[[], bool], give: Callable[[Generated], object]
    ) -> None:
        for row in rows:
            if row.limit < 1:
                length = f"the prompt has {len(row.prompt_ids)} tokens and the model takes {self._max_model_len}"
                give(Generated(row.problem_id, row.sample, seed=row.seed, error=length))
        left = [row for row in rows if row.limit >= 1]
        try:
            for row in decode(self._model, left, how, stopped) if left else ():
                left.remove(row)
                give(self._generated(row, how))
        except torch.OutOfMemoryError:
            pass
        else:
            return
        # Outside the handler: its traceback would keep the batch's tensors alive.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(left) == 1:
            full = f"out of memory with one sample at a time, after {len(left[0].drawn_ids)} tokens: lower max_tokens"
            give(Generated(left[0].problem_id, left[0].sample, seed=left[0].seed, error=full))
            return
        half = len(left) // 2
        self._at_once = min(self._at_once, len(left) - half)
        _log.warning("out of memory with %d samples at once; going on with %d", len(left), self._at_once)
        for part in (left[:half], left[half:]):
            self._run([row.afresh() for row in part], how, stopped, give)

    def _generated(self, row: Row, how: Decoding) -> Generated:
        return Generated(
            row.problem_id,
            row.sample,
            text=row.prefix + self._text(row),
            finish_reason=row.finish_reason,
            n_tokens=len(row.drawn_ids),
            prompt_tokens=len(row.prompt_ids),
            seed=row.seed,
            logprobs=tuple(row.logprobs) if how.logprobs else None,
        )

    def _text(self, row: Row) -> str:
        drawn_ids = row.drawn_ids[:-1] if row.finish_reason == "stop" else row.drawn_ids
        context = list(row.prompt_ids[-_CONTEXT_TOKENS:])
        before = self._tokenizer.decode(context, skip_special_tokens=True)
        whole = self._tokenizer.decode(context + drawn_ids, skip_special_tokens=True)
        if whole.startswith(before):
            return whole[len(before) :]
        return self._tokenizer.decode(drawn_ids, skip_special_tokens=True)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise EngineUnavailable(f"no device {name}: auto, cpu, cuda, cuda:1 or mps") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise EngineUnavailable("torch sees no GPU: device=cpu runs without one, slowly")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineUnavailable(f"no device {name}: torch sees {torch.cuda.device_count()} GPUs")
    return device


def _first_line(broken: Exception) -> str:
    return str(broken).strip().partition("\n")[0] or type(broken).__name__
