"""Dashboards that a run sends its numbers to. Only those that were asked for; each must be installed."""

import os
import secrets
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from ..evals.errors import UsageError

LOGGERS = ("auto", "tensorboard", "wandb", "trackio")
PROJECT = "rlvr"


class Tracker(Protocol):
    """Takes the numbers of a step."""

    def log(self, step: int, numbers: Mapping[str, float], /) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in `folder/tensorboard`: nothing leaves the machine. What is past the step `after` is taken back."""

    def __init__(self, folder: Path, after: int | None) -> None:
        purge_step = None if after is None else after + 1
        tensorboard: Any = import_module("torch.utils.tensorboard")
        self._writer = tensorboard.SummaryWriter(str(folder / "tensorboard"), purge_step=purge_step)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class Run:
    """A run of wandb, or of trackio, which has the same functions. A run that goes on goes on there too.

    Of the steps that are made a second time wandb keeps the first rows, which are the same. Its own variables
    (WANDB_PROJECT, WANDB_MODE …) hold.
    """

    def __init__(self, module: str, folder: Path, config: Mapping[str, Any]) -> None:
        library: Any = import_module(module)
        options: dict[str, Any] = {"project": os.environ.get(f"{module.upper()}_PROJECT", PROJECT)}
        if module == "wandb":
            options |= {"id": _run_id(folder), "dir": str(folder)}
        self._run = library.init(name=folder.name, config=dict(config), resume="allow", **options)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        self._run.finish()


def open_trackers(names: Iterable[str], folder: Path, config: Mapping[str, Any], after: int | None) -> list[Tracker]:
    """A tracker for each of `names`, which are among `LOGGERS`. "auto" is TensorBoard where it is installed.

    Raises UsageError for a name that is unknown or whose library is not installed.
    """
    chosen: list[str] = []
    for name in names:
        if name not in LOGGERS:
            raise UsageError(f"{name!r} is no logger; there are {', '.join(LOGGERS)}")
        if name == "auto":
            chosen += ["tensorboard"] if find_spec("tensorboard") else []
        elif find_spec(name) is None:
            raise UsageError(f"the logger {name} is not installed: pip install {name}")
        else:
            chosen.append(name)
    return [
        TensorBoard(folder, after) if name == "tensorboard" else Run(name, folder, config)
        for name in dict.fromkeys(chosen)
    ]


def _run_id(folder: Path) -> str:
    """The name that wandb knows this run by, drawn once."""
    path = folder / ".wandb_id"
    if not path.exists():
        path.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()
