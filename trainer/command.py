"""`rlvr train`: settings from a preset or a file and from flags, a folder for the run, and the loop."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from textwrap import dedent
from typing import Any

from ..evals.errors import UsageError
from .config import PRESETS, Config, add_settings, preset, read_config, write_config

SETTINGS = "config.toml"
# What may change between two parts of one run.
_FREE = {"steps", "out", "loggers", "device", "parallel", "checkpoint_every", "keep_checkpoints", "reward_workers"}


def command(arguments: Sequence[str]) -> int:
    """The exit code of `rlvr train` with these arguments. Raises UsageError."""
    options = vars(parser().parse_args(arguments))
    name, quiet, only_show = options.pop("config"), options.pop("quiet"), options.pop("show")
    config = read_config(Config, name, options)
    if only_show:
        write_config(config, Path("/dev/stdout"))
        return 0
    folder = config.out or Path("runs") / _run_name(name)
    run(replace(config, out=None), folder, quiet=quiet)
    return 0


def run(config: Config, folder: Path, *, quiet: bool = False) -> None:
    """Train in `folder`, or go on there. Under `torchrun` every rank calls it. Raises UsageError."""

    import torch

    from .cold_start import cold_start
    from .distributed import ranks
    from .grpo import train
    from .heap import keep_freed_memory

    keep_freed_memory()
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with ranks(config.device) as group:
        if group.rank == 0:
            claim(config, folder)
        group.wait()
        start = cold_start(config, folder, group, quiet=quiet) if config.cold_start_steps else config.model
        train(replace(config, model=start), folder, group, quiet=quiet)
        if group.rank == 0 and not quiet:
            print(f"the model is in {folder / 'final'}; `rlvr report {folder}` draws the curves", file=sys.stderr)


def claim(config: Config, folder: Path) -> None:
    """Write the settings into a new folder, or see that the run there has the same. Raises UsageError that says what
    differs."""
    path = folder / SETTINGS
    if path.is_file():
        before = read_config(Config, str(path), {})
        changed = [
            f"{item.name}: {getattr(before, item.name)!r} there, {getattr(config, item.name)!r} here"
            for item in fields(Config)
            if item.name not in _FREE and getattr(before, item.name) != getattr(config, item.name)
        ]
        if changed:
            raise UsageError(f"{folder}: holds a run with other settings; choose another --out. " + "; ".join(changed))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_config(config, path)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}") from None


def parser() -> argparse.ArgumentParser:
    known = ", ".join(sorted(path.stem for path in PRESETS.glob("*.toml")))
    made = argparse.ArgumentParser(
        prog="rlvr train",
        usage="rlvr train CONFIG [--SETTING VALUE …]",
        description=dedent(f"""\
            Train a model with GRPO on rewards that a verifier gives. CONFIG is a preset ({known}) or a TOML file with
            the settings below; flags come on top. The same command given again goes on where a stopped run was."""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent("""\
            examples:
              rlvr train addition
              rlvr train addition --seed 1 --out runs/addition-1
              rlvr train r1_zero_math --model Qwen/Qwen2.5-0.5B
              rlvr train my_run.toml --algorithm dapo --loss.clip-high 0.3 --dynamic-sampling 3
              torchrun --nproc-per-node 8 -m rlvr.trainer my_run.toml

            In a file, the numbers of the equation stand in a table [loss]; each is a flag --loss.NAME here:
              clip_low clip_high clip_dual kl_coef kl kl_ratio level correction correction_min correction_max
              off_policy_kl tau_positive tau_negative
            Exit codes: 0 done, 2 something in the settings is yours to mend, 130 interrupted."""),
    )
    made.add_argument("config", metavar="CONFIG", help=f"a preset ({known}) or a TOML file")
    made.add_argument("--quiet", action="store_true", help="no progress, no remarks")
    made.add_argument("--show", action="store_true", help="print every setting as TOML, and train nothing")
    add_settings(made, Config)
    return made


def _run_name(argument: str) -> str:
    return argument if preset(argument) is not None else Path(argument).stem


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m rlvr.trainer`, which is what `torchrun` starts: `rlvr train` without the rest of the command."""
    given: Any = sys.argv[1:] if arguments is None else arguments
    try:
        return command(given)
    except UsageError as error:
        print(f"rlvr train: {error}", file=sys.stderr)
        return 2
