"""The report in a real Chromium: what it shows, that it can be used, and that it asks nothing of any network."""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals.compare import compare
from rlvr.evals.compare_report import write_compare_report
from rlvr.evals.report import write_report
from rlvr.evals.selection import ReportSample, Selection
from rlvr.evals.tally import Tally
from rlvr.verifiers.types import Status, Verdict

pytestmark = pytest.mark.browser
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!--<script>"


def sample(
    id: str = "p",
    n: int = 0,
    status: Status = "wrong",
    completion: str = "so \\boxed{7}",
    score: float | None = 0.0,
    **more: Any,
) -> ReportSample:
    score = 1.0 if status == "correct" else score
    fields = {
        "reason": "different_number",
        "detail": None,
        "prompt": "How many?",
        "gold": "8",
        "extracted": "7",
        **more,
    }
    return ReportSample(id=id, sample=n, status=status, score=score, completion=completion, **fields)


def write(path: Path, samples: Iterable[ReportSample], title: str = "a run", **summary: Any) -> Path:
    tally, selection = Tally(), Selection()
    for s in samples:
        tally.add(s.id, Verdict(s.score, s.status, s.reason, s.extracted), len(s.completion))
        selection.add(s)
    write_report(path, title=title, summary=summary, tally=tally, selection=selection)
    return path


Open = Callable[..., Any]


def cells(page: Any, column: str) -> list[str]:
    return page.locator(f"#rows td.c-{column}").all_inner_texts()


def search(page: Any, text: str) -> str:
    page.fill("#query", text)
    page.wait_for_selector(f"html[data-searched='{text.strip().lower()}']", state="attached")
    return page.inner_text("#count")


def close_to(value: str) -> str:
    return value.replace("\u202f", " ")


RUN = [
    sample("10", 0, "correct", f"<think>{'let me see ' * 300}</think>\\boxed{{1}}, no, \\boxed{{\\frac{{8}}{{1}}}}."),
    sample("2", 0, "wrong", "I counted nine \\boxed{9}"),
    sample("2", 1, "correct", "A rare zebra wrote \\boxed{8}"),
    sample("2", 2, "unextracted", "no idea", reason="no_answer", extracted=None),
    sample("10", 1, "error", score=None, reason="gold_unreadable", detail="the gold ends inside a brace"),
    sample("3", 0, "wrong", "f" * 9_000, score=0.25, prompt="What about the okapi?",
           parts={"correct": {"score": 0.0, "status": "wrong", "reason": "different_number"}}),
]  # fmt: skip
ESTIMATE = {"mean": 0.4, "stderr": 0.1, "ci95": [0.2, 0.61]}
SUMMARY: dict[str, Any] = {
    "verifier": "math", "rlvr": "0.1.0", "score": {**ESTIMATE, "mean": 0.45}, "notes": ["A note."], "bad_rows": 2,
    "pass@k": {"1": ESTIMATE, "2": {**ESTIMATE, "mean": 0.5}, "4": {**ESTIMATE, "mean": 0.7}},
    "cons@k": {"4": {**ESTIMATE, "mean": 0.333, "tie_rate": 0.125}}, "files": [{"name": "a.jsonl", "rows": 6}],
}  # fmt: skip


def test_the_headline(opened: Open, tmp_path: Path) -> None:
    page = opened(write(tmp_path / "r.html", RUN, title="a <b>run</b>", **SUMMARY))
    assert page.inner_text("h1") == page.title() == "a <b>run</b>"
    assert close_to(page.inner_text("#headline")).split("\n") == [
        "Mean score", "0.45", "95 % interval 0.2 to 0.61", "pass@1", "40.0 %", "95 % interval 20.0 to 61.0 %",
        "pass@4", "70.0 %", "95 % interval 20.0 to 61.0 %",
        "cons@4", "33.3 %", "95 % interval 20.0 to 61.0 %", "12.5 % of the problems tie",
    ]  # fmt: skip
    facts = close_to(page.inner_text("#facts")).split("\n")
    assert facts[:2] == [
        "3 problems, 6 samples",
        "Not judged: 1 sample, 16.7 %. Errors: the gold answer cannot be read (1)",
    ]
    assert facts[2:] == ["2 rows of the input could not be read", "A note."]
    assert page.locator("#plots figure").count() == 5
    assert page.locator("#published").is_hidden()
    assert page.inner_text("#shown") == "This page holds all 6 samples."


def published(metric: str, measured: float | None, value: float, stderrs: float | None) -> dict[str, Any]:
    difference = None if measured is None else measured - value
    return {
        "metric": metric, "measured": measured, "value": value, "difference": difference, "in_stderrs": stderrs,
        "source": "a <b>paper</b>",
    }  # fmt: skip


RUN_PART: dict[str, Any] = {
    "model": "org/m", "revision": "abc", "engine": "vllm", "engine_versions": {"vllm": "0.1"}, "prompt": "r1",
    "sampling": {"temperature": 0.6, "seed": 0}, "task_hash": "d8f2", "seconds": 61.25, "tokens": 12345,
    "tokens_per_second": 201.5, "device_hours": 0.017, "missing": 2, "expected": 8,
    "errors": [{"error": "503 <i>", "samples": 2}], "warnings": ["greedy decoding"],
    "published": [published("pass@1", 0.375, 0.5, -2.34), published("cons@64", None, 0.6, None)],
}  # fmt: skip


def test_a_run_of_a_model(opened: Open, tmp_path: Path) -> None:
    curve = {"1": {**ESTIMATE, "mean": 0.25}, "2": {**ESTIMATE, "mean": 0.3}}
    truncation = {"cut": 1, "known": 6, "rate": 1 / 6}
    summary = {**SUMMARY, "run": RUN_PART, "truncation": truncation, "cons_curve": curve, "notes": []}
    page = opened(write(tmp_path / "r.html", RUN, **summary))
    assert close_to(page.inner_text("#facts")).split("\n")[2:] == [
        "2 rows of the input could not be read",
        "Cut at the length limit: 1 completion, 16.7 %",
        "Missing: 2 of 8 samples. 503 <i> (2)",
        "Differs from the protocol: greedy decoding",
    ]
    rows = [close_to(row).split("\t") for row in page.locator("#published tbody tr").all_inner_texts()]
    assert rows == [
        ["pass@1", "37.5 %", "50.0 %", "−12.5", "−2.3", "a <b>paper</b>"],
        ["cons@64", "not with this n", "60.0 %", "—", "—", "a <b>paper</b>"],
    ]
    page.click("text=About this run")
    about = page.inner_text("#about")
    for said in ("org/m at abc", "vllm; vllm 0.1", "temperature 0.6, seed 0", "content hash d8f2", "12,345 tokens"):
        assert said in about
    said = close_to(page.locator("figure", has_text="pass@k and cons@k").inner_text())
    assert "cons@1 25.0 %, cons@2 30.0 %, cons@4 33.3 %" in said
    assert page.locator("svg .vote").count() == 3


def test_the_map_of_every_sample(opened: Open, tmp_path: Path) -> None:
    page = opened(write(tmp_path / "r.html", RUN))
    every = page.locator("figure", has_text="Every sample")
    drawn = {path.get_attribute("class"): path.get_attribute("d").count("M") for path in every.locator("path").all()}
    assert drawn == {"correct": 2, "wrong": 2, "unextracted": 1, "error": 1}
    every.locator("svg").focus()
    every.locator("svg").press("End")
    assert "Problem 3: 1 wrong" in every.inner_text()
    every.locator("svg").press("Home")
    assert "Problem 10: 1 correct, 1 error" in every.inner_text()
    every.locator("svg").press("Enter")
    assert [text.split()[0] for text in cells(page, "id")] == ["10", "10"]


def test_the_vote_by_problem(opened: Open, tmp_path: Path) -> None:
    votes = [
        {"id": "2", "answers": [["8", 2, 1.0], ["<i>9", 1, 0.0]], "others": 0, "silent": 1, "score": 1.0, "tie": False},
        {"id": "10", "answers": [["1", 1, 1.0], ["7", 1, 0.0]], "others": 2, "silent": 0, "score": 0.5, "tie": True},
        {"id": "3", "answers": [["5", 4, 0.0]], "others": 0, "silent": 0, "score": 0.0, "tie": False},
    ]
    page = opened(write(tmp_path / "r.html", RUN, votes=votes))
    figure = page.locator("figure", has_text="The vote by problem")
    assert "The majority is right on 1 of 3 problems, 1 tie." in figure.inner_text()
    kinds = [rect.get_attribute("class") for rect in figure.locator("rect:not(.cursor)").all()]
    assert kinds == ["correct", "wrong", "unextracted", "correct", "wrong", "wrong", "wrong"]
    assert figure.locator("circle").count() == 2
    figure.locator("svg").focus()
    figure.locator("svg").press("Home")
    assert "Problem 2: 2 for 8 (right), 1 for <i>9, 1 without an answer; the vote is worth 1" in figure.inner_text()
    figure.locator("svg").press("Enter")
    assert [text.split()[0] for text in cells(page, "id")] == ["2", "2", "2"]


def test_search_filter_and_sort(opened: Open, tmp_path: Path) -> None:
    page = opened(write(tmp_path / "r.html", RUN, **SUMMARY))
    assert cells(page, "id") == ["10\n#0", "2\n#0", "2\n#1", "2\n#2", "10\n#1", "3\n#0"]
    page.click("th[data-sort=id] button")
    assert cells(page, "id") == ["2\n#0", "2\n#1", "2\n#2", "3\n#0", "10\n#0", "10\n#1"]
    page.click("th[data-sort=score] button")
    assert cells(page, "score") == ["—", "0", "0", "0.25", "1", "1"]
    page.click("th[data-sort=length] button")
    page.click("th[data-sort=length] button")
    assert cells(page, "length")[0] == "9,000"
    assert page.get_attribute("th[data-sort=length]", "aria-sort") == "descending"
    page.click("th[data-sort=length] button")

    assert search(page, "ZEBRA") == "1 to 1 of 1 sample"
    page.wait_for_selector("#rows mark")
    assert page.inner_text("#rows mark") == "zebra"
    assert search(page, "okapi") == "1 to 1 of 1 sample"
    assert search(page, "cannot be read") == "1 to 1 of 1 sample"
    assert search(page, "no such text") == "No sample matches"
    assert search(page, "") == "1 to 6 of 6 samples"

    page.click("#statuses [data-status=wrong]")
    assert cells(page, "status") == ["×wrong", "×wrong"]
    page.click("#statuses [data-status=error]")
    assert len(cells(page, "status")) == 3
    page.select_option("#reason", "gold_unreadable")
    assert cells(page, "id") == ["10\n#1"]
    page.select_option("#reason", "")
    page.click("#verdicts button:has-text('no final answer')")
    assert cells(page, "status") == ["∅unextracted"]
    page.click("#statuses [data-status=unextracted]")
    page.select_option("#reason", "")
    page.focus("svg[aria-label='Score by problem']")
    page.keyboard.press("End")
    assert "Problem 3: mean score 0.25, 0 of 1 sample correct" in page.inner_text("#plots")
    page.keyboard.press("Enter")
    assert cells(page, "id") == ["3\n#0"]
    page.click("#pick")
    assert len(cells(page, "id")) == 6


def test_a_sample_opens(opened: Open, tmp_path: Path) -> None:
    path = write(tmp_path / "r.html", RUN, **SUMMARY)
    page = opened(path, "#s=2")
    page.wait_for_selector("#reader:not([hidden])")
    assert "A rare zebra wrote \\boxed{8}" in page.inner_text("#reader")
    assert page.inner_text("#reader mark") == "\\boxed{8}"
    page.keyboard.press("j")
    page.wait_for_selector("#reader h2:has-text('sample 2')")
    assert page.url.endswith("#s=3")
    page.keyboard.press("k")
    page.wait_for_selector("#reader h2:has-text('sample 1')")
    page.keyboard.press("Escape")
    assert page.is_hidden("#reader")
    page.keyboard.press("Enter")  # the row that was open has the focus again
    page.wait_for_selector("#reader h2:has-text('sample 1')")

    page.click("#rows tr[data-row='0'] td.c-score")
    page.wait_for_selector("#reader .think")
    assert page.locator("#reader .think").get_attribute("open") is None
    assert "let me see" not in page.inner_text("#reader")
    assert page.inner_text("#reader mark") == "\\boxed{\\frac{8}{1}}"
    page.click("#reader .think summary")
    page.wait_for_selector("#reader .think .text")
    assert "let me see" in page.inner_text("#reader")
    page.click("#rows tr[data-row='5'] td.c-score")
    page.wait_for_selector("#reader .parts")
    assert "a different rational number" in page.inner_text("#reader .parts")
    assert len(page.inner_text("#reader")) < 8_000
    page.click("#reader .more")
    assert "f" * 9_000 in page.inner_text("#reader").replace("\n", "")

    lost = opened(path, "#s=77")
    assert lost.inner_text("#fault").startswith("Sample 77 of the input is not in this page")


def test_hostile_text_is_inert(opened: Open, browser: Any, tmp_path: Path) -> None:
    hostile = sample(
        HOSTILE, completion=HOSTILE, prompt=HOSTILE, gold=HOSTILE, extracted=HOSTILE, reason=HOSTILE, detail=HOSTILE
    )
    path = write(tmp_path / "r.html", [hostile, sample()], title=HOSTILE, notes=[HOSTILE], verifier=HOSTILE)
    page = opened(path, "#s=0")
    page.wait_for_selector("#reader:not([hidden])")
    assert page.inner_text("#reader").count(HOSTILE) == 7
    assert search(page, "onerror") == "1 to 1 of 1 sample"
    assert page.locator("img").count() == 0
    assert page.locator("script:not([type])").count() == 1
    with browser.new_page() as other:  # and even the page's own code could not: the policy forbids it
        other.goto(path.as_uri())
        assert (
            other.evaluate("() => { try { document.body.innerHTML = '<p>' } catch { return 'refused' } }") == "refused"
        )
        assert other.evaluate("fetch('data:,x').catch(() => 'refused')") == "refused"


def test_a_huge_completion_says_what_is_left_out(opened: Open, tmp_path: Path) -> None:
    text = "🦓" + "x" * 5_000_000 + " thus \\boxed{7}"
    page = opened(write(tmp_path / "r.html", [sample(completion=text)]), "#s=0")
    page.wait_for_selector("#reader:not([hidden])")
    assert "5,000,016 characters, of which this page leaves out 4,840,016 in the middle" in page.inner_text("#reader")
    assert page.inner_text("#reader mark") == "\\boxed{7}"
    page.click("#reader .more")
    assert page.inner_text("#reader .gap") == "… 4,840,016 more characters not shown …"
    assert page.locator("#reader > .text").last.inner_text().startswith("🦓xx")


@pytest.mark.parametrize("samples", [[], [sample(score=None, status="error")], RUN])
def test_little_data_a_phone_and_the_dark(opened: Open, tmp_path: Path, samples: list[ReportSample]) -> None:
    summary = {"score": {"mean": None, "stderr": None, "ci95": None}, "pass@k": {"1": {"mean": None}}}
    page = opened(
        write(tmp_path / "r.html", samples, **summary), viewport={"width": 360, "height": 740}, color_scheme="dark"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert "no interval" in page.inner_text("#headline")
    if samples:
        page.click("#rows tbody tr")
        page.wait_for_selector("#reader:not([hidden])")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.click("[aria-label=Close]")


def test_fifty_thousand_samples(opened: Open, tmp_path: Path) -> None:
    dice = random.Random(3)
    words = " ".join(
        dice.choice(["the", "sum", "of", "\\frac{1}{2}", "is", "so", "x^2", "=", "we", "get"]) for _ in range(60_000)
    )

    def samples() -> Iterator[ReportSample]:
        for i in range(50_000):
            at, length = dice.randrange(100_000), 30_000 if i % 250 == 0 else dice.randrange(300, 900)
            text = f"{words[at : at + length]} zebra {i} \\boxed{{{i}}}"
            yield sample(f"p{i // 10}", i % 10, "wrong" if i % 4 else "correct", text, extracted=str(i))

    page = opened(write(tmp_path / "r.html", samples()))
    assert page.inner_text("#count") == "1 to 100 of 50,000 samples"
    page.click("#statuses [data-status=correct]")
    assert page.inner_text("#count") == "1 to 100 of 12,500 samples"
    page.click("th[data-sort=length] button")
    page.click("th[data-sort=length] button")
    assert cells(page, "length")[0].startswith("30,0")
    assert search(page, "zebra 49996 ") == "1 to 1 of 1 sample"
    page.click("#rows tbody tr")
    page.wait_for_selector("#reader mark")
    assert page.inner_text("#reader mark") == "\\boxed{49996}"


def test_a_small_set_shows_its_bca_intervals(opened: Open, tmp_path: Path) -> None:
    score = {**ESTIMATE, "ci95_bca": [0.25, 0.5]}
    page = opened(write(tmp_path / "r.html", RUN, **{**SUMMARY, "pass@k": {"1": score}, "score": score}))
    assert close_to(page.inner_text("#headline")).split("\n")[2:4] == [
        "95 % interval 20.0 to 61.0 %",
        "BCa 25.0 to 50.0 %",
    ]


def test_the_page_of_a_comparison(opened: Open, tmp_path: Path) -> None:
    for name, right in (("a", "101"), ("b", "010")):
        verdicts = enumerate(zip(right, ("p", "q", HOSTILE), strict=True))
        rows = [{"id": id, "sample": 0, "score": int(ok), "status": "correct" if ok == "1" else "wrong",
                 "extracted": HOSTILE, "answer": f"gold {i}"} for i, (ok, id) in verdicts]  # fmt: skip
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    write_compare_report(tmp_path / "c.html", compare([str(tmp_path / f"{name}.jsonl") for name in "ab"]))
    page = opened(tmp_path / "c.html", ready=".tiles")
    flipped = page.locator("table.list").first.locator("tbody tr")
    assert flipped.locator("td:nth-child(4)").all_inner_texts() == ["gold 0", "gold 1", "gold 2"]
    assert flipped.nth(2).locator("td").first.inner_text() == HOSTILE
    assert page.locator("svg").count() == 2
    assert page.evaluate("getComputedStyle(document.querySelector('.tiles')).display") == "flex"  # its style is allowed
    assert not page.locator("details table").is_visible()
    page.click("details summary")
    assert page.locator("details tbody tr").count() == 3
