"""The plots of an audit as inline SVG: how often problems are solved, score by length, and drift over steps."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .audit_groups import TENTHS
from .audit_kinds import KINDS
from .markup import Html, h

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 480, 190, 44, 166

Row = Mapping[str, Any]
Point = tuple[float, float]


def solved_shares(found: Row) -> Html | None:
    """How many problems have which share of their samples right; both ends have a bar of their own."""
    counts: Sequence[int] = found["spread"]["shares"]
    if sum(counts) < 2:
        return None
    top = max(counts)
    y = _scale(0, top, _BOTTOM, 14)
    step = (_WIDTH - _LEFT - 8) / len(counts)
    marks = [_grid(y, _ticks(top), lambda tick: f"{tick:,.0f}")]
    for place, count in enumerate(counts):
        ends = place in (0, TENTHS + 1)
        name = "none" if place == 0 else "all" if ends else f"{place - 1}0 to {place}0 %"
        x = _LEFT + place * step
        marks.append(
            h(
                "rect",
                {
                    "class": "flat" if ends else "bar", "x": round(x + 2, 2), "width": round(step - 4, 2),
                    "y": y(count), "height": round(_BOTTOM - y(count), 2),
                },
                h("title", {}, f"{count:,} problems with {name} of their samples right"),
            )
        )  # fmt: skip
        label = "none" if place == 0 else "all" if ends else f"{place}0" if place % 2 else ""
        marks.append(_text(x + step / 2, _BOTTOM + 16, label, "middle"))
    said = (
        "Problems by the share of their samples that is right, in per cent. Where none or all are, GRPO learns nothing."
    )
    return _figure("Which problems teach", _svg("Problems by share of samples right", marks), said)


def by_length(found: Row) -> Html | None:
    """The mean score in each tenth of the samples by length, and the same with each problem's difficulty taken out."""
    deciles: Sequence[Row] = found["lengths"]["deciles"]
    if not deciles or found["score"] is None:
        return None
    mean = found["score"]["mean"]
    raw = [(place, row["score"]) for place, row in enumerate(deciles)]
    within = [(place, mean + row["beyond"]) for place, row in enumerate(deciles) if row["beyond"] is not None]
    values = [value for _, value in (*raw, *within)]
    low, high = min(0.0, *values), max(1.0, *values)
    x, y = _scale(-0.5, len(deciles) - 0.5, _LEFT, _WIDTH - 8), _scale(low, high, _BOTTOM, 14)
    marks = [_grid(y, [low, (low + high) / 2, high], lambda tick: f"{tick:.2g}")]
    marks.append(_curve([(x(a), y(b)) for a, b in raw], "curve"))
    if found["lengths"]["problems"]:
        marks.append(_curve([(x(a), y(b)) for a, b in within], "votes"))
    unit = found["lengths"]["unit"]
    for place, row in enumerate(deciles):
        said = f"{row['from']:,} to {row['to']:,} {unit}: mean score {row['score']:.3f} of {row['samples']:,} samples"
        marks.append(
            h("circle", {"class": "point", "cx": x(place), "cy": y(row["score"]), "r": 4}, h("title", {}, said))
        )
        if place % 3 == 0:
            marks.append(_text(x(place), _BOTTOM + 16, _compact(row["from"]), "middle"))
    said = f"Mean score in each tenth of the samples, shortest first; below, where it begins, in {unit}."
    if found["lengths"]["problems"]:
        said += " Dashed: the same beside the mean of its problem, so that hard problems do not count as long ones."
    return _figure("Score by length", _svg("Mean score by length", marks), said)


def drift(found: Row) -> Iterator[Html]:
    """Small curves over the steps of a training run: score, length, groups without spread, and each check that hit."""
    points: Sequence[Row] = found["curves"]
    if len(points) < 2:
        return
    keys = [key for key in points[0]["shares"] if any(point["shares"][key] for point in points)]
    series: list[tuple[str, list[float | None], bool]] = [
        ("Mean score", [point["score"] for point in points], False),
        ("Length in characters", [point["length"] for point in points], False),
        ("Groups without spread", [point["no_spread"] for point in points], True),
        *((f"Rewarded: {KINDS[key].title}", [point["shares"][key] for point in points], True) for key in keys),
    ]
    yield from (_small(name, values, points, share=share) for name, values, share in series)


def _small(name: str, values: Sequence[float | None], points: Sequence[Row], *, share: bool) -> Html:
    known = [(i, value) for i, value in enumerate(values) if value is not None]
    numbers = [value for _, value in known] or [0.0]
    low, high = min(0.0, *numbers), max(numbers)
    high = high if high > low else low + 1
    x, y = _scale(0, len(points) - 1, _LEFT, _WIDTH - 12), _scale(low, high, 84, 12)
    form: Callable[[float], str] = (lambda v: f"{v:.0%}" if high >= 0.1 else f"{v:.1%}") if share else _compact
    marks = [
        _grid(y, [low, high], form), _curve([(x(i), y(value)) for i, value in known], "curve"),
        _text(_LEFT, 102, f"step {points[0]['from']:,}"), _text(_WIDTH - 12, 102, f"{points[-1]['to']:,}", "end"),
    ]  # fmt: skip
    ends = f"{form(known[0][1])} at first, {form(known[-1][1])} at last." if known else "Nothing to draw."
    return _figure(name, _svg(f"{name} over steps", marks, 106), ends)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: round(start + (value - low) / ((high - low) or 1) * (end - start), 2)


def _ticks(top: int) -> list[float]:
    return [0, top / 2, top] if top % 2 == 0 else [0, top]


def _compact(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:,.0f}k"
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2f}"


def _grid(y: Callable[[float], float], ticks: Iterable[float], form: Callable[[float], str]) -> Html:
    values = list(ticks)
    lines = (h("line", {"class": "grid", "x1": _LEFT, "x2": _WIDTH - 8, "y1": y(t), "y2": y(t)}) for t in values)
    return h("g", {}, *lines, *(_text(_LEFT - 6, y(tick) + 4, form(tick), "end") for tick in values))


def _curve(points: Sequence[Point], kind: str) -> Html:
    return h("polyline", {"class": kind, "points": " ".join(f"{x},{y}" for x, y in points)})


def _text(x: float, y: float, text: str, anchor: str = "start") -> Html:
    return h("text", {"x": round(x, 2), "y": y, "text-anchor": anchor}, text)


def _svg(label: str, marks: Iterable[Html], height: float = _HEIGHT) -> Html:
    return h("svg", {"viewBox": f"0 0 {_WIDTH} {height}", "role": "img", "aria-label": label}, *marks)


def _figure(title: str, svg: Html, said: str) -> Html:
    return h("figure", {}, h("h2", {}, title), svg, h("figcaption", {}, said))
