"""`rlvr adapter`: the file that a trainer asks for, around a reward by name."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from textwrap import dedent

from ..verifiers.rewards import RECIPES
from .arguments import count, number, positive, seconds
from .errors import UsageError
from .verifier import choose_verifier

# Trainers that load a reward from a file or by its import path; TRL and oat take the object itself.
TRAINERS = ("verl", "openrlhf", "slime", "areal", "nemo-rl", "open-instruct", "prime", "rllm", "skyrl-gym")
# The names of `--verifier`, as they are imported.
_BUILT_IN = {
    "math": ("rlvr.verifiers", "verify_math"),
    "format": ("rlvr.verifiers", "verify_format"),
    "language": ("rlvr.verifiers", "verify_language"),
    "code": ("rlvr.verifiers.rewards", "verify_code_here"),
    **{recipe.name: ("rlvr.verifiers.rewards", recipe.name) for recipe in RECIPES},
}


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="rlvr adapter",
        description=dedent("""\
            Write the file that a trainer asks for, around your reward. Its first line is the setting that makes the
            trainer use it. Trainers that take an object need no file: `from rlvr.verifiers.adapters import as_trl`.
            The reward's module must be importable where the trainer runs: installed, or on PYTHONPATH."""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent("""\
            examples:
              rlvr adapter verl --reward my_rewards:reward > rlvr_reward.py
              rlvr adapter openrlhf --reward r1_zero_math --out rlvr_reward.py
              rlvr adapter verl --reward my_rewards:reward --workers 4 --timeout 10 --unjudged 0

            Exit codes: 0 written, 2 something in the options is yours to mend."""),
    )
    parser.add_argument("trainer", choices=TRAINERS, help="one of %(choices)s", metavar="TRAINER")
    parser.add_argument(
        "--reward",
        required=True,
        metavar="NAME",
        help="math, code, format, language, one of `rlvr rewards`, or module:name",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it here, not to standard output")
    running = parser.add_argument_group("how it is run")
    running.add_argument(
        "--workers", type=count, metavar="N", help="processes that judge, for a reward that may hang or crash"
    )
    running.add_argument(
        "--threads", type=positive, metavar="N", help="threads that judge, for one that waits as code does"
    )
    running.add_argument(
        "--timeout", type=seconds, metavar="S", dest="timeout_s", help="seconds for one item in a process"
    )
    running.add_argument(
        "--unjudged", type=number, metavar="X",
        help="what to pay for a completion that could not be judged (default: stop the trainer with the reason)",
    )  # fmt: skip
    return parser


def command(arguments: Sequence[str]) -> int:
    """Write the file, and say how to use it."""
    options = parser().parse_args(arguments)
    file = options.out or Path("rlvr_reward.py")
    if not file.stem.isidentifier():
        raise UsageError(f"--out {file}: trainers import it by its name, so the name must be one of a module")
    if file.stem == options.reward.partition(":")[0]:
        raise UsageError(f"--out {file}: would take the place of the module that holds the reward; choose another name")
    text = _file(options, file)
    if options.out is None:
        sys.stdout.write(text)
        return 0
    try:
        if file.is_file() and not _is_ours(file):
            raise UsageError(f"--out {file}: exists and is none of ours; choose another name, or remove it")
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    print(f"wrote {file}\n{text.splitlines()[0].lstrip('# ')}")
    return 0


def _is_ours(file: Path) -> bool:
    with file.open(encoding="utf-8", errors="replace") as lines:
        return lines.readline().startswith(tuple(f"# {trainer}: " for trainer in TRAINERS))


def _file(options: argparse.Namespace, file: Path) -> str:
    name = options.trainer.replace("-", "_")
    adapter = import_module(f"...verifiers.adapters.{name}", __name__)
    function = f"as_{name}"
    named = {name: getattr(options, name) for name in ("workers", "threads", "timeout_s", "unjudged")}
    given = "".join(f", {name}={value!r}" for name, value in named.items() if value is not None)
    names = ["Judging", function] if given else [function]
    called = f"Judging(reward{given})" if given else "reward"
    lines = [
        f"# {options.trainer}: {adapter.PLUG.format(file=file, module=file.stem)}",
        _import(options.reward),
        f"from rlvr.verifiers.adapters import {', '.join(names)}",
        "",
        f"{adapter.NAMED} = {function}({called})",
    ]
    return "\n".join(lines) + "\n"


def _import(name: str) -> str:
    if name in _BUILT_IN:
        module, attribute = _BUILT_IN[name]
    else:
        choose_verifier(name, [])  # what cannot be imported is said now, not by the trainer
        module, _, attribute = name.partition(":")
    first, _, rest = attribute.partition(".")
    if rest:
        return f"from {module} import {first}\nreward = {attribute}"
    return f"from {module} import {first}" + ("" if first == "reward" else " as reward")
