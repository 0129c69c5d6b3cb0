"""`rlvr sft`: plain supervised fine-tuning of any policy, for a cold start and to distil a larger model's answers.

The loss is the mean of -log p over the completions' tokens of an optimizer step, the end token included. Short examples
share a row without seeing one another, so that hardly any of it is padding; the loss is the same as one by one.
Axes: B rows, T positions.
"""

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, cos, isfinite, pi
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from ..evals.errors import BadRow, UsageError
from ..evals.files import Row, Source
from .config import Config, add_settings, read_config, setting, write_config
from .distributed import ranks
from .loading import load_policy
from .log import RunLog
from .logprobs import token_logprobs
from .measures import MOST_SKIPS, why_skipped
from .policy import Policy, Tokenizer


@dataclass(frozen=True, kw_only=True)
class SftConfig:
    """A fine-tuning run. The defaults are those of DeepSeek-R1's own, arXiv:2501.12948, supplement.

    Raises UsageError for a setting that cannot be meant.
    """

    model: str = setting("", "a Hugging Face model (hub id or folder), or a folder that rlvr saved")
    revision: str | None = setting(None, "the hub's commit, tag or branch")
    dtype: Literal["float32", "bfloat16"] = setting("float32", "of the weights")
    gradient_checkpointing: bool = setting(False, "compute activations again in the backward pass: less memory")
    data: tuple[str, ...] = setting((), "files of chats, or of prompts with completions (JSONL, .gz, .zst, parquet)")
    max_tokens: int = setting(32_768, "longer examples are left out, and counted; R1: 32,768")
    batch: int = setting(128, "examples in an optimizer step; R1: 128")
    epochs: int = setting(2, "times the examples are gone through; R1: 2 to 3")
    steps: int = setting(0, "optimizer steps; 0: as many as the epochs have")
    pack: int = setting(4096, "tokens of a row that examples share; 0: a row each")
    micro_batch_tokens: int = setting(16_384, "padded tokens in one forward and backward pass")
    logprob_chunk: int = setting(1024, "positions whose logits exist at a time")
    learning_rate: float = setting(5e-5, "peak; R1: 5e-5")
    final_learning_rate: float = setting(0.1, "where the cosine ends, as a share of the peak; R1: a tenth")
    warmup_steps: int = setting(10, "steps of linear rise")
    weight_decay: float = setting(0.0, "of AdamW: decoupled, arXiv:1711.05101")
    beta1: float = setting(0.9, "of AdamW")
    beta2: float = setting(0.95, "of AdamW")
    max_grad_norm: float = setting(1.0, "gradients longer than this are shortened to it")
    seed: int = setting(0, "of the examples' order")
    out: Path | None = setting(None, "the run's folder; default: runs/ and the name of the file")
    loggers: tuple[str, ...] = setting(("auto",), "beside metrics.jsonl: tensorboard, wandb, trackio")
    device: str | None = setting(None, "default: cuda where there is one, else cpu")

    def __post_init__(self) -> None:
        for name in ("max_tokens", "batch", "epochs", "micro_batch_tokens", "logprob_chunk"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)}: must be at least 1")
        for name in ("steps", "pack", "warmup_steps", "learning_rate", "final_learning_rate", "weight_decay"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} = {getattr(self, name)}: must not be negative")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and self.max_grad_norm > 0):
            raise UsageError("0 <= beta1 < 1, 0 <= beta2 < 1 and max_grad_norm > 0 are needed")


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of the prompt and then of the completion, which begins at `start`. `name` is for messages."""

    ids: list[int]
    start: int
    name: str


def fine_tune(policy: Policy, examples: Sequence[Example], config: SftConfig, log: RunLog) -> None:
    """Train `policy` in place. A row of metrics for each optimizer step: loss, tokens so far, gradient norm, seconds.

    Raises UsageError when ten steps in a row have no finite gradient.
    """
    steps = step_count(config, examples)
    betas = (config.beta1, config.beta2)
    optimizer: Any = torch.optim.AdamW(
        policy.parameters(), config.learning_rate, betas, weight_decay=config.weight_decay
    )
    order = shuffled(examples, config.seed)
    policy.train()
    tokens = skips = 0
    for step in range(1, steps + 1):
        left = len(examples) * config.epochs - (step - 1) * config.batch
        batch = [next(order) for _ in range(config.batch if config.steps else min(config.batch, left))]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step, steps)
        with log.stage("train"):
            loss, bad = accumulate(policy, batch, config)
            norm = float(nn.utils.clip_grad_norm_(policy.parameters(), config.max_grad_norm))
            row: dict[str, Any] = {"learning_rate": optimizer.param_groups[0]["lr"]}
            if isfinite(norm) and not bad:
                optimizer.step()
                row |= {"loss": loss, "grad_norm": norm}
                skips = 0
            else:
                why = why_skipped(bad, norm)
                log.note(step, f"update skipped: {why}")
                row["skipped"] = why
                skips += 1
            optimizer.zero_grad()
        tokens += sum(len(example.ids) - example.start for example in batch)
        log.metrics(step, row | {"tokens": tokens})
        if skips == MOST_SKIPS:
            raise UsageError(f"step {step}: {MOST_SKIPS} updates in a row had no finite gradient: {row['skipped']}")


def step_count(config: SftConfig, examples: Sequence[Example]) -> int:
    """Optimizer steps; the last one of the epochs may be short."""
    return config.steps or ceil(len(examples) * config.epochs / config.batch)


def shuffled(examples: Sequence[Example], seed: int) -> Iterator[Example]:
    """The examples without end, in another order each time through."""
    epoch = 0
    while True:
        yield from random.Random(f"sft {seed} {epoch}").sample(examples, len(examples))
        epoch += 1


def learning_rate(config: SftConfig, step: int, steps: int) -> float:
    """Of step 1 to `steps`: a linear rise, then half a cosine down to the last share."""
    if step <= config.warmup_steps:
        return config.learning_rate * step / config.warmup_steps
    done = (step - config.warmup_steps) / max(steps - config.warmup_steps, 1)
    share = config.final_learning_rate + (1 - config.final_learning_rate) * (1 + cos(pi * done)) / 2
    return config.learning_rate * share


def accumulate(policy: Policy, batch: Sequence[Example], config: SftConfig) -> tuple[float, list[str]]:
    """The gradient of the mean over the batch's completion tokens, added to the parameters'; the loss, and the names of
    examples in a row whose loss is not finite."""
    tokens = sum(len(example.ids) - example.start for example in batch)
    total, bad = 0.0, list[str]()
    for rows in micro_batches(packed(batch, config.pack), config.micro_batch_tokens):
        loss_B: Any = row_losses(policy, rows, config.logprob_chunk) / tokens  # Any: torch types these methods half
        loss_B.sum().backward()
        losses: list[float] = loss_B.tolist()
        total += sum(losses)
        bad += [example.name for row, loss in zip(rows, losses, strict=True) if not isfinite(loss) for example in row]
    return total, bad


def row_losses(policy: Policy, rows: Sequence[Sequence[Example]], chunk: int = 1024) -> Tensor:
    """(B,): of each row of examples, the sum of -log p over the completions' tokens, nats."""
    tokens_BT, positions_BT, mask_BT = tensors(rows, policy.tokenizer.pad_id)
    device = next(iter(policy.parameters())).device
    tokens_BT, positions_BT, mask_BT = (each.to(device) for each in (tokens_BT, positions_BT, mask_BT))
    alone = all(len(row) == 1 for row in rows)
    hidden_BTD = policy.hidden(tokens_BT) if alone else policy.hidden(tokens_BT, positions_BT)
    # Position t predicts token t + 1; the first token of an example is never one of a completion.
    logps_BT, _ = token_logprobs(hidden_BTD[:, :-1], policy.head(), tokens_BT[:, 1:], mask_BT[:, 1:], chunk=chunk)
    return -logps_BT.sum(1)


def packed(examples: Sequence[Example], size: int) -> list[list[Example]]:
    """Rows of at most `size` tokens: each example, the longest first, goes where it first fits. A longer one is alone.

    >>> rows = packed([Example([0] * n, 1, str(n)) for n in (3, 9, 5, 2, 4)], 8)
    >>> [[example.name for example in row] for row in rows]
    [['9'], ['5', '3'], ['4', '2']]
    """
    rows: list[list[Example]] = []
    room: list[int] = []
    for example in sorted(examples, key=lambda example: -len(example.ids)):
        place = next((row for row, free in enumerate(room) if len(example.ids) <= free), len(rows))
        if place == len(rows):
            rows.append([])
            room.append(size)
        rows[place].append(example)
        room[place] -= len(example.ids)
    return rows


def micro_batches(rows: Sequence[Sequence[Example]], most: int) -> Iterator[list[Sequence[Example]]]:
    """Rows of similar lengths together, of at most `most` tokens with their padding; a longer row is alone."""
    waiting: list[Sequence[Example]] = []
    for row in sorted(rows, key=_length):
        if waiting and (len(waiting) + 1) * _length(row) > most:
            yield waiting
            waiting = []
        waiting.append(row)
    yield waiting


def _length(row: Sequence[Example]) -> int:
    return sum(len(example.ids) for example in row)


def tensors(rows: Sequence[Sequence[Example]], pad_id: int) -> tuple[Tensor, Tensor, Tensor]:
    """All (B, T): tokens, padded on the right; positions, 0 where an example begins and at padding; and True at the
    completions' tokens."""
    shape = len(rows), max(map(_length, rows))
    tokens_BT = torch.full(shape, pad_id)
    positions_BT = torch.zeros(shape, dtype=torch.long)
    mask_BT = torch.zeros(shape, dtype=torch.bool)
    for number, row in enumerate(rows):
        begin = 0
        for example in row:
            end = begin + len(example.ids)
            tokens_BT[number, begin:end] = torch.tensor(example.ids)
            positions_BT[number, begin:end] = torch.arange(len(example.ids))
            mask_BT[number, begin + example.start : end] = True
            begin = end
    return tokens_BT, positions_BT, mask_BT


# ---- rows


def read_examples(paths: Sequence[str], tokenizer: Tokenizer, max_tokens: int) -> tuple[list[Example], int]:
    """The examples of at most `max_tokens` tokens, and how many were longer. Raises UsageError."""
    examples: list[Example] = []
    for path in paths:
        source = Source(path)
        for line in source.lines():
            if isinstance(line.row, BadRow):
                raise line.row
            try:
                examples.append(make_example(line.row, tokenizer, f"{source.name}:{line.number}"))
            except ValueError as error:
                raise BadRow(source.name, line.number, str(error)) from None
    short = [example for example in examples if len(example.ids) <= max_tokens]
    return short, len(examples) - len(short)


def make_example(row: Row, tokenizer: Tokenizer, name: str) -> Example:
    """From `messages`, of which the last, the assistant's, is the completion, or from texts `prompt` and `completion`.

    A prompt that ends by opening the thought is not followed by the same tag again.
    Raises ValueError for a row of another shape, UsageError where a chat meets a model without a chat template.
    """
    prompt, completion = _texts(row, tokenizer)
    if prompt.rstrip().endswith("<think>"):
        completion = completion.removeprefix("<think>").lstrip("\n")
    asked = tokenizer.encode(prompt)
    if not asked or not completion:
        raise ValueError(f"an empty {'completion' if asked else 'prompt'}")
    return Example([*asked, *tokenizer.encode(completion), tokenizer.end_id], len(asked), name)


def _texts(row: Row, tokenizer: Tokenizer) -> tuple[str, str]:
    if "messages" not in row:
        prompt, completion = row.get("prompt"), row.get("completion")
        if not isinstance(prompt, str) or not isinstance(completion, str):
            raise ValueError("neither chat 'messages' nor texts 'prompt' and 'completion'")
        return prompt, completion
    messages = cast(object, row["messages"])
    if not isinstance(messages, list) or len(cast(list[object], messages)) < 2:
        raise ValueError("column 'messages': is not a list of a question and an answer")
    chat = cast(list[dict[str, Any]], messages)
    for message in cast(list[object], messages):
        if not isinstance(message, dict) or not all(
            isinstance(cast(Row, message).get(part), str) for part in ("role", "content")
        ):
            raise ValueError("column 'messages': a message has texts 'role' and 'content'")
    if chat[-1]["role"] != "assistant":
        raise ValueError(f"column 'messages': the last is the {chat[-1]['role']}'s and not the assistant's")
    return tokenizer.render(chat[:-1]), chat[-1]["content"]


# ---- the command


def command(arguments: Sequence[str]) -> int:
    """The exit code of `rlvr sft` with these arguments. Raises UsageError."""
    options = vars(parser().parse_args(arguments))
    name, quiet = options.pop("config"), options.pop("quiet")
    config = read_config(SftConfig, name, options)
    if config.model in ("", "tiny") or not config.data:
        raise UsageError("say which model to fine-tune and on what: --model MODEL --data FILE, or both in the file")
    folder = config.out or Path("runs") / (Path(name).stem if name else "sft")
    with ranks(config.device) as group:
        if group.size > 1:
            raise UsageError("works in one process: start it without torchrun")
        policy = load_policy(_model(config), group.device)
    examples, longer = read_examples(config.data, policy.tokenizer, config.max_tokens)
    left_out = f"; {longer:,} longer than max_tokens = {config.max_tokens:,} are left out" if longer else ""
    if not quiet:
        print(f"{len(examples):,} examples{left_out}", file=sys.stderr)
    if not examples:
        raise UsageError(f"{' '.join(config.data)}: holds no example to fine-tune on{left_out}")
    with RunLog(folder, steps=step_count(config, examples), loggers=config.loggers, quiet=quiet) as log:
        write_config(config, folder / "config.toml")
        fine_tune(policy, examples, config, log)
    policy.save(folder / "final")
    if not quiet:
        print(f"the model is in {folder / 'final'}", file=sys.stderr)
    return 0


def _model(config: SftConfig) -> Config:
    return Config(
        model=config.model,
        revision=config.revision,
        dtype=config.dtype,
        gradient_checkpointing=config.gradient_checkpointing,
    )


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="rlvr sft",
        description=dedent("""\
            Fine-tune a model on answers that are good already: a cold start before `rlvr train`, or what a larger model
            answered (`rlvr select` picks those). CONFIG is a TOML file with the settings below; flags come on top.

            A row of the data is a chat, {"messages": [{"role": "user", "content": …}, {"role": "assistant", …}]},
            worded by the model's own chat template, or a pair of texts, {"prompt": …, "completion": …}, simply
            joined. The loss is on the last answer alone, with its end token; examples share rows without seeing one
            another."""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent("""\
            examples:
              rlvr sft cold_start.toml
              rlvr sft --model Qwen/Qwen2.5-0.5B-Instruct --data sft.jsonl --out runs/distilled --learning-rate 1e-5
              rlvr select runs/addition --out sft.jsonl && rlvr sft --model runs/addition/final --data sft.jsonl

            The folder then holds config.toml, metrics.jsonl (loss, tokens, seconds by step), notes.log and the model in
            final, which `rlvr train --model`, `rlvr eval` and transformers open. One process: no torchrun.
            Exit codes: 0 done, 2 something in the settings or the data is yours to mend, 130 interrupted."""),
    )
    made.add_argument("config", nargs="?", metavar="CONFIG", help="a TOML file")
    made.add_argument("--quiet", action="store_true", help="no progress, no remarks")
    add_settings(made, SftConfig)
    return made
