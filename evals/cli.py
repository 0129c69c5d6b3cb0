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
from . import eval_command
from .errors import UsageError

FIELD_ROLES = ("completion", "answer", "id", "prompt", "tests", "weight")
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
        named = "" if verifier is None else f"--verifier {verifier}: "
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
    _add_score(commands)
    eval_command.add_report(commands)
    _add_explain(commands)
    _add_check_gold(commands)
    _add_compare(commands)
    demo = commands.add_parser("demo", help="score a small dump that ships with rlvr and write its report")
    demo.add_argument("--report", type=Path, default=Path("demo-report.html"), help="where to (default: %(default)s)")
    for name, (_, said) in _OWN.items():
        own = commands.add_parser(name, add_help=False, help=said)
        own.add_argument("arguments", nargs="*")
    return parser


def _add_score(commands: Any) -> None:
    score = commands.add_parser(
        "score",
        help="score a file of completions (JSONL, .gz, .zst, parquet, - for standard input), or a run's folder again",
        description=dedent("""\
            Score completions that you already have. One row per completion, or per problem with a list of them;
            several files are one run. Columns are found by their usual names, and what was picked is said. The folder
            of `rlvr eval` is scored again, as it was before or with --verifier and --option."""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent("""\
            examples:
              rlvr score completions.jsonl
              rlvr score completions.jsonl --out scored.jsonl --report report.html
              cat completions.jsonl | rlvr score - --json
              rlvr score dump.jsonl.gz --answer-field gt --completion-field code --option extract=box
              rlvr score seed0.jsonl seed1.jsonl --id-field problem
              rlvr score code.jsonl --verifier code --workers 8 --option cpu_s=2
              rlvr score mixed.jsonl --verifier my_package.rewards:reward
              rlvr score runs/aime24-DeepSeek-R1-1a2b3c

            A run with --out that was stopped continues when the same command is given again.
            Exit codes: 0 done, 2 something in the options or the files is yours to mend, 130 interrupted."""),
    )
    score.add_argument("files", nargs="+", metavar="FILE", help="JSONL, .gz, .zst, parquet, or - for standard input")
    judging = score.add_argument_group("judging")
    judging.add_argument(
        "--verifier", metavar="NAME",
        help="math, code, format, language, or package.module:name for your own (default: math)",
    )  # fmt: skip
    judging.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", dest="verifier_options",
        help="an option of the verifier, e.g. extract=any, language=de, style=chat; for code also of its sandbox, e.g. "
        "language=cpp, mode=fraction, cpu_s=2, memory_mb=1024, image=NAME; may be repeated",
    )  # fmt: skip
    judging.add_argument(
        "--workers", type=_count, metavar="N",
        help="processes that judge; 0 judges in this one (default: 0 for the verifiers above, whose slow part has a "
        "worker of its own; one per core for yours); for code, programs that run at a time (default: one per core)",
    )  # fmt: skip
    judging.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="S", dest="timeout_s",
        help="seconds for one sample, with --workers 1 or more; what hangs is killed, tried once more alone, and then "
        "has status timeout (default: 60)",
    )  # fmt: skip
    columns = score.add_argument_group("columns")
    for role in FIELD_ROLES:
        columns.add_argument(f"--{role}-field", metavar="COLUMN", help=f"the column of the {_ROLE_HELP[role]}")
    columns.add_argument("--skip-bad-rows", action="store_true", help="go on past bad rows, and count them")
    output = score.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="FILE", help="write each sample with its verdict; continues a stopped run"
    )
    output.add_argument("--no-text", action="store_true", help="leave the input's own columns out of --out")
    output.add_argument("--report", type=Path, metavar="FILE", help="write one HTML page with plots and the samples")
    output.add_argument(
        "--report-samples", type=_count, metavar="N",
        help="samples in the page, wrong ones first (default: all that a browser bears)",
    )  # fmt: skip
    output.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    output.add_argument("--quiet", action="store_true", help="no progress bar and no remarks")


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
        check.add_argument(f"--{role}-field", metavar="COLUMN", help=f"the column of the {_ROLE_HELP[role]}")
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
    compare.add_argument("--report", type=Path, metavar="FILE", help="write one HTML file to look at")
    compare.add_argument("--json", action="store_true", help="print the comparison as one JSON object")


_ROLE_HELP = {
    "completion": "model's text (a text, a list of texts, or chat messages)",
    "answer": "gold answer",
    "id": "problem's id, which samples of one problem share; any column will do, e.g. the prompt's",
    "prompt": "prompt",
    "tests": "tests for code",
    "weight": "weight of a completion, e.g. a reward model's score: adds best-of-n and weighted votes",
}


def _score(options: argparse.Namespace) -> int:
    from .render import Terminal, print_summary
    from .score import ScoreOptions, score

    if len(options.files) == 1 and Path(options.files[0], "manifest.json").is_file():
        return eval_command.score_folder(options)
    options.verifier = "math" if options.verifier is None else options.verifier

    fields = {role: getattr(options, f"{role}_field") for role in FIELD_ROLES}
    run = ScoreOptions(
        files=options.files,
        verifier=options.verifier,
        verifier_options=options.verifier_options,
        fields={role: column for role, column in fields.items() if column is not None},
        out=options.out,
        with_text=not options.no_text,
        report=options.report,
        report_samples=options.report_samples,
        workers=options.workers,
        timeout_s=options.timeout_s,
        skip_bad_rows=options.skip_bad_rows,
    )
    with Terminal(_bytes_of(options.files), quiet=options.quiet) as terminal:
        summary = score(run, terminal)
    if options.json:
        print(json.dumps(summary))
    else:
        print_summary(summary)
    for path in (options.out, options.report):
        if path is not None:
            terminal.say(f"wrote {path}")
    return 0


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
    with Terminal(_bytes_of(options.files), quiet=options.quiet, doing="checking", unit="golds") as terminal:
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
        if error.name != "torch":
            raise
        raise UsageError("needs torch: pip install 'rlvr[train]'") from None
    return run(options.arguments)


# Commands that read their own options, and what does them; a string, because nothing here may import the trainer.
_OWN = {
    "train": ("..trainer.command:command", "train a model with GRPO against a verifier: a preset, or a TOML file"),
    "sft": ("..trainer.sft:command", "fine-tune a model on chats, for a cold start or to distil a larger run"),
    "select": ("..trainer.select:command", "rejection sampling: keep the correct and readable of scored completions"),
    "sandbox": ("..sandbox.command:main", "build and try the sandbox that runs programs"),
}
_COMMANDS = {
    "eval": eval_command.evaluate,
    "tasks": eval_command.list_tasks,
    "score": _score,
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


def _bytes_of(files: Sequence[str]) -> int | None:
    """The size of all files together, None where one is a pipe."""
    if not all(Path(file).is_file() for file in files):
        return None
    return sum(Path(file).stat().st_size for file in files)


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is below 0")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def _how_to_continue(options: argparse.Namespace) -> str:
    if options.command == "eval":
        return eval_command.how_to_continue(options)
    if options.command == "train":
        return "Give the same command again to go on from the last checkpoint."
    if options.command != "score" or Path(options.files[0]).is_dir():
        return ""
    out = options.out
    if out is None:
        return "Nothing was written; with --out FILE a stopped run can continue."
    return f"{out} holds what was scored so far; give the same command again to continue."


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
