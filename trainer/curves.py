"""`rlvr report` of a training run: one self-contained HTML page with its curves, and completions side by side.

The page asks nothing of any network. What the model wrote travels as compressed base64 and becomes text nodes only;
look, policy and helpers are those of `evals/report.html`.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from .. import evals
from ..evals.distributions import t_quantile
from ..evals.errors import UsageError
from ..evals.render import Output
from ..evals.report import finite, pack, page_policy, write_whole
from ..verifiers.types import REASONS, STATUSES
from .completions import side_by_side, spread
from .log import METRICS, read_rows

POINTS = 1_200  # of a curve; beyond, each is the mean of neighbouring steps
CONFIG, REPORT = "config.toml", "report.html"
_HERE = Path(__file__).parent
# What the page's script takes over from that of an evaluation's report.
_CONSTANTS = ("SIGNS", "byId", "h", "s", "sign", "count", "plural", "given", "percent", "decimal", "compact", "THOUGHT")
_FUNCTIONS = (
    "make", "decodeBase64", "unpack", "whenSized", "scale", "thoughtIn", "answerIn", "closingBrace", "pieces", "fault",
)  # fmt: skip

Row = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]


def write_report(run_dir: Path, out: Path | None = None) -> Path:
    """Write the page of the run in `run_dir`, also while it goes on, to `out` or its report.html; where it is.

    The same files give the same bytes. Raises UsageError where there is no run, for a row that is not ours, and where
    the page cannot be written.
    """
    rows = list(read_rows(run_dir / METRICS))
    if not rows:
        raise UsageError(f"{run_dir}: is no training run of ours, or has made no step: {METRICS} holds no row")
    settings = _settings(run_dir)
    head: Row = {
        "steps_planned": settings.get("steps"),
        "about": _about(settings),
        "rlvr": version("rlvr"),
        "settings": settings,
        **training_curves(rows),
        "evaluations": evaluation_curves(rows),
        "summary": summary(rows),
        "words": [name.removeprefix("reflection/") for name in _names(rows) if name.startswith("reflection/")],
        "statuses": STATUSES,
        "sentences": REASONS,
    }
    title = run_dir.resolve().name
    target = out or run_dir / REPORT
    try:
        write_whole(target, _page(title, {"head": head, "samples": side_by_side(run_dir)}))
    except OSError as error:
        raise UsageError(f"{target}: {error.strerror}") from None
    return target


def report(run_dir: Path, *, as_json: bool = False) -> int:
    """`rlvr report` of a training run: write the page, say in short how the run went. Raises UsageError."""
    path = write_report(run_dir)
    found = summary(list(read_rows(run_dir / METRICS)))
    if as_json:
        sys.stdout.write(json.dumps({**found, "report": str(path)}) + "\n")
    else:
        _print(run_dir, found, path)
    return 0


# ---- numbers


def summary(rows: Rows) -> Row:
    """The run in short: `step`, `seconds`, `tokens`, and of each measure its first, highest and last value and steps.

    `rows` are those of metrics.jsonl. A measure that was never taken is left out.
    """
    found: Row = {name: _last(rows, name) for name in ("step", "seconds", "tokens")}
    for name in _LABELS:
        points = [(row["step"], row[name]) for row in rows if _is_number(row.get(name))]
        if points and not (name == "loss" and "reward" in found):  # which says nothing in GRPO, and all in fine-tuning
            chosen = {"first": points[0], "highest": max(points, key=lambda point: point[1]), "last": points[-1]}
            found[name] = {key: {"step": step, "value": value} for key, (step, value) in chosen.items()}
    return found


def training_curves(rows: Rows) -> Row:
    """`steps`, `every` (steps that a point is the mean of) and `curves`: a value or None per point and measure."""
    steps = [row for row in map(_derived, rows) if row.keys() - {"step", "seconds", "seconds/eval"}]
    every = -(-len(steps) // POINTS) or 1
    groups = [steps[start : start + every] for start in range(0, len(steps), every)]
    names = [name for name in _names(steps) if name != "step"]
    curves = {name: [_mean(row.get(name) for row in group) for group in groups] for name in names}
    return {"steps": [group[-1]["step"] for group in groups], "every": every, "curves": curves}


def evaluation_curves(rows: Rows) -> Row:
    """`steps` and `curves` of the evaluations, with the ends of 95 % intervals as `NAME/low` and `NAME/high`.

    By Student's t over problems, as `rlvr eval` has them, cut at 0 and 1.
    """
    found = [row for row in rows if any(name.startswith("eval/") for name in row)]
    found = spread(found, POINTS)
    curves = {name: [_number(row.get(name)) for row in found] for name in _names(found) if name.startswith("eval/")}
    for name in ("eval/pass@1", "eval/greedy"):
        ends = [_interval(row, name) for row in found]
        curves |= {f"{name}/low": [low for low, _ in ends], f"{name}/high": [high for _, high in ends]}
    return {"steps": [row["step"] for row in found], "curves": curves}


def _derived(row: Mapping[str, Any]) -> Row:
    """The row of a step without its evaluation, with shares where it has counts."""
    kept: Row = {name: value for name, value in row.items() if not name.startswith("eval/") and _is_number(value)}
    groups = kept.pop("groups", None)
    for name in [name for name in kept if name.startswith("groups/")]:
        kept[name] = kept[name] / groups if groups else None
    if "judged" in kept:
        kept["unjudged"] = 1 - kept.pop("judged")
    return kept


def _interval(row: Mapping[str, Any], name: str) -> tuple[float | None, float | None]:
    mean, error, problems = (_number(row.get(key)) for key in (name, f"{name}_stderr", "eval/problems"))
    if mean is None or error is None or problems is None or problems < 2:
        return None, None
    reach = t_quantile(0.975, int(problems) - 1) * error
    return max(mean - reach, 0.0), min(mean + reach, 1.0)


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _mean(values: Iterable[Any]) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None


def _last(rows: Rows, name: str) -> float | None:
    return next((row[name] for row in reversed(rows) if _is_number(row.get(name))), None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _number(value: Any) -> float | None:
    return value if _is_number(value) else None


# ---- the page


def _page(title: str, data: Row) -> Iterable[str]:
    """The template with its look and helpers from the report of an evaluation, its policy and its data."""
    base = (Path(evals.__path__[0]) / "report.html").read_text(encoding="utf-8")
    [style], [script] = (re.findall(rf"<{tag}>(.*?)</{tag}>", base, re.DOTALL) for tag in ("style", "script"))
    page = (_HERE / "curves.html").read_text(encoding="utf-8")
    page = page.replace("{{style}}", style).replace("{{shared}}", _shared(script))
    fields = {"csp": page_policy(page), "title": escape(title), **{name: pack(finite(data[name])) for name in data}}
    parts = re.split(r"\{\{(\w+)\}\}", page)
    return (fields[part] if i % 2 else part for i, part in enumerate(parts))


def _shared(script: str) -> str:
    """The helpers by their names, whole: a `const` is one line, a function ends at a brace in the first column."""
    constants = [rf"^const {name} = .*;$" for name in _CONSTANTS]
    functions = [rf"^(?:async )?function {name}\((?s:.*?)^\}}$" for name in _FUNCTIONS]
    found: list[str] = []
    for pattern in (*constants, *functions):
        match = re.search(pattern, script, re.MULTILINE)
        assert match is not None, f"evals/report.html has no {pattern}"
        found.append(match[0])
    return "\n".join(found)


def _settings(run_dir: Path) -> Row:
    path = run_dir / CONFIG
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None


def _about(settings: Row) -> str:
    """One line: what was trained on what, and how."""
    said = [str(settings[name]) for name in ("algorithm", "model", "task") if name in settings]
    if "prompts" in settings and "group" in settings:
        said.append(f"{settings['prompts']} problems × {settings['group']} completions a step")
    return ", ".join(said)


# ---- the terminal

_LABELS = {
    "eval/pass@1": "pass@1, sampled",
    "eval/greedy": "pass@1, greedy",
    "reward": "reward",
    "length": "length",
    "loss": "loss",
}


def _print(run_dir: Path, found: Row, path: Path) -> None:
    console = Output(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 100)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for heading in ("first", "highest", "at step", "last"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, label in _LABELS.items():
        if name in found:
            first, highest, last = (_shown(name, found[name][key]["value"]) for key in ("first", "highest", "last"))
            table.add_row(f"[bold]{label}[/]", first, highest, str(found[name]["highest"]["step"]), f"[bold]{last}[/]")
    tokens = "" if found["tokens"] is None else f", {found['tokens']:,.0f} tokens sampled"
    seconds = "" if found["seconds"] is None else f" in {found['seconds']:,.0f} s"
    console.print()
    console.print(f"{run_dir}: {found['step']:,} steps{seconds}{tokens}", markup=False, soft_wrap=True)
    console.print()
    console.print(table)
    console.print()
    console.print(str(path), markup=False, soft_wrap=True)


def _shown(name: str, value: float) -> str:
    if name.startswith("eval/"):
        return f"{100 * value:.1f} %"
    return f"{value:,.1f}" if name == "length" else f"{value:.3f}"
