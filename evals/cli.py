"""The `rlvr` command. Each command names the module that does it, imported only when called."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from textwrap import dedent
from types import FrameType
from typing import Any

from ..verifiers.types import UnusableVerifier
from . import eval_command, score_command
from .arguments import page
from .errors import UsageError
from .score_command import ROLE_HELP, bytes_of

DEMO = Path(__file__).with_name("examples") / "demo.jsonl"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0, 1 for our fault or a wrong answer, 2 for the user's, 130 interrupted."""
    parser = _parser()
    options = parser.parse_args(_with_dashes(sys.argv[1:] if arguments is None else arguments))
    if options.command is None:
        parser.print_help()
        return 0
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        code = _COMMANDS[options.command](options)
        sys.stdout.flush()
    except UsageError as error:
        print(f"rlvr {options.command}: {error}", file=sys.stderr)
        return 2
    except UnusableVerifier as error:
        verifier = getattr(options, "verifier", None)
        named = "" if verifier is None else f"verifier {verifier}: "
        print(f"rlvr {options.command}: {named}{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nrlvr {options.command}: stopped. {_how_to_continue(options)}".rstrip(), file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rlvr",
        description="Verifiable rewards for reinforcement learning: judge what a model wrote by rule.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="`rlvr COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"rlvr {version('rlvr')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    eval_command.add_eval(commands)
    eval_command.add_tasks(commands)
    score_command.add_score(commands)
    eval_command.add_report(commands)
    _add_explain(commands)
    _add_check_gold(commands)
    _add_compare(commands)
    demo = commands.add_parser("demo", help="score a small dump that ships with rlvr and write its report")
    demo.add_argument("--report", type=page, default=Path("demo-report.html"), help="where to (default: %(default)s)")
    for name, (_, said) in _OWN.items():
        own = commands.add_parser(name, add_help=False, help=said)
        own.add_argument("arguments", nargs="*")
    return parser


def _add_explain(commands: Any) -> None:
    explain = commands.add_parser(
        "explain",
        help="why one math answer is right or wrong: what was found, how it was read, what decided",
        description=dedent("""\
            Judge one answer as `rlvr score` does and show each step: what was found in ANSWER, how both sides were
            normalised and parsed, which rung of the ladder decided, and why."""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent("""\
            examples:
              rlvr explain '\\frac{1}{2}' 0.5
              rlvr explain '(2,\\infty)' 'so we get \\boxed{x > 2}.'
              rlvr explain 72 - < completion.txt

            Exit codes: 0 correct, 1 wrong, 2 not judged, or something in the options is yours to mend."""),
    )
    explain.add_argument("gold", metavar="GOLD", help="the gold answer, or a solution that ends in its box")
    explain.add_argument("answer", metavar="ANSWER", help="a bare answer, a whole completion, or - for standard input")
    _add_extract(explain)
    explain.add_argument("--json", action="store_true", help="print one JSON object")


def _add_extract(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--extract", choices=("box", "answer", "any"), default="answer",
        help="where an answer is looked for: a box or tag; also a stated answer; also the last formula or number "
        "(default: answer)",
    )  # fmt: skip


def _add_check_gold(commands: Any) -> None:
    check = commands.add_parser(
        "check-gold",
        help="judge every gold answer of a file against itself, before anyone trains on it",
        description=dedent("""\
            Judge each gold answer against itself and against a box of itself, and list those that fail or cannot be
            read. Rows need no completions; columns are found as `rlvr score` finds them."""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit codes: 0 all pass, 1 some fail, 2 something in the options or the files is yours to mend.",
    )
    check.add_argument("files", nargs="+", metavar="FILE", help="JSONL, .gz, .zst, parquet, or - for standard input")
    for role in ("answer", "id"):
        check.add_argument(f"--{role}-field", metavar="COLUMN", help=f"the column of the {ROLE_HELP[role]}")
    check.add_argument("--json", action="store_true", help="print the result as one JSON object")
    check.add_argument("--quiet", action="store_true", help="no progress bar and no remarks")


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser(
        "compare",
        help="two scored runs on the same problems: the difference, and whether chance would do it",
        description=dedent("""\
            Compare runs that were scored with `rlvr score --out`, problem by problem: the difference B - A with its
            interval, p-values, the difference that could have been found, and the problems that flipped (more than
            half of one run's samples right, less than half of the other's). Of two folders of `rlvr eval`, the
            settings that differ are listed too."""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent("""\
            examples:
              rlvr compare before.jsonl after.jsonl
              rlvr compare runs/a runs/b --report compare.html
              rlvr compare aime-a.jsonl aime-b.jsonl math-a.jsonl math-b.jsonl

            Several pairs are several tests: their p-values are adjusted after Holm.
            Exit codes: 0 done, 2 something in the options or the files is yours to mend."""),
    )
    compare.add_argument(
        "runs", nargs="+", metavar="RUN", help="A B, or A B A B …: scored files, or directories with a scored.jsonl"
    )
    compare.add_argument(
        "--common", action="store_true",
        help="compare on the problems that both runs have with all their samples, instead of refusing",
    )  # fmt: skip
    compare.add_argument("--report", type=page, metavar="FILE", help="write one HTML file to look at")
    compare.add_argument("--json", action="store_true", help="print the comparison as one JSON object")


def _explain(options: argparse.Namespace) -> int:
    from ..verifiers.math.explain import explain
    from .explain import exit_code, explanation_row, print_explanation

    text = sys.stdin.buffer.read().decode("utf-8", "replace") if options.answer == "-" else options.answer
    why = explain(options.gold, text, extract=options.extract)
    if options.json:
        print(json.dumps(explanation_row(options.gold, text, why)))
    else:
        print_explanation(options.gold, text, why)
    return exit_code(why)


def _check_gold(options: argparse.Namespace) -> int:
    from .check_gold import check_gold, print_report
    from .render import Terminal

    fields = {role: column for role in ("answer", "id") if (column := getattr(options, f"{role}_field")) is not None}
    with Terminal(bytes_of(options.files), quiet=options.quiet, doing="checking", unit="golds") as terminal:
        report = check_gold(options.files, fields, terminal)
    if options.json:
        print(json.dumps(report.row()))
    else:
        print_report(report)
    return 1 if report.failed else 0


def _compare(options: argparse.Namespace) -> int:
    from .compare import compare
    from .compare_report import write_compare_report
    from .render_compare import print_comparison

    found = compare(options.runs, common=options.common)
    if options.report is not None:
        try:
            write_compare_report(options.report, found)
        except OSError as error:
            raise UsageError(f"{options.report}: {error.strerror}") from None
    if options.json:
        print(json.dumps(found))
    else:
        print_comparison(found)
    if options.report is not None:
        print(f"wrote {options.report}", file=sys.stderr)
    return 0


def _demo(options: argparse.Namespace) -> int:
    print(f"$ rlvr score {DEMO.name} --report {options.report}", flush=True)
    return main(["score", str(DEMO), "--report", str(options.report)])


def _own(options: argparse.Namespace) -> int:
    module, _, function = _OWN[options.command][0].partition(":")
    try:
        run = getattr(import_module(module, __package__), function)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        raise UsageError(f"needs {error.name}: pip install 'rlvr[{_EXTRAS[error.name]}]'") from None
    return run(options.arguments)


# Commands that read their own options, and what does them; a string, because nothing here may import the trainer.
_OWN = {
    "train": ("..trainer.command:command", "train a model with GRPO against a verifier: a preset, or a TOML file"),
    "sft": ("..trainer.sft:command", "fine-tune a model on chats, for a cold start or to distil a larger run"),
    "select": ("..trainer.select:command", "rejection sampling: keep the correct and readable of scored completions"),
    "serve": (".serve_command:command", "a reward over HTTP: our API, OpenRLHF's and slime's remote rewards"),
    "adapter": (".adapter_command:command", "write the file that a trainer asks for: TRL, verl, OpenRLHF and others"),
    "rewards": (".rewards_command:command", "list the rewards that are ready to use, and what each pays for"),
    "audit": (".audit_command:command", "look for what is wrong with a reward in what it scored"),
    "sandbox": ("..sandbox.command:main", "build and try the sandbox that runs programs"),
}
_EXTRAS = {
    "torch": "train",
    "fastapi": "serve",
    "fastapi_offline": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
}
_COMMANDS = {
    "eval": eval_command.evaluate,
    "tasks": eval_command.list_tasks,
    "score": score_command.score_files,
    "report": eval_command.report_folder,
    "explain": _explain,
    "check-gold": _check_gold,
    "compare": _compare,
    "demo": _demo,
    **dict.fromkeys(_OWN, _own),
}


def _with_dashes(arguments: Sequence[str]) -> Sequence[str]:
    """`explain` takes answers that begin with a minus sign: what is no option of its own goes behind `--`."""
    if arguments and arguments[0] in _OWN:
        return [arguments[0], "--", *arguments[1:]]
    if not arguments or arguments[0] != "explain" or "--" in arguments:
        return arguments
    own, answers = [arguments[0]], list[str]()
    rest = iter(arguments[1:])
    for word in rest:
        if word == "--extract":
            own += [word, *islice(rest, 1)]
        elif word in ("--json", "-h", "--help") or word.startswith("--extract="):
            own.append(word)
        else:
            answers.append(word)
    return [*own, "--", *answers]


def _how_to_continue(options: argparse.Namespace) -> str:
    if options.command == "eval":
        return eval_command.how_to_continue(options)
    if options.command == "train":
        return "Give the same command again to go on from the last checkpoint."
    if options.command == "score":
        return score_command.how_to_continue(options)
    return ""


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
