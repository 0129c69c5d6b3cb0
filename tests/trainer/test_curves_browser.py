"""The report of a training run in a real Chromium: what it shows, that it can be used, that it asks for nothing."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rlvr.trainer.curves import write_report

pytestmark = pytest.mark.browser
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!--<script>"
Open = Callable[..., Any]
Make = Callable[..., Path]


@pytest.fixture
def report(tmp_path: Path, training_run: Make) -> Path:
    return write_report(training_run(tmp_path / "addition", steps=200, every=20, problems=40))


def figure(page: Any, title: str) -> Any:
    return page.locator("figure").filter(has=page.locator("h2", has_text=title)).first


def sides(page: Any) -> list[str]:
    return page.locator(".side .text").all_inner_texts()


def test_every_measure_has_its_curve(opened: Open, report: Path) -> None:
    page = opened(report)
    titles = [text.split("\n")[0] for text in page.locator("figure h2").all_inner_texts()]
    assert titles == [
        "pass@1 on held-out problems", "Reward in training", "Parts of the reward", "Response length",
        "Cut off at the limit", "Completions that reflect", "Reflection words", "Entropy", "Groups that teach nothing",
        "KL to the reference", "Clipped tokens", "Loss", "Gradient norm", "Learning rate", "Seconds a step",
    ]  # fmt: skip
    assert (
        page.locator("figure").count()
        == page.locator("svg.curves").count()
        == page.locator("path.line").count() - sum(n - 1 for n in (2, 3, 2, 10, 3, 2, 3))
    )
    assert page.inner_text("h1") == page.title() == "addition"
    assert page.locator("#headline dt").all_inner_texts() == [
        "pass@1, sampled", "pass@1, greedy", "Reward in training", "Length, tokens",
    ]  # fmt: skip
    assert "200 steps, 1,800,000 tokens sampled" in page.inner_text("#facts")


def test_curves_follow_their_values(opened: Open, report: Path) -> None:
    page = opened(report)
    found = page.evaluate("""() => [...document.querySelectorAll("figure")].map((figure) => {
        const pairs = figure.querySelector("path.line").getAttribute("d").split(/[ML]/).slice(1);
        const path = pairs.map((pair) => pair.split(" ").map(Number));
        return [path.length, path[0][1], path.at(-1)[1], path.every(([x, y]) => x >= 0 && y >= 0 && y <= 168)];
    })""")
    assert all(inside for *_, inside in found)
    (points, first, last, _), (entropies, start, end, _) = found[0], found[7]
    assert points == 11 and last < first - 60  # pass@1 climbs
    assert entropies == 200 and end > start + 60  # entropy falls
    reward = figure(page, "Reward in")
    faint, bold = (reward.locator(f"path.{kind}").get_attribute("d") for kind in ("raw", "line"))
    assert travelled(bold) < travelled(faint) / 2


def travelled(path: str) -> float:
    """Pixels that a curve goes up and down."""
    heights = [float(pair.split(" ")[1]) for pair in path.removeprefix("M").split("L")]
    return sum(abs(b - a) for a, b in pairwise(heights))


def test_one_cursor_shows_a_step_in_every_figure(opened: Open, report: Path) -> None:
    page = opened(report)
    last = figure(page, "Learning rate").locator(".value").inner_text()
    svg = figure(page, "pass@1").locator("svg.curves")
    svg.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert set(page.locator("figure .at").all_inner_texts()) == {"step 20"}
    row = next(row for row in rows(report, "metrics.jsonl") if row["step"] == 20)
    assert figure(page, "Reward in").locator(".value").first.inner_text() == f"{row['reward']:.3g}"
    assert (
        figure(page, "pass@1").locator(".value").first.inner_text().replace("\u202f", " ")
        == f"{100 * row['eval/pass@1']:.1f} %"
    )
    box = svg.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 10, box["y"] + 50)
    assert set(page.locator("figure .at").all_inner_texts()) == {"step 200"}
    page.mouse.move(1, 1)
    assert set(page.locator("figure .at").all_inner_texts()) == {""}
    assert figure(page, "Learning rate").locator(".value").inner_text() == last


def rows(report: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (report.parent / name).read_text().splitlines()]


def test_a_key_shows_and_hides_its_curve(opened: Open, report: Path) -> None:
    page = opened(report)
    length = figure(page, "Response length")
    key = length.get_by_role("button").filter(has_text="longest")
    assert key.get_attribute("aria-pressed") == "false" and length.locator("path.line").count() == 2
    before = length.locator("path.line").first.get_attribute("d")
    key.click()
    assert length.locator("path.line").count() == 3
    assert length.locator("path.line").first.get_attribute("d") != before  # there must be room for the longest
    key.click()
    assert length.locator("path.line").first.get_attribute("d") == before


def test_completions_of_one_problem_side_by_side(opened: Open, report: Path) -> None:
    page = opened(report)
    asked = page.inner_text("#asked")
    assert [page.locator(".side select").nth(i).input_value() for i in range(3)] == ["0", "80", "200"]
    statuses = page.locator(".side .verdict strong").all_inner_texts()
    assert statuses[0] == "wrong" and statuses[-1] == "correct"
    evals = [row for row in rows(report, "eval.jsonl") if row["mode"] == "sampled" and row["prompt"] == asked]
    expected = [next(row for row in evals if row["step"] == step and row["sample"] == 0) for step in (0, 80, 200)]
    assert [text.strip() for text in sides(page)] == [row["completion"] for row in expected]
    page.locator(".side select").nth(1).select_option("120")
    page.get_by_label("Later step").nth(0).click()
    page.locator("#sample").select_option("1")
    assert page.inner_text("#asked") == asked
    steps = [int(page.locator(".side select").nth(i).input_value()) for i in range(3)]
    assert steps == [20, 120, 200]
    chosen = [next(row for row in evals if row["step"] == step and row["sample"] == 1) for step in steps]
    assert [text.strip() for text in sides(page)] == [row["completion"] for row in chosen]
    assert page.locator(".side mark").first.inner_text() == f"<answer>{chosen[0]['extracted']}</answer>"
    page.get_by_label("Next problem").click()
    assert page.inner_text("#asked") != asked
    assert [int(page.locator(".side select").nth(i).input_value()) for i in range(3)] == steps


def test_other_kinds_of_completions(opened: Open, report: Path) -> None:
    page = opened(report)
    page.select_option("#kind", label="held-out problems, greedy")
    assert page.locator("#sample").is_hidden() and len(sides(page)) == 3
    page.select_option("#kind", label="training problems")
    assert len(sides(page)) == 1  # a problem is met once
    assert "80 completions" in page.inner_text("#shown")


def test_reflection_words_are_underlined(opened: Open, report: Path) -> None:
    page = opened(report)
    found = page.evaluate(
        """() => [...CSS.highlights.get("reflection")].map((range) => range.toString().toLowerCase())"""
    )
    texts = " ".join(sides(page)).lower()
    assert found.count("wait") == texts.count("wait") > 0
    assert "carry" in texts and "carry" not in found


def test_hostile_text_is_text(opened: Open, tmp_path: Path, training_run: Make) -> None:
    run = training_run(tmp_path / "<b>run", steps=20, every=10, problems=2)
    changed = [
        {**row, "id": HOSTILE, "prompt": HOSTILE, "completion": f"{HOSTILE}\x00\u202e wait " + "x" * 20_000,
         "parts": {HOSTILE: {"score": 0.5, "status": "wrong", "parts": {}}}}
        for row in rows(run / "report.html", "eval.jsonl")
    ]  # fmt: skip
    (run / "eval.jsonl").write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in changed))
    page = opened(write_report(run))
    assert page.inner_text("h1") == "<b>run" and page.inner_text("#asked") == HOSTILE
    assert all(text.startswith(HOSTILE) and "more characters not shown" in text for text in sides(page))
    assert page.locator("img").count() == 0 and page.locator("script").count() == 3


def test_a_run_that_has_hardly_begun(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("steps = 100\nalgorithm = 'dapo'\n")
    (tmp_path / "metrics.jsonl").write_text('{"step":0,"eval/pass@1":0.25,"seconds":3}\n')
    page = opened(write_report(tmp_path))
    assert "0 of 100 steps" in page.inner_text("#facts")
    assert page.locator("figure").count() == 1 and page.locator("circle.dot").count() == 1
    assert page.locator("#samples").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 420])
def test_nothing_is_cut_off_or_too_pale(opened: Open, report: Path, width: int, scheme: str) -> None:
    page = opened(report, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.wait_for_selector("svg.curves path.line")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    overflowing = """() => [...document.querySelectorAll("main *:not(option):not(.text *)")].filter((e) => {
        const box = e.getBoundingClientRect(); return box.width && (box.left < 0 || box.right > innerWidth + 1);
    }).map((e) => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(overflowing) == []
    text = page.evaluate("getComputedStyle(document.body).color")
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(channels(text)) > sum(channels(ground))) == (scheme == "dark")


def channels(colour: str) -> list[int]:
    return [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]


def test_ten_thousand_steps_are_drawn_by_means(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    steps = [{"step": step, "reward": step / 1e4, "kl": 1e-5 * step} for step in range(1, 10_001)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in steps))
    page = opened(write_report(tmp_path))
    assert "A point of a curve is the mean of 9 steps" in page.inner_text("#facts")
    for curve in page.locator("path.line").all():
        assert 1000 < curve.get_attribute("d").count("L") <= 1200
