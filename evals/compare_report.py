"""One self-contained HTML page for `rlvr compare`.

The page has no script and asks nothing of any network. Text of the runs goes through `h`, which escapes every child
that is not itself made by `h`; the page's Content-Security-Policy allows its one style by its hash and nothing else.
"""

import os
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from .compare_plots import differences, intervals, paired
from .markup import Html, h
from .render_compare import setting_text
from .report import write_whole

MAX_FLIPPED = 500
MAX_PROBLEMS = 2000
_HERE = Path(__file__).parent
_SETTING = 400  # characters of a setting

Row = dict[str, Any]


def write_compare_report(path: str | os.PathLike[str], found: Mapping[str, Any]) -> None:
    """Write the page of what `compare` found to `path`, whole or not at all.

    The same findings give the same bytes. Raises OSError where `path` cannot be written.
    """
    pairs: Sequence[Row] = found["pairs"]
    first = pairs[0]
    title = f"{first['a']['name']} and {first['b']['name']}" + (f", {len(pairs)} pairs" if len(pairs) > 1 else "")
    base = re.search(r"<style>(.*?)</style>", (_HERE / "report.html").read_text(encoding="utf-8"), re.DOTALL)
    assert base is not None
    page = (_HERE / "compare.html").read_text(encoding="utf-8").replace("{{style}}", base[1])
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    fields = {
        "csp": (
            f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        ),
        "title": escape(title),
        "body": _body(title, found["rlvr"], pairs),
    }
    parts = re.split(r"\{\{(\w+)\}\}", page)
    write_whole(Path(path), (fields[part] if i % 2 else part for i, part in enumerate(parts)))


def _body(title: str, version: str, pairs: Sequence[Row]) -> Html:
    header = h("header", {}, h("h1", {}, title), h("p", {"class": "muted"}, f"Compared by rlvr {version}"))
    sections = [_pair(pair, number, len(pairs)) for number, pair in enumerate(pairs, 1)]
    overview = [_overview(pairs)] if len(pairs) > 1 else []
    return h("", {}, header, *overview, *sections)


def _overview(pairs: Sequence[Row]) -> Html:
    """All pairs in one table, with the p-values that belong to so many tests."""
    rows = [
        [
            h("a", {"href": f"#pair-{number}"}, pair["a"]["name"]), pair["b"]["name"], f"{pair['problems']:,}",
            _percent(pair["a"]["score"]["mean"]), _percent(pair["b"]["score"]["mean"]),
            _percent(pair["difference"]["mean"], "+"), _range(pair["difference"]["ci95"], "+"),
            f"{pair['sign_flip']['p']:.3g}", f"{pair['sign_flip']['holm']:.3g}",
        ]
        for number, pair in enumerate(pairs, 1)
    ]  # fmt: skip
    names = ["A", "B", "problems", "mean of A", "mean of B", "B − A", "95 % interval", "p", "p after Holm"]
    return h("section", {"class": "overview"}, h("h2", {}, "All pairs"), _table(names, rows, right=range(2, 9)))


def _pair(pair: Row, number: int, tests: int) -> Html:
    a, b = pair["a"], pair["b"]
    which = f"Pair {number}: " if tests > 1 else ""
    return h(
        "section", {"id": f"pair-{number}"},
        h("h2", {}, f"{which}{pair['problems']:,} problems"),
        h("p", {"class": "runs"}, h("b", {}, "A "), a["name"], h("br", {}), h("b", {}, "B "), b["name"]),
        h("dl", {"class": "tiles"}, *_tiles(pair)),
        h("ul", {"class": "facts"}, *(h("li", {}, line) for line in _facts(pair, tests))),
        h("div", {"class": "plots"}, intervals(pair), paired(pair["scores"]), *differences(pair["scores"])),
        *_settings(pair["settings"]),
        *_flipped(pair["flipped"]),
        _problems(pair["scores"]),
    )  # fmt: skip


def _tiles(pair: Row) -> Iterable[Html]:
    values = [("A, mean score", pair["a"]["score"], ""), ("B, mean score", pair["b"]["score"], "")]
    for label, value, sign in [*values, ("Difference, B − A", pair["difference"], "+")]:
        yield h(
            "div", {}, h("dt", {}, label), h("dd", {"class": "value"}, _percent(value["mean"], sign)),
            h("dd", {"class": "under"}, f"95 % interval {_range(value['ci95'], sign)}"),
            h("dd", {"class": "under"}, "" if value["stderr"] is None else f"std. error {_percent(value['stderr'])}"),
        )  # fmt: skip


def _facts(pair: Row, tests: int) -> Iterable[str]:
    flip, one_each = pair["sign_flip"], pair["mcnemar"]
    drawn = f" ± {flip['error']:.2g}, from drawn signs" if flip["error"] else ""
    adjusted = f"; {flip['holm']:.3g} for {tests} tests (Holm)" if tests > 1 else ""
    yield f"p = {flip['p']:.3g}{drawn} by sign flips over problems{adjusted}"
    if one_each is not None:
        yield (
            f"p = {one_each['p']:.3g} by McNemar's exact test: {one_each['only_a']:,} problems only A got right, "
            f"{one_each['only_b']:,} only B"
        )
    if pair["detectable"] is not None:
        yield (
            f"A difference of {_percent(pair['detectable'])} would have been found 4 times out of 5 "
            "(level 5 %, power 80 %)"
        )
    ours, theirs = (pair[run]["samples_per_problem"] for run in ("a", "b"))
    yield f"Samples of each problem: {ours:,} in A, {theirs:,} in B"
    yield from pair["notes"]


def _settings(rows: Sequence[Row] | None) -> Iterable[Html]:
    if rows is None:
        return
    yield h("h3", {}, "Settings that differ")
    if not rows:
        yield h("p", {}, "None: both runs were made in the same way.")
        return
    cells = [[row["name"], *(setting_text(row[run], _SETTING) for run in ("a", "b"))] for row in rows]
    yield _table(["setting", "in A", "in B"], cells, code=(1, 2))


def _flipped(rows: Sequence[Row]) -> Iterable[Html]:
    yield h("h3", {}, "Problems that flipped")
    if not rows:
        yield h("p", {}, "None: no problem is right in more than half of one run's samples and less of the other's.")
        return
    cells = [
        [
            row["id"], _percent(row["a"], digits=1), _percent(row["b"], digits=1), row["gold"] or "",
            _answer(row["answer_a"]), _answer(row["answer_b"]),
        ]
        for row in rows[:MAX_FLIPPED]
    ]  # fmt: skip
    names = ["problem", "right in A", "right in B", "gold answer", "most frequent in A", "most frequent in B"]
    yield _table(names, cells, right=(1, 2), code=(3, 4, 5), better=[_better(row) for row in rows])
    yield from _more(len(rows), MAX_FLIPPED)


def _answer(answer: Row | None) -> str:
    return "no answer" if answer is None else f"{answer['text']} ({answer['samples']:,} x)"


def _problems(rows: Sequence[Row]) -> Html:
    ordered = sorted(rows, key=lambda row: row["a"] - row["b"])
    cells = [
        [row["id"], *(_percent(row[run], digits=1) for run in ("a", "b")), _percent(row["b"] - row["a"], "+", 1)]
        for row in ordered[:MAX_PROBLEMS]
    ]
    names = ["problem", "mean of A", "mean of B", "B − A"]
    table = _table(names, cells, right=(1, 2, 3), better=[_better(row) for row in ordered])
    return h("details", {}, h("summary", {}, "Every problem"), table, *_more(len(rows), MAX_PROBLEMS))


def _more(count: int, shown: int) -> Iterable[Html]:
    if count > shown:
        yield h("p", {"class": "muted"}, f"and {count - shown:,} more, which --json lists")


def _better(row: Row) -> str | None:
    return None if row["a"] == row["b"] else "b" if row["b"] > row["a"] else "a"


def _table(
    names: Sequence[str],
    rows: Iterable[Sequence[str | Html]],
    *,
    right: Sequence[int] = (),
    code: Sequence[int] = (),
    better: Sequence[str | None] = (),
) -> Html:
    kinds = ["right" if i in right else "code" if i in code else None for i in range(len(names))]
    head = h("tr", {}, *(h("th", {"class": kind}, name) for kind, name in zip(kinds, names, strict=True)))
    body = (
        h(
            "tr", {"data-better": better[i] if better else None},
            *(h("td", {"class": kind}, cell) for kind, cell in zip(kinds, row, strict=True)),
        )
        for i, row in enumerate(rows)
    )  # fmt: skip
    return h("div", {"class": "wide"}, h("table", {"class": "list"}, h("thead", {}, head), h("tbody", {}, *body)))


def _percent(value: float, sign: str = "", digits: int = 2) -> str:
    return f"{100 * value:{sign}.{digits}f} %".replace("-", "−")


def _range(interval: Sequence[float] | None, sign: str = "") -> str:
    return "none" if interval is None else f"{_percent(interval[0], sign)} to {_percent(interval[1], sign)}"
