"""`rlvr score`: from options to what it does."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

from .arguments import count, page, seconds
from .eval_command import score_folder

FIELD_ROLES = ("completion", "answer", "id", "prompt", "tests", "weight")
ROLE_HELP = {
    "completion": "model's text (a text, a list of texts, or chat messages)",
    "answer": "gold answer",
    "id": "problem's id, which samples of one problem share; any column will do, e.g. the prompt's",
    "prompt": "prompt",
    "tests": "tests for code",
    "weight": "weight of a completion, e.g. a reward model's score: adds best-of-n and weighted votes",
}


def add_score(commands: Any) -> None:
    """The command's options."""
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
              rlvr score huge/*.jsonl.gz --executor ray --out scored/
              rlvr score runs/aime24-DeepSeek-R1-1a2b3c

            A run with --out that was stopped continues when the same command is given again.
            Exit codes: 0 done, 2 something in the options or the files is yours to mend, 130 interrupted."""),
    )
    score.add_argument("files", nargs="+", metavar="FILE", help="JSONL, .gz, .zst, parquet, or - for standard input")
    judging = score.add_argument_group("judging")
    judging.add_argument(
        "--verifier", metavar="NAME",
        help="math, code, format, language, one of `rlvr rewards`, or package.module:name (default: math)",
    )  # fmt: skip
    judging.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", dest="verifier_options",
        help="an option of the verifier, e.g. extract=any, language=de, style=chat; for code also of its sandbox, e.g. "
        "language=cpp, mode=fraction, cpu_s=2, memory_mb=1024, image=NAME; may be repeated",
    )  # fmt: skip
    judging.add_argument(
        "--workers", type=count, metavar="N",
        help="processes that judge; 0 judges in this one (default: 0 for the verifiers above, whose slow part has a "
        "worker of its own; one per core for yours); for code, programs that run at a time (default: one per core)",
    )  # fmt: skip
    judging.add_argument(
        "--executor", choices=("local", "ray"), default="local",
        help="where it judges: this machine, or Ray, on this machine or many (default: local); on Ray --workers is for "
        "all machines together (default: one per processor)",
    )  # fmt: skip
    judging.add_argument(
        "--ray-address", metavar="ADDRESS",
        help="the Ray cluster: auto, host:port or ray://… (default: RAY_ADDRESS, else one started here for this run)",
    )  # fmt: skip
    judging.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="S", dest="timeout_s",
        help="seconds for one sample, with --workers 1 or more; what hangs is killed, tried once more alone, and then "
        "has status timeout (default: 60)",
    )  # fmt: skip
    columns = score.add_argument_group("columns")
    for role in FIELD_ROLES:
        columns.add_argument(f"--{role}-field", metavar="COLUMN", help=f"the column of the {ROLE_HELP[role]}")
    columns.add_argument("--skip-bad-rows", action="store_true", help="go on past bad rows, and count them")
    output = score.add_argument_group("output")
    output.add_argument(
        "--out", metavar="FILE|DIR/",
        help="write each sample with its verdict, to one file or to one for each input in a folder (named with a slash "
        "at its end, or there already); continues a stopped run",
    )  # fmt: skip
    output.add_argument("--no-text", action="store_true", help="leave the input's own columns out of --out")
    output.add_argument("--report", type=page, metavar="FILE", help="write one HTML page with plots and the samples")
    output.add_argument(
        "--report-samples", type=count, metavar="N",
        help="samples in the page, wrong ones first (default: all that a browser bears)",
    )  # fmt: skip
    output.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    output.add_argument("--quiet", action="store_true", help="no progress bar and no remarks")


def score_files(options: argparse.Namespace) -> int:
    """`rlvr score`."""
    from .render import Terminal, print_summary
    from .score import ScoreOptions, score

    if len(options.files) == 1 and Path(options.files[0], "manifest.json").is_file():
        return score_folder(options)
    options.verifier = "math" if options.verifier is None else options.verifier

    fields = {role: getattr(options, f"{role}_field") for role in FIELD_ROLES}
    run = ScoreOptions(
        files=options.files,
        verifier=options.verifier,
        verifier_options=options.verifier_options,
        fields={role: column for role, column in fields.items() if column is not None},
        out=None if options.out is None else Path(options.out),
        out_is_folder=options.out is not None and (options.out.endswith("/") or Path(options.out).is_dir()),
        with_text=not options.no_text,
        report=options.report,
        report_samples=options.report_samples,
        workers=options.workers,
        timeout_s=options.timeout_s,
        executor=options.executor,
        ray_address=options.ray_address,
        skip_bad_rows=options.skip_bad_rows,
    )
    with Terminal(bytes_of(options.files), quiet=options.quiet) as terminal:
        summary = score(run, terminal)
    if options.json:
        print(json.dumps(summary))
    else:
        print_summary(summary)
    for path in (options.out, options.report):
        if path is not None:
            terminal.say(f"wrote {path}")
    return 0


def how_to_continue(options: argparse.Namespace) -> str:
    """What somebody is told who interrupted the command."""
    if Path(options.files[0]).is_dir():
        return ""
    if options.out is None:
        return "Nothing was written; with --out FILE a stopped run can continue."
    return f"{options.out} holds what was scored so far; give the same command again to continue."


def bytes_of(files: Sequence[str]) -> int | None:
    """The size of all files together, None where one is a pipe."""
    if not all(Path(file).is_file() for file in files):
        return None
    return sum(Path(file).stat().st_size for file in files)
