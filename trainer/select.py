"""`rlvr select`: rejection sampling. Of scored completions keep the correct and readable ones, as chat rows for SFT."""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import dedent
from typing import get_args

from rich.table import Table

from ..evals.errors import UsageError
from ..evals.files import dump_line
from ..evals.render import Output, Terminal
from ..evals.report import write_whole
from ..evals.score import Progress
from ..verifiers.language import verify_language
from ..verifiers.types import STATUSES, Completion, Problem
from .scored import ScoredRows
from .selection import Choice, Order, Rules, first_fault

_SAYS = {
    **{status: f"the verdict is {status}" for status in STATUSES},
    "cut": "correct, but cut at the length limit",
    "empty": "no text",
    "too long": "--max-length",
    "long paragraph": "--max-paragraph",
    "code block": "--no-code-blocks",
    "mixed language": "--language",
    "duplicate": "the same text as another one of its problem",
    "more than asked": "--per-problem",
}


@dataclass(slots=True)
class Selected:
    """How many samples of how many problems were read and kept, and what became of the others."""

    samples: int
    problems: int
    kept: int
    kept_problems: int
    dropped: Mapping[str, int]
    """By the check under which they fell, in the order of the checks."""
    bad_rows: int


def select(
    files: Sequence[str],
    out: Path,
    rules: Rules,
    *,
    fields: Mapping[str, str] | None = None,
    skip_bad_rows: bool = False,
    progress: Progress | None = None,
) -> Selected:
    """Write a row `{"messages", "id", "sample"}` for each sample that is kept to `out`, in order, whole or not at all.

    `files` are what `rlvr score --out` or a training run wrote, or folders of `rlvr eval` and `rlvr train`; `fields`
    names columns as for `rlvr score`. A sample counts under the first check that it fails. Memory grows by some bytes
    for each sample that passes the checks, not with the texts, which wait in a temporary file.

    Raises UsageError for what the user can mend, with file and line.
    """
    _check_language(rules)
    rows = ScoredRows(files, fields or {}, progress or Progress(), skip_bad_rows=skip_bad_rows)
    _refuse_an_input(out, files)
    faults, samples = Counter[str](), 0
    with tempfile.TemporaryFile() as spool:
        choice = Choice(rules, spool)
        for scored in rows:
            samples += 1
            problem_id, text = scored.sample.problem.id, scored.sample.completion.text
            if fault := first_fault(scored.sample, scored.status, rules):
                faults[fault] += 1
            else:
                row = {"messages": scored.messages, "id": problem_id, "sample": scored.number}
                choice.add(problem_id, text, dump_line(row))
        if not samples:
            raise UsageError(f"{', '.join(files)}: no rows to select from")
        try:
            write_whole(out, (row.decode() for row in choice.rows()))
        except OSError as error:
            raise UsageError(f"{out}: {error.strerror}") from None
    faults += choice.dropped
    return Selected(
        samples=samples,
        problems=rows.problems,
        kept=samples - faults.total(),
        kept_problems=choice.problems(),
        dropped={reason: faults[reason] for reason in _SAYS if faults[reason]},
        bad_rows=rows.bad_rows,
    )


def command(arguments: list[str]) -> int:
    """`rlvr select`; the exit code. Raises UsageError."""
    options = parser().parse_args(arguments)
    rules = Rules(
        language=None if options.language == "none" else options.language,
        language_share=options.language_share,
        identify=options.identify,
        max_paragraph=options.max_paragraph or None,
        max_length=options.max_length,
        code_blocks=not options.no_code_blocks,
        per_problem=options.per_problem,
        order=options.keep,
        seed=options.seed,
    )
    roles = ("completion", "prompt", "id")
    fields = {role: column for role in roles if (column := getattr(options, f"{role}_field")) is not None}
    size = sum(Path(file).stat().st_size for file in options.files if Path(file).is_file()) or None
    with Terminal(size, quiet=options.quiet, doing="selecting") as terminal:
        found = select(
            options.files, options.out, rules, fields=fields, skip_bad_rows=options.skip_bad_rows, progress=terminal
        )
    if options.json:
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
    else:
        _print(found, options.out)
    return 0


def _print(found: Selected, out: Path) -> None:
    console = Output(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 100)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("dropped", "samples", "share", ""):
        table.add_column(heading, justify="right" if heading in ("samples", "share") else "left", no_wrap=True)
    for reason, count in found.dropped.items():
        table.add_row(reason, f"{count:,}", f"{count / found.samples:.1%}", f"[dim]{_SAYS[reason]}[/]")
    kept = f"{found.kept_problems:,} of {found.problems:,} problems have one"
    table.add_row("[bold green]kept[/]", f"[bold]{found.kept:,}[/]", f"{found.kept / found.samples:.1%}", kept)
    console.print()
    console.print(table)
    if found.bad_rows:
        console.print(f"[dim]note:[/] {found.bad_rows:,} rows could not be read and are not counted above")
    console.print()
    console.print(f"{found.kept:,} chats in {out}", markup=False, soft_wrap=True)


def _check_language(rules: Rules) -> None:
    if rules.language is None or not rules.identify:
        return
    words = Completion("These are a few words to see whether a language can be identified at all.")
    try:
        verify_language(Problem(""), words, language=rules.language, identify=True)
    except (ImportError, ValueError) as error:
        raise UsageError(f"--identify: {error}") from None


def _refuse_an_input(out: Path, files: Sequence[str]) -> None:
    if any(out.exists() and Path(file).exists() and out.samefile(file) for file in files):
        raise UsageError(f"--out {out}: is one of the files that are read")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rlvr select",
        description=dedent("""\
            Rejection sampling: of completions that are scored already, keep those that are correct and readable, and
            write them as chats to fine-tune on (`rlvr sft`). What DeepSeek-R1 filtered out is dropped: what is wrong or
            cut off, mixes languages or has long paragraphs; and of each problem what it has already. A table says how
            many fell under which check."""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent("""\
            examples:
              rlvr score completions.jsonl --out scored.jsonl
              rlvr select scored.jsonl --out sft.jsonl
              rlvr select scored.jsonl --out sft.jsonl --per-problem 4 --no-code-blocks
              rlvr select runs/addition --out sft.jsonl --keep shortest --per-problem 1
              rlvr select runs/aime24-DeepSeek-R1-1a2b3c --out sft.jsonl --language zh

            A row: {"messages": [{"role": "user", …}, {"role": "assistant", …}], "id": …, "sample": …}
            Exit codes: 0 done, 2 something in the options or the files is yours to mend, 130 interrupted."""),
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE",
        help="what `rlvr score --out` wrote (JSONL, .gz, .zst, parquet, - for standard input), or the folder of "
        "`rlvr eval` or `rlvr train`",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the chats go, as JSON lines")
    keeping = parser.add_argument_group("keeping")
    keeping.add_argument(
        "--language", default="en", metavar="CODE",
        help="of the chain of thought; none keeps all. One without words, formulas alone, is kept (default: en)",
    )  # fmt: skip
    keeping.add_argument(
        "--language-share", type=float, default=1.0, metavar="S",
        help="share of its words that must be in that language (default: 1, a single foreign word is one too many)",
    )  # fmt: skip
    keeping.add_argument(
        "--identify", action="store_true", help="tell languages of one script apart, not scripts alone (needs lingua)"
    )
    keeping.add_argument(
        "--max-paragraph", type=int, default=2000, metavar="N",
        help="characters between two line breaks; 0 for any number (default: 2000)",
    )  # fmt: skip
    keeping.add_argument("--max-length", type=int, metavar="N", help="characters of a completion (default: any)")
    keeping.add_argument("--no-code-blocks", action="store_true", help="drop what holds fenced code")
    keeping.add_argument("--per-problem", type=int, metavar="M", help="at most so many of a problem (default: all)")
    keeping.add_argument(
        "--keep", choices=get_args(Order), default="random",
        help="which ones, where a problem has more; random does not depend on the order of the files (default: random)",
    )  # fmt: skip
    keeping.add_argument("--seed", type=int, default=0, metavar="S", help="of --keep random (default: 0)")
    columns = parser.add_argument_group("columns")
    for role in ("completion", "prompt", "id"):
        columns.add_argument(f"--{role}-field", metavar="COLUMN", help=f"the column of the {_ROLES[role]}")
    columns.add_argument("--skip-bad-rows", action="store_true", help="go on past bad rows, and count them")
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print the counts as one JSON object")
    output.add_argument("--quiet", action="store_true", help="no progress bar and no remarks")
    return parser


_ROLES = {"completion": "model's text", "prompt": "prompt", "id": "problem's id"}
