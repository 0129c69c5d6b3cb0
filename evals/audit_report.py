"""One self-contained HTML page for `rlvr audit`: the findings, their plots, and the samples to look at.

The page has no script and asks nothing of any network. What the model wrote goes through `h`, which escapes it; the
page's Content-Security-Policy allows its one style by its hash and nothing else.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from .audit_kinds import KINDS, SECTIONS
from .audit_plots import by_length, drift, solved_shares
from .audit_render import verdict_line
from .audit_rows import Scored, ScoredFiles
from .errors import UsageError
from .markup import Html, h
from .render import visible
from .report import page_policy, write_whole

HEAD, TAIL = 2_000, 4_000
"""Characters of a text that the page holds: its beginning and its end."""
_HERE = Path(__file__).parent
_ANCHOR = re.compile(r"[^a-z]+")

Row = Mapping[str, Any]
Texts = Mapping[tuple[str, int], Scored]
"""By file and line."""


def write_audit_report(path: str | os.PathLike[str], found: Row, files: ScoredFiles) -> None:
    """Write the page of what `audit` found to `path`, whole or not at all; `files` are read again for the texts shown.

    Raises OSError where `path` cannot be written, UsageError where the files cannot be read any more.
    """
    texts = _texts(found, files)
    base = re.search(r"<style>(.*?)</style>", (_HERE / "report.html").read_text(encoding="utf-8"), re.DOTALL)
    assert base is not None
    page = (_HERE / "audit.html").read_text(encoding="utf-8").replace("{{style}}", base[1])
    names = ", ".join(Path(name).name for name in found["files"])
    fields = {
        "csp": page_policy(page),
        "title": escape(visible(f"Audit of {names}")),
        "body": _body(f"Audit of {names}", found, texts),
    }
    parts = re.split(r"\{\{(\w+)\}\}", page)
    write_whole(Path(path), (fields[part] if i % 2 else part for i, part in enumerate(parts)))


def _texts(found: Row, files: ScoredFiles) -> Texts:
    """The rows of all samples that are listed."""
    missing = {(each["file"], each["line"]) for finding in found["findings"] for each in finding["worst"]}
    texts: dict[tuple[str, int], Scored] = {}
    for scored in files if missing else ():
        place = files.names[scored.file], scored.line
        if place in missing:
            missing.remove(place)
            texts[place] = scored
            if not missing:
                break
    for name, line in missing:
        raise UsageError(f"{name}:{line}: is gone; the file changed while it was read")
    return texts


def _body(title: str, found: Row, texts: Texts) -> Html:
    steps = "" if found["steps"] is None else f" over the steps {found['steps'][0]:,} to {found['steps'][1]:,}"
    read = f"{found['samples']:,} samples of {found['problems']:,} problems{steps}, read by rlvr {found['rlvr']}"
    header = h(
        "header", {}, h("h1", {}, visible(title)), h("p", {"class": "muted"}, read),
        h("p", {"class": "verdict"}, verdict_line(found)),
    )  # fmt: skip
    plots = [plot for plot in (solved_shares(found), by_length(found)) if plot is not None]
    return h(
        "", {}, header, h("dl", {"class": "tiles"}, *_tiles(found)),
        h("div", {"class": "overview"}, _overview(found)),
        h("div", {"class": "plots"}, *plots),
        *(section for name in SECTIONS for section in _section(name, found, texts)),
        *_steps(found), _verdicts(found), *_parts(found["parts"]), *_nothing(found), *_skipped(found["skipped"]),
    )  # fmt: skip


def _tiles(found: Row) -> Iterator[Html]:
    score, opinion = found["score"], found["second_opinion"]
    judged = "none was judged" if score is None else f"from {score['min']:g} to {score['max']:g}"
    if 0 < found["judged"] < found["samples"]:
        judged = f"of the {found['judged']:,} judged, {judged}"
    values = [("Mean score", "—" if score is None else f"{score['mean']:.3g}", judged)]
    values.append(
        ("Rewarded", f"{found['rewarded']:,}", f"{_percent(found['rewarded'], found['samples'])} of the samples")
    )
    flat = next((each for each in found["findings"] if each["key"] == "no_spread"), None)
    if flat is not None:
        values.append(("Groups without spread", _percent(flat["count"], flat["of"]), f"of {flat['of']:,} groups"))
    if opinion is not None:
        asked = opinion["samples"] - opinion["no_opinion"]
        values.append(("math-verify agrees", _percent(opinion["agree"], asked), f"of {asked:,} samples"))
    for label, value, under in values:
        yield h("div", {}, h("dt", {}, label), h("dd", {"class": "value"}, value), h("dd", {"class": "under"}, under))


def _overview(found: Row) -> Html:
    rows = [
        [
            h("span", {"class": f"level {each['severity']}"}, each["severity"]),
            h("a", {"href": f"#{_anchor(each['key'])}"}, each["title"]),
            *(("", "", "") if each["key"] == "length" else _amounts(each)),
        ]
        for each in _shown(found)
    ]
    return _table(["", "finding", "count", "share", "of"], rows, right=(2, 3)) if rows else h("p", {}, "")


def _shown(found: Row) -> list[Row]:
    """Findings with a section of their own; the others are a line at the end."""
    return [each for each in found["findings"] if each["count"]]


def _amounts(each: Row) -> tuple[str, str, str]:
    return f"{each['count']:,}", f"{100 * each['share']:.1f} %", f"{each['of']:,} {each['unit']}"


def _section(name: str, found: Row, texts: Texts) -> Iterator[Html]:
    findings = [each for each in _shown(found) if each["section"] == name]
    if findings:
        several = len(found["files"]) > 1
        yield h("section", {}, h("h2", {}, name), *(_finding(each, texts, several=several) for each in findings))


def _finding(each: Row, texts: Texts, *, several: bool) -> Html:
    counted = "" if each["key"] == "length" else f"{each['count']:,} of {each['of']:,} {each['unit']}"
    samples = [_sample(worst, texts[worst["file"], worst["line"]], several=several) for worst in each["worst"]]
    return h(
        "article", {"id": _anchor(each["key"])},
        h(
            "h3", {}, h("span", {"class": f"level {each['severity']}"}, each["severity"]), f"{each['title']} ",
            h("span", {"class": "muted"}, counted),
        ),
        *([h("p", {}, visible(each["says"]))] if each["says"] else []),
        h("p", {"class": "muted defined"}, f"{each['definition']}. {each['thresholds']}"),
        *samples,
        *([h("p", {"class": "muted"}, f"and {each['more']:,} more (--top)")] if each["more"] else []),
    )  # fmt: skip


def _sample(worst: Row, scored: Scored, *, several: bool) -> Html:
    place = f"{Path(worst['file']).name}:{worst['line']}" if several else f"line {worst['line']:,}"
    step = "" if worst["step"] is None else f", step {worst['step']:,}"
    score = "not judged" if worst["score"] is None else f"score {worst['score']:g}"
    summary = h(
        "summary", {},
        h("span", {}, h("b", {}, h("bdi", {}, visible(worst["id"][:80]))), f" sample {worst['sample']}{step}"),
        h("span", {"class": "muted"}, place),
        h("span", {"class": "muted"}, score),
        h("span", {"class": "why"}, h("bdi", {}, visible(worst["why"]))),
    )  # fmt: skip
    verdict = scored.verdict
    pair = h(
        "div", {"class": "pair"},
        *(
            h("div", {}, h("h4", {}, name), h("div", {"class": "text box"}, "none" if text is None else visible(text)))
            for name, text in (("Extracted answer", worst["extracted"]), ("Gold answer", worst["gold"]))
        ),
    )  # fmt: skip
    judged = f"{verdict.status}, {verdict.reason}" + (f": {verdict.detail}" if verdict.detail else "")
    prompt = scored.problem.prompt
    return h(
        "details", {}, summary, h("p", {"class": "muted"}, visible(judged[:600])), pair,
        *([] if prompt is None else [h("h4", {}, "Prompt"), *_text(prompt)]),
        h("h4", {}, f"Completion, {len(scored.completion.text):,} characters"), *_text(scored.completion.text),
    )  # fmt: skip


def _text(text: str) -> Iterator[Html]:
    missing = len(text) - HEAD - TAIL
    if missing <= 0:
        yield h("div", {"class": "text"}, visible(text))
        return
    yield h("div", {"class": "text"}, visible(text[:HEAD]))
    yield h("p", {"class": "gap"}, f"{missing:,} characters are left out here")
    yield h("div", {"class": "text"}, visible(text[-TAIL:]))


def _steps(found: Row) -> Iterator[Html]:
    plots = list(drift(found))
    if plots:
        yield h("section", {}, h("h2", {}, "Over the steps"), h("div", {"class": "plots"}, *plots))


def _verdicts(found: Row) -> Html:
    rows = [
        [row["status"], row["reason"], f"{row['count']:,}", f"{100 * row['share']:.1f} %", _bar(row["share"])]
        for row in found["reasons"][:60]
    ]
    table = _table(["status", "reason", "samples", "share", ""], rows, right=(2, 3))
    return h("section", {}, h("h2", {}, "Every reason"), table)


def _parts(parts: Sequence[Row]) -> Iterator[Html]:
    if not parts:
        return
    rows = [
        [
            part["name"], f"{part['judged']:,} of {part['samples']:,}",
            *(_number(part[key], "{:.3f}") for key in ("mean", "max")),
            *(_number(part[key], "{:.1%}") for key in ("share_zero", "share_max")),
            _number(part["correlation"], "{:+.2f}"),
        ]
        for part in parts
    ]  # fmt: skip
    names = ["part", "judged", "mean", "maximum", "at 0", "at its maximum", "correlation with the score"]
    yield h("section", {}, h("h2", {}, "Parts of the reward"), _table(names, rows, right=range(1, 7)))


def _nothing(found: Row) -> Iterator[Html]:
    rows = [[each["title"], each["definition"]] for each in found["findings"] if not each["count"]]
    if rows:
        yield h("section", {}, h("h2", {}, "Looked for and not found"), _table(["finding", "definition"], rows))


def _skipped(skipped: Sequence[Mapping[str, str]]) -> Iterator[Html]:
    if skipped:
        rows = [[each["title"], KINDS[each["key"]].section, each["why"]] for each in skipped]
        table = _table(["finding", "section", "why it was not looked for"], rows)
        yield h("section", {}, h("h2", {}, "Not looked for"), table)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> Html:
    kinds = ["right" if i in right else None for i in range(len(names))]
    head = h("tr", {}, *(h("th", {"class": kind}, name) for kind, name in zip(kinds, names, strict=True)))
    body = (
        h(
            "tr", {},
            *(
                h("td", {"class": kind}, cell if isinstance(cell, Html) else visible(cell))
                for kind, cell in zip(kinds, row, strict=True)
            ),
        )
        for row in rows
    )  # fmt: skip
    return h("div", {"class": "wide"}, h("table", {"class": "list"}, h("thead", {}, head), h("tbody", {}, *body)))


def _bar(share: float) -> Html:
    bar = h("rect", {"class": "bar", "width": round(100 * share, 2), "height": 8})
    return h(
        "svg", {"class": "inline", "viewBox": "0 0 100 8", "preserveAspectRatio": "none", "aria-hidden": "true"}, bar
    )


def _number(value: float | None, form: str) -> str:
    return "none" if value is None else form.format(value)


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %" if of else "—"


def _anchor(key: str) -> str:
    return _ANCHOR.sub("-", key)
