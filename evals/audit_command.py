"""`rlvr audit`: from options to what it does."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

from .arguments import count, page, positive
from .errors import UsageError

ROLES = {
    "completion": "model's text",
    "answer": "gold answer",
    "id": "problem's id, which samples of one problem share",
    "prompt": "prompt",
}


def command(arguments: Sequence[str]) -> int:
    """`rlvr audit`; the exit code. Raises UsageError."""
    options = parser().parse_args(arguments)
    from .audit import Reading, audit
    from .audit_render import print_audit
    from .audit_report import write_audit_report
    from .audit_rows import ScoredFiles
    from .render import Terminal
    from .report import finite
    from .score_command import bytes_of

    fields = {role: column for role in ROLES if (column := getattr(options, f"{role}_field")) is not None}
    terminal = Terminal(bytes_of(options.files), quiet=options.quiet, doing="reading")
    with ScoredFiles(options.files, fields, terminal, skip_bad_rows=options.skip_bad_rows) as files:
        with terminal:
            reading = Reading(files, options.top)
        found = audit(
            reading,
            second_opinion=options.second_opinion,
            limit=options.second_opinion_limit,
            workers=options.workers,
            asking=lambda pairs: Terminal(pairs, quiet=options.quiet, doing="asking math-verify", unit="pairs"),
        )
        if options.report is not None:
            try:
                write_audit_report(options.report, found, files)
            except OSError as error:
                raise UsageError(f"{options.report}: {error.strerror}") from None
    if options.json:
        sys.stdout.write(json.dumps(finite(found)) + "\n")
    else:
        print_audit(found, again=_with_page(arguments, options))
    if options.report is not None:
        terminal.say(f"wrote {options.report}")
    return 0


def _with_page(arguments: Sequence[str], options: argparse.Namespace) -> str | None:
    """The same command with a page; None where it has one, or cannot be given again."""
    pipes = any(not (Path(file).is_file() or Path(file).is_dir()) for file in options.files)
    if options.report is not None or pipes or "--" in arguments:
        return None
    said = shlex.join(["rlvr", "audit", *arguments, "--report", "audit.html"])
    return said if said.isprintable() else None


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="rlvr audit",
        description=dedent("""\
            Look for what is wrong with a reward in what it scored: answers on which math-verify disagrees, rewarded
            samples that look as if they had convinced the grader rather than solved the problem, groups that teach
            nothing, gold answers that are probably wrong, and whether length is rewarded. Each finding has an exact
            definition, a count, a share, and the samples to look at."""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent("""\
            examples:
              rlvr score completions.jsonl --out scored.jsonl
              rlvr audit scored.jsonl
              rlvr audit scored.jsonl --report audit.html
              rlvr audit seed0.jsonl seed1.jsonl --no-second-opinion --json
              rlvr audit runs/addition

            `rewarded` means judged correct. A finding is serious, worth a look, or fine; the thresholds stand in the
            page and in --json, beside each finding. The keys of --json: findings, skipped, status, reasons, parts,
            spread, second_opinion, lengths, curves (`pydoc rlvr.evals.audit` tells what each holds).
            Exit codes: 0 audited, whatever was found, 2 something in the options or the files is yours to mend, 130
            interrupted."""),
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE",
        help="what `rlvr score --out` wrote (JSONL, .gz, .zst, parquet, - for standard input; several are one), or the "
        "folder of `rlvr eval` or of a training run",
    )  # fmt: skip
    second = parser.add_argument_group("second opinion")
    second.add_argument(
        "--second-opinion", action=argparse.BooleanOptionalAction, default=None,
        help="compare the reward of mathematics with math-verify's verdict on the same answers (default: where the "
        "reward judges mathematics and math-verify is installed)",
    )  # fmt: skip
    second.add_argument(
        "--second-opinion-limit", type=count, default=20_000, metavar="N",
        help="different pairs of gold and answer that it is asked about, drawn where there are more (default: 20000)",
    )  # fmt: skip
    second.add_argument(
        "--workers", type=positive, metavar="N", help="processes that run math-verify (default: one per core)"
    )
    columns = parser.add_argument_group("columns (default: those with which the file was scored)")
    for role, said in ROLES.items():
        columns.add_argument(f"--{role}-field", metavar="COLUMN", help=f"the column of the {said}")
    columns.add_argument("--skip-bad-rows", action="store_true", help="go on past bad rows, and count them")
    output = parser.add_argument_group("output")
    output.add_argument("--report", type=page, metavar="FILE", help="write one HTML page with the samples to look at")
    output.add_argument(
        "--top", type=count, default=10, metavar="N", help="samples listed with each finding (default: 10)"
    )
    output.add_argument("--json", action="store_true", help="print the findings as one JSON object")
    output.add_argument("--quiet", action="store_true", help="no progress bar and no remarks")
    return parser
