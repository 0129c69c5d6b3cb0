"""The page of `rlvr compare`: what it says, that text of a run cannot be markup, and how two runs' settings differ."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from rlvr.evals.compare import compare, differing_settings
from rlvr.evals.compare_report import MAX_PROBLEMS, write_compare_report
from rlvr.evals.markup import h

Row = dict[str, Any]
Rlvr = Callable[..., "CompletedProcess[str]"]
Write = Callable[..., Path]
HOSTILE = "</style></title></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{body}}{{csp}}"


def rows(shares: dict[str, list[int]], answer: str = "7", **more: object) -> list[Row]:
    return [
        {
            "id": problem, "sample": i, "score": float(ok), "status": "correct" if ok else "wrong",
            "reason": "same_text", "extracted": "4" if ok else answer, "parts": {}, "answer": "4", **more,
        }
        for problem, each in shares.items()
        for i, ok in enumerate(each)
    ]  # fmt: skip


class Page(HTMLParser):
    """The page's elements, and its text by the element that holds it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(tmp_path: Path, write: Write, *runs: Iterable[Row]) -> tuple[str, Page, Row]:
    found = compare([str(write(run, f"{i}.jsonl")) for i, run in enumerate(runs)])
    write_compare_report(tmp_path / "page.html", found)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    return text, Page(text), found


A = rows({"p": [1, 1, 1, 0], "q": [0, 0, 0, 1], "r": [1, 1, 1, 1], "s": [0, 0, 0, 0]})
B = rows({"p": [0, 0, 0, 0], "q": [1, 1, 0, 1], "r": [1, 1, 1, 1], "s": [0, 0, 0, 1]}, answer="9")


def test_what_it_says(tmp_path: Path, write_rows: Write) -> None:
    text, page, found = page_of(tmp_path, write_rows, A, B)
    [pair] = found["pairs"]
    said = " | ".join(page.texts)
    low, high = (f"{100 * end:+.2f} %".replace("-", "−") for end in pair["difference"]["ci95"])
    for words in (
        "50.00 %", "50.00 %", "+0.00 %", f"95 % interval {low} to {high}", f"p = {pair['sign_flip']['p']:.3g} by sign",
        f"A difference of {100 * pair['detectable']:.2f} % would have been found", "Samples of each problem: 4 in A, 4",
        "Above the line B is better (2 problems), below it A (1); 1 are on it", "The 3 problems that differ",
        "4 (3 x)", "9 (4 x)",
    ):  # fmt: skip
        assert words in said, words
    assert "McNemar" not in said
    assert "Holm" not in said
    assert "Settings" not in said  # these are no folders of runs
    assert page.tags.count("svg") == 3
    assert re.search(r'<circle class="worse" cx="[\d.]+" cy="[\d.]+" r="3.5"><title>p: 75.0% in A, 0.0% in B', text)
    flipped, every = page.texts.index("Problems that flipped"), page.texts.index("Every problem")
    table = [each.strip() for each in page.texts[flipped + 1 : every] if each.strip()]
    assert table[6:] == ["p", "75.0 %", "0.0 %", "4", "4 (3 x)", "9 (4 x)", "q", "25.0 %", "75.0 %", "4", "7 (3 x)",
                         "4 (3 x)"]  # fmt: skip


def test_nothing_is_fetched_or_run_and_the_same_is_written_again(tmp_path: Path, write_rows: Write) -> None:
    text, page, found = page_of(tmp_path, write_rows, A, B)
    assert "script" not in page.tags
    assert not [value for name, value in page.attributes if name in ("src", "style") or name.startswith("on")]
    assert [value for name, value in page.attributes if name == "href"] == ["data:,"]
    [style] = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    [policy] = re.findall('Content-Security-Policy" content="(.*?)"', text)
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    write_compare_report(tmp_path / "again.html", found)
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_text_of_a_run_is_never_markup(tmp_path: Path, write_rows: Write) -> None:
    plain, _, _ = page_of(tmp_path, write_rows, A, B)
    names = {"p": HOSTILE, "q": HOSTILE + "q", "r": HOSTILE + "r", "s": HOSTILE + "s"}
    a, b = ([{**row, "id": names[row["id"]], "extracted": HOSTILE, "answer": HOSTILE} for row in run] for run in (A, B))
    found = compare([str(write_rows(run, f"<b>{name}.jsonl")) for name, run in (("a", a), ("b", b))])
    found["pairs"][0]["notes"] = [HOSTILE]
    found["pairs"][0]["settings"] = [{"name": HOSTILE, "a": HOSTILE, "b": [HOSTILE]}]
    write_compare_report(tmp_path / "hostile.html", found)
    text = (tmp_path / "hostile.html").read_text(encoding="utf-8")
    page = Page(text)
    assert set(page.tags) == set(Page(plain).tags)
    assert page.texts.count(HOSTILE) == 7  # id and gold of two that flipped, a note, a setting's name and value …
    assert f"{HOSTILE} (4 x)" in page.texts
    assert "<b>a.jsonl" in "".join(page.texts)
    assert text.count("<script") == text.count("onerror=alert(2)>") == 0


def test_several_pairs_are_told_apart(tmp_path: Path, write_rows: Write) -> None:
    a = rows({f"p{i}": [0] for i in range(8)})
    b = rows({f"p{i}": [1] for i in range(8)})
    _, page, found = page_of(tmp_path, write_rows, a, b, a, a)
    said = " | ".join(page.texts)
    assert "All pairs" in said
    assert "0.00781 by sign flips over problems; 0.0156 for 2 tests (Holm)" in said
    assert "0.00781 by McNemar's exact test: 0 problems only A got right, 8 only B" in said
    assert {("id", "pair-1"), ("id", "pair-2"), ("href", "#pair-1"), ("href", "#pair-2")} <= set(page.attributes)
    assert found["pairs"][1]["notes"][0] in said
    assert "8 problems (p0, p1" in said
    assert page.tags.count("svg") == 4  # right or wrong: columns would say nothing that the circles do not


def test_scores_below_zero_and_beyond_one_are_drawn_inside(tmp_path: Path, write_rows: Write) -> None:
    a, b = (
        [{**row, "score": scale * (i - 2)} for i, row in enumerate(rows({x: [0] for x in "pqrst"}))] for scale in (1, 3)
    )
    text, _, _ = page_of(tmp_path, write_rows, a, b)
    for x in re.findall(r'<(?:circle|line|text)[^>]* (?:cx|x|x1|x2)="([^"]+)"', text):
        assert 0 <= float(x) <= 480
    for y in re.findall(r'<(?:circle|line|text)[^>]* (?:cy|y|y1|y2)="([^"]+)"', text):
        assert 0 <= float(y) <= 466


def test_a_large_set_stays_a_page(tmp_path: Path, write_rows: Write) -> None:
    a = rows({f"p{i}": [i % 2] for i in range(MAX_PROBLEMS + 5)})
    b = rows({f"p{i}": [i % 3 == 0] for i in range(MAX_PROBLEMS + 5)})
    text, page, _ = page_of(tmp_path, write_rows, a, b)
    assert "and 5 more, which --json lists" in page.texts
    assert len(text) < 1_000_000


# --- settings


def run_folder(path: Path, run: list[Row], **settings: Any) -> Path:
    path.mkdir()
    manifest = {
        "format": 1,
        "model": "m",
        "sampling": {"temperature": 0.6, "seed": 0},
        "started": str(path),
        **settings,
    }
    (path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (path / "scored.jsonl").write_text("".join(json.dumps(row) + "\n" for row in run), encoding="utf-8")
    return path


def test_settings_that_differ_are_named(rlvr: Rlvr, tmp_path: Path) -> None:
    run_folder(tmp_path / "a", A, engine={"options": {"base_url": "x", "dtype": "bfloat16"}})
    greedy = {"temperature": 0.0, "seed": 0}
    engine = {"options": {"base_url": "y"}}
    run_folder(tmp_path / "b", B, model="<i>other</i>[red]", sampling=greedy, engine=engine)
    printed = rlvr("compare", "a", "b/scored.jsonl", "--report", "page.html")
    assert (printed.returncode, printed.stderr) == (0, "wrote page.html\n")
    lines = [line.split() for line in printed.stdout.splitlines()]
    for line in (["model", "m", "<i>other</i>[red]"], ["sampling.temperature", "0.6", "0.0"],
                 ["engine.options.dtype", "bfloat16", "none"]):  # fmt: skip
        assert line in lines
    expected = [
        {"name": "model", "a": "m", "b": "<i>other</i>[red]"},
        {"name": "sampling.temperature", "a": 0.6, "b": 0.0},
        {"name": "engine.options.dtype", "a": "bfloat16", "b": None},
    ]
    assert json.loads(rlvr("compare", "a", "b", "--json").stdout)["pairs"][0]["settings"] == expected
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    at = page.texts.index("sampling.temperature")
    assert page.texts[at : at + 3] == ["sampling.temperature", "0.6", "0.0"]
    assert "<i>other</i>[red]" in page.texts


def test_equal_settings_and_files_without_any(rlvr: Rlvr, tmp_path: Path, write_rows: Write) -> None:
    run_folder(tmp_path / "a", A)
    run_folder(tmp_path / "b", B)
    assert "both runs have the same settings" in rlvr("compare", "a", "b").stdout
    alone = write_rows(B, "b.jsonl").name
    printed = rlvr("compare", "a", alone)
    assert "settings" not in printed.stdout
    assert json.loads(rlvr("compare", "a", alone, "--json").stdout)["pairs"][0]["settings"] is None


def test_what_follows_from_another_setting_is_not_said_twice() -> None:
    a: Row = {
        "first_prompt": {"text": "a", "rendered": "<a>"},
        "started": 1,
        "command": ["x"],
        "engine": {"options": {}},
    }
    b: Row = {
        "first_prompt": {"text": "b", "rendered": "<b>"},
        "started": 2,
        "command": ["y"],
        "engine": {"options": {}},
    }
    assert differing_settings(a, b) == [{"name": "first_prompt.rendered", "a": "<a>", "b": "<b>"}]
    assert differing_settings(a, a) == []


def test_a_broken_manifest_and_a_report_that_cannot_be_written(rlvr: Rlvr, tmp_path: Path) -> None:
    run_folder(tmp_path / "a", A)
    done = rlvr("compare", "a", "a", "--report", "absent/page.html")
    assert (done.returncode, done.stderr) == (2, "rlvr compare: absent/page.html: No such file or directory\n")
    (tmp_path / "a/manifest.json").write_text("{", encoding="utf-8")
    done = rlvr("compare", "a", "a")
    assert done.returncode == 2
    assert "manifest.json: is broken" in done.stderr


@pytest.mark.parametrize("text", ["<b>", "&lt;", '"', "'", "a\x00b"])
def test_only_what_h_made_is_markup(text: str) -> None:
    made = h("p", {"title": text}, text, h("b", {}, text))
    assert not re.search("[<>\"']", re.sub(r'</?[pb]>|<p title="|">', "", made))
