"""The plots of a comparison as inline SVG: means and difference, problem against problem, and who differs."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .markup import Html, h

MAX_DIFFERING = 300  # problems with a column of their own
_NAMED = 8  # problems that a point names
_WIDTH, _LARGEST, _SMALLEST = 480, 20.0, 3.5

Row = dict[str, Any]
Attributes = dict[str, str | float | None]


def intervals(pair: Row) -> Html:
    """The means of A and B on one scale, and the difference on another around 0."""
    means = [("A", pair["a"]["score"]), ("B", pair["b"]["score"])]
    lo, hi = _limits(end for _, value in means for end in _ends(value))
    x = _scale(lo, hi, 50, _WIDTH - 20)
    marks = [_axis(lo, hi, x, 66), *(_whisker(name, value, x, 18 + 28 * i) for i, (name, value) in enumerate(means))]
    difference, found = pair["difference"], pair["detectable"] or 0.0
    reach = max(abs(end) for end in (*_ends(difference), found, 0.01)) * 1.1
    x = _scale(-reach, reach, 50, _WIDTH - 20)
    if found:
        band: Attributes = {"class": "detect", "x": x(-found), "width": x(found) - x(-found), "y": 100, "height": 36}
        marks.append(h("rect", band, h("title", {}, f"within {found:.1%}: too small to be found 4 times out of 5")))
    marks += [
        h("line", {"class": "base", "x1": x(0), "x2": x(0), "y1": 100, "y2": 136}),
        _axis(-reach, reach, x, 136, "+"), _whisker("B − A", difference, x, 118),
    ]  # fmt: skip
    shaded = " Within the shaded range a difference is too small for this many problems." if found else ""
    said = f"Means and their difference with 95 % intervals.{shaded}"
    return _figure("How far apart", _svg("Means with intervals", 156, marks), said)


def paired(scores: Sequence[Row]) -> Html:
    """Every problem at its mean in A (across) and in B (up); problems at one place share a circle."""
    groups: defaultdict[tuple[float, float], list[str]] = defaultdict(list)
    for row in scores:
        groups[row["a"], row["b"]].append(row["id"])
    lo, hi = _limits(end for place in groups for end in place)
    inset = _LARGEST + 4
    x, y = _scale(lo, hi, 50 + inset, _WIDTH - 10 - inset), _scale(lo, hi, 430 - inset, 20 + inset)
    most = max(map(len, groups.values()))
    unit = min(_SMALLEST, _LARGEST / math.sqrt(most))
    marks = [_axis(lo, hi, x, 430), _upright(lo, hi, y, 50, _WIDTH - 10)]
    marks.append(h("line", {"class": "mean", "x1": x(lo), "y1": y(lo), "x2": x(hi), "y2": y(hi)}))
    marks += [_text(_WIDTH - 10, 462, "mean in A", "end"), _text(50, 14, "mean in B")]
    for (a, b), ids in sorted(groups.items(), key=lambda group: -len(group[1])):
        radius = max(unit * math.sqrt(len(ids)), 2.5)
        title = h("title", {}, f"{_named(ids)}: {a:.1%} in A, {b:.1%} in B")
        marks.append(h("circle", {"class": _kind(a, b), "cx": x(a), "cy": y(b), "r": round(radius, 2)}, title))
        if len(ids) > 1 and radius >= 4 + 3 * len(str(len(ids))):
            marks.append(_text(x(a), y(b) + 4, f"{len(ids)}", "middle", "inside"))
    above, below = (sum(sign * (row["b"] - row["a"]) > 0 for row in scores) for sign in (1, -1))
    said = (
        f"Above the line B is better ({above:,} problems), below it A ({below:,}); {len(scores) - above - below:,} are "
        "on it. A larger circle is several problems."
    )
    return _figure("Problem by problem", _svg("Mean of each problem in A and in B", 466, marks), said)


def differences(scores: Sequence[Row]) -> Iterable[Html]:
    """A column for each problem that differs, from its mean in A to that in B.

    Nothing where that would say nothing: none differs, each is right in one run and wrong in the other, or too many.
    """
    rows = sorted((row for row in scores if row["a"] != row["b"]), key=lambda row: row["a"] - row["b"])
    if len(rows) > MAX_DIFFERING or {row[run] for row in rows for run in ("a", "b")} <= {0.0, 1.0}:
        return
    lo, hi = _limits(row[run] for row in rows for run in ("a", "b"))
    y, step = _scale(lo, hi, 420, 20), (_WIDTH - 70) / len(rows)
    marks, radius = [_upright(lo, hi, y, 50, _WIDTH - 20)], round(max(min(4.0, step / 2.4), 1.2), 2)
    for i, row in enumerate(rows):
        at, kind = round(50 + (i + 0.5) * step, 2), _kind(row["a"], row["b"])
        marks.append(
            h(
                "g", {},
                h("line", {"class": f"link {kind}", "x1": at, "x2": at, "y1": y(row["a"]), "y2": y(row["b"])}),
                h("circle", {"class": f"{kind} hollow", "cx": at, "cy": y(row["a"]), "r": radius}),
                h("circle", {"class": kind, "cx": at, "cy": y(row["b"]), "r": radius}),
                h("title", {}, f"{_named([row['id']])}: {row['a']:.1%} in A, {row['b']:.1%} in B"),
            )
        )  # fmt: skip
    marks.append(_text(50, 440, "B better"))
    marks.append(_text(_WIDTH - 20, 440, "A better", "end"))
    said = f"The {len(rows):,} problems that differ, from A (hollow) to B (filled), where B gains most first."
    yield _figure("Where they differ", _svg("Means of the problems that differ", 446, marks), said)


def _ends(value: Row) -> tuple[float, ...]:
    return (value["mean"], *(value["ci95"] or ()))


def _limits(values: Iterable[float]) -> tuple[float, float]:
    """Shares are drawn from 0 to 1; other scores as far as they go."""
    found = list(values)
    return min(0.0, *found), max(1.0, *found)


def _scale(lo: float, hi: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: round(start + (value - lo) / (hi - lo) * (end - start), 2)


def _ticks(lo: float, hi: float) -> list[float]:
    rough = (hi - lo) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first, last = math.ceil(lo / step - 1e-9), math.floor(hi / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _axis(lo: float, hi: float, x: Callable[[float], float], top: float, sign: str = "") -> Html:
    ticks = (_text(x(tick), top + 14, f"{_share(tick, sign)}", "middle") for tick in _ticks(lo, hi))
    return h("g", {}, h("line", {"class": "base", "x1": x(lo), "x2": x(hi), "y1": top, "y2": top}), *ticks)


def _upright(lo: float, hi: float, y: Callable[[float], float], left: float, right: float) -> Html:
    lines = (h("line", {"class": "grid", "x1": left, "x2": right, "y1": y(t), "y2": y(t)}) for t in _ticks(lo, hi))
    return h("g", {}, *lines, *(_text(left - 6, y(t) + 4, _share(t), "end") for t in _ticks(lo, hi)))


def _share(value: float, sign: str = "") -> str:
    return f"{100 * value:{sign if value else ''}.4g} %".replace("-", "−")


def _whisker(name: str, value: Row, x: Callable[[float], float], at: float) -> Html:
    line = [] if value["ci95"] is None else [
        h("line", {"class": "whisker", "x1": x(value["ci95"][0]), "x2": x(value["ci95"][1]), "y1": at, "y2": at})
    ]  # fmt: skip
    dot = h("circle", {"class": "dot", "cx": x(value["mean"]), "cy": at, "r": 5})
    return h("g", {}, _text(0, at + 4, name, "start", "strong"), *line, dot)


def _kind(a: float, b: float) -> str:
    return "better" if b > a else "worse" if b < a else "same"


def _named(ids: Sequence[str]) -> str:
    names = ", ".join(id if len(id) <= 60 else f"{id[:60]}…" for id in ids[:_NAMED])
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    return f"{names}{more}" if len(ids) == 1 else f"{len(ids):,} problems ({names}{more})"


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str | None = None) -> Html:
    return h("text", {"x": x, "y": y, "text-anchor": anchor, "class": kind}, text)


def _svg(label: str, height: float, marks: Iterable[Html]) -> Html:
    return h("svg", {"viewBox": f"0 0 {_WIDTH} {height}", "role": "img", "aria-label": label}, *marks)


def _figure(title: str, svg: Html, said: str) -> Html:
    return h("figure", {}, h("h2", {}, title), svg, h("figcaption", {}, said))
