"""Every setting of a training run: one frozen dataclass, filled from a preset or a TOML file, then from flags.

`Config`'s fields carry their own help and, where they have one, their source: `rlvr train --help` prints them.
"""

import argparse
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import cached_property
from math import cos, pi
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ..evals.errors import UsageError
from ..verifiers.language import LANGUAGES
from .advantages import ESTIMATORS
from .losses import LOSSES, LossConfig, loss_config
from .reflection import REFLECTION_WORDS

Settings = TypeVar("Settings")
PRESETS = Path(__file__).with_name("presets")
# The numbers of DeepSeek-R1-Zero are from its methods section, doi:10.1038/s41586-025-09422-z.


def setting(default: Any, help: str, *, section: str | None = None) -> Any:
    """A field of a dataclass of settings: its help on the command line, and the heading that begins with it."""
    return field(default=default, metadata={"help": help, "section": section})


@dataclass(frozen=True, kw_only=True)
class Config:
    """A GRPO run. `[loss]` in the file holds numbers of `losses.LossConfig`; the rest are the algorithm's paper's.

    Raises UsageError for a setting that cannot be meant.
    """

    model: str = setting(
        "tiny", "a Hugging Face model (hub id or folder), or tiny: a small transformer made here", section="the model"
    )
    revision: str | None = setting(None, "the hub's commit, tag or branch")
    dtype: Literal["float32", "bfloat16"] = setting("float32", "of the weights: float32 or bfloat16")
    gradient_checkpointing: bool = setting(False, "compute activations again in the backward pass: less memory")
    tiny_dim: int = setting(128, "hidden size of the tiny transformer")
    tiny_layers: int = setting(2, "its layers")
    tiny_heads: int = setting(4, "its attention heads")
    task: str = setting(
        "addition",
        "addition, countdown, a name of `rlvr tasks`, a .toml task or package.module:name",
        section="the problems",
    )
    data: Path | None = setting(None, "a local copy of the task's problems (JSONL, parquet, a folder)")
    prompt: Literal["r1-zero", "r1", "plain"] | None = setting(
        None, "wording: r1-zero, r1 or plain; default: the task's own"
    )
    think_prefix: bool = setting(False, "prompts end with <think>: every completion begins inside its thought")
    held_out: int = setting(200, "problems kept from training to evaluate on, where eval_task names no others")
    eval_task: str | None = setting(None, "a task to evaluate on")
    eval_data: Path | None = setting(None, "a local copy of its problems")
    reward: str = setting("math", "math, code, format, language, or package.module:name", section="the reward")
    reward_options: tuple[str, ...] = setting((), "name=value for the reward")
    cold_start_steps: int = setting(
        0,
        "0: none; generated tasks only, `rlvr sft` does it for any rows",
        section="cold start: supervised steps on a generated task's own worked solutions",
    )
    cold_start_batch: int = setting(64, "rows a step")
    cold_start_learning_rate: float = setting(1e-3, "peak, then cosine to 0")
    prompts: int = setting(32, "problems a step; R1-Zero: 32", section="rollouts")
    group: int = setting(16, "completions of each; R1-Zero: 16")
    max_tokens: int = setting(1024, "of a completion; R1-Zero: 32,768, then 65,536")
    temperature: float = setting(1.0, "R1-Zero: 1")
    top_p: float = setting(1.0, "below 1 the policy that is trained is not the one that is sampled: correct it")
    sampler: str = setting("own", "own, vllm (in this process), or the http:// address of a vLLM server")
    vllm: Mapping[str, Any] = field(default_factory=dict[str, Any])  # options of its LLM, for sampler = "vllm"
    rollout_prompts: int = setting(
        0, "prompts sampled at once; the ones before are verified meanwhile; 0: half a step's"
    )
    dynamic_sampling: int = setting(0, "groups without spread are replaced by further ones, in at most so many rounds")
    algorithm: str = setting("grpo", f"one of {', '.join(LOSSES)}", section="the update")
    loss: Mapping[str, Any] = field(default_factory=dict[str, Any])  # numbers of losses.LossConfig
    advantage: str | None = setting(None, f"one of {', '.join(ESTIMATORS)}; default: the algorithm's")
    minibatches: int = setting(1, "updates for each rollout, each on its share of the prompts; R1-Zero: 16")
    epochs: int = setting(1, "times a rollout is gone through; R1-Zero: 1")
    mask_truncated: bool = setting(False, "completions that were cut off teach nothing; DAPO's overlong filtering")
    entropy_share: float = setting(1.0, "the policy gradient counts for this share of tokens, of highest entropy")
    refresh_reference: int = setting(
        400, "the reference becomes the policy every so many steps; 0: never; R1-Zero: 400"
    )
    micro_batch_tokens: int = setting(16_384, "padded tokens in one forward and backward pass")
    logprob_chunk: int = setting(1024, "positions whose logits exist at a time")
    steps: int = setting(1000, "rollouts, each followed by its updates", section="the optimizer, AdamW")
    learning_rate: float = setting(3e-6, "R1-Zero: 3e-6")
    warmup_steps: int = setting(0, "steps of linear rise")
    schedule: Literal["constant", "linear", "cosine"] = setting(
        "constant", "constant, linear or cosine: what the learning rate does afterwards"
    )
    weight_decay: float = setting(0.0, "decoupled, arXiv:1711.05101")
    beta1: float = setting(0.9, "of AdamW")
    beta2: float = setting(0.99, "of AdamW")
    max_grad_norm: float = setting(1.0, "gradients longer than this are shortened to it")
    eval_every: int = setting(50, "steps; also before the first and after the last; 0: only then", section="evaluation")
    eval_samples: int = setting(4, "completions at temperature 1 for each held-out problem, beside a greedy one")
    seed: int = setting(0, "of everything that is random", section="the run")
    out: Path | None = setting(None, "the run's folder; default: runs/ and the name of the preset or file")
    checkpoint_every: int = setting(50, "steps")
    keep_checkpoints: int = setting(2, "the latest so many; 0: all")
    keep_completions_every: int = setting(1, "steps whose completions are written with their verdicts; 0: none")
    loggers: tuple[str, ...] = setting(("auto",), "tensorboard, wandb, trackio; auto: TensorBoard if it is installed")
    reflection_words: tuple[str, ...] = setting(REFLECTION_WORDS, "counted in completions")
    language: str = setting("en", "of which the share of words in completions is measured")
    reward_workers: int | None = setting(None, "completions judged at a time; default: one per core")
    parallel: Literal["ddp", "fsdp"] = setting(
        "ddp", "under torchrun: ddp, copies of the model, or fsdp, shares of it (FSDP2)"
    )
    device: str | None = setting(None, "default: cuda where there is one, else cpu")
    threads: int | None = setting(None, "of torch on CPUs; default: one per core, too many for small models")

    def __post_init__(self) -> None:
        if self.algorithm not in LOSSES:
            raise UsageError(f"algorithm = {self.algorithm!r}: is none of {', '.join(LOSSES)}")
        for name in ("prompts", "group", "max_tokens", "minibatches", "epochs", "micro_batch_tokens", "logprob_chunk"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)}: must be at least 1")
        for name in ("steps", "warmup_steps", "cold_start_steps", "eval_samples", "eval_every", "checkpoint_every"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} = {getattr(self, name)}: must not be negative")
        if self.prompts % self.minibatches:
            raise UsageError(f"prompts = {self.prompts}: does not divide into {self.minibatches} minibatches")
        if not 0 < self.entropy_share <= 1 or not 0 < self.top_p <= 1 or self.temperature <= 0:
            raise UsageError("0 < entropy_share <= 1, 0 < top_p <= 1 and temperature > 0 are needed")
        if self.language not in LANGUAGES:
            raise UsageError(f"language = {self.language!r}: is none of {', '.join(LANGUAGES)}")
        if self.advantage is not None and self.advantage not in ESTIMATORS:
            raise UsageError(f"advantage = {self.advantage!r}: is none of {', '.join(ESTIMATORS)}")
        try:
            _ = self.equation
        except ValueError as error:
            raise UsageError(f"[loss]: {error}") from None

    def rate(self, step: int) -> float:
        """The learning rate of a step from 1: a linear rise, then the schedule down to 0 after the last step."""
        if step <= self.warmup_steps:
            return self.learning_rate * step / self.warmup_steps
        done = (step - 1 - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        share = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + cos(pi * done)) / 2}
        return self.learning_rate * share[self.schedule]

    @cached_property
    def equation(self) -> LossConfig:
        """The numbers in the loss: the algorithm's paper's, then `[loss]`."""
        return loss_config(self.algorithm, **{"max_tokens": self.max_tokens, **_values(LossConfig, self.loss)})


def read_config(kind: type[Settings], argument: str | None, flags: Mapping[str, Any]) -> Settings:
    """The settings of a preset's name or a TOML file, then `flags` (`loss.kl_coef` for one in a table).

    Raises UsageError that names the file and the setting.
    """
    where = argument or "flags"
    table: dict[str, Any] = {} if argument is None else _read_toml(preset(argument) or Path(argument))
    for name, value in flags.items():
        parent, dot, last = name.rpartition(".")
        if dot:
            table[parent] = {**table.get(parent, {}), last: value}
        else:
            table[name] = value
    try:
        return kind(**_values(kind, table))
    except (UsageError, ValueError) as error:
        raise UsageError(f"{where}: {error}") from None


def preset(name: str) -> Path | None:
    """The file of a preset that ships with rlvr."""
    path = PRESETS / f"{name}.toml"
    return path if path.is_file() else None


def write_config(settings: Any, path: Path) -> None:
    """Every setting as TOML that `read_config` takes. What is None is left out."""
    tables: list[str] = []
    lines: list[str] = []
    for item in fields(settings):
        value = getattr(settings, item.name)
        if isinstance(value, Mapping):
            inner = cast(Mapping[str, Any], value)
            tables += ["", f"[{item.name}]", *(f"{name} = {_toml(one)}" for name, one in inner.items())]
        elif value is not None:
            lines.append(f"{item.name} = {_toml(value)}")
    path.write_text("\n".join([*lines, *tables, ""]), encoding="utf-8")


def add_settings(parser: argparse.ArgumentParser, kind: type[Any]) -> None:
    """A flag for each setting, with its help; what is not given stays out of the parsed options."""
    hints = get_type_hints(kind)
    group: Any = parser
    for item in fields(kind):
        if item.metadata.get("section"):
            group = parser.add_argument_group(item.metadata["section"])
        if item.name == "vllm":
            continue  # a table of the file alone
        if item.name == "loss":
            for inner in fields(LossConfig):
                parser.add_argument(
                    f"--loss.{inner.name.replace('_', '-')}", type=_parsed, default=argparse.SUPPRESS, metavar="VALUE",
                    dest=f"loss.{inner.name}", help=argparse.SUPPRESS,
                )  # fmt: skip
            continue
        flag = f"--{item.name.replace('_', '-')}"
        default = "" if item.default in (None, ()) else f" (default: {_shown(item.default)})"
        words = f"{item.metadata['help']}{default}".replace("%", "%%")
        if isinstance(item.default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=words)
        elif get_origin(hints[item.name]) is tuple:
            group.add_argument(flag, nargs="*", default=argparse.SUPPRESS, help=words, metavar="TEXT")
        else:
            group.add_argument(flag, type=_parsed, default=argparse.SUPPRESS, help=words, metavar="VALUE")


def _parsed(text: str) -> Any:
    """A number as a number, the rest as text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(one.stem for one in PRESETS.glob("*.toml")))
        raise UsageError(f"{path}: there is no such file, and no such preset; presets are {known}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is not TOML: {error}") from None


_NO = object()


def _values(kind: type[Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """The table's values as the dataclass has them. Raises UsageError."""
    hints = get_type_hints(kind)
    for name in table:
        if name not in hints:
            close = get_close_matches(name, hints, n=1)
            raise UsageError(f"there is no setting {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    return {name: _value(hints[name], value, name) for name, value in table.items()}


def _value(kind: Any, value: Any, name: str) -> Any:
    """`value` as the setting's type has it. Raises UsageError."""
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for option in options:
        fitted = _fit(option, value)
        if fitted is not _NO:
            return fitted
    wanted = " or ".join(_words(option) for option in options if option is not NoneType)
    raise UsageError(f"{name} = {value!r}: is not {wanted}")


def _fit(kind: Any, value: Any) -> Any:
    if get_origin(kind) is Literal:
        return value if value in get_args(kind) else _NO
    if get_origin(kind) is tuple:
        return tuple(cast(Sequence[Any], value)) if isinstance(value, (list, tuple)) else _NO
    if get_origin(kind) is Mapping:
        return value if isinstance(value, dict) else _NO  # pyright: ignore[reportUnknownVariableType]
    if kind is Path:
        return Path(value) if isinstance(value, (str, Path)) else _NO
    if kind is float and type(value) is int:
        return float(value)
    return value if type(value) is kind else _NO


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return "a list"
    if get_origin(kind) is Mapping:
        return "a table"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
    return names[kind]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, Path)):
        return json.dumps(str(value))
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, cast(Sequence[Any], value)))}]"
    return repr(value)


def _shown(value: Any) -> str:
    return " ".join(map(str, cast(tuple[Any, ...], value))) if isinstance(value, tuple) else str(value)
