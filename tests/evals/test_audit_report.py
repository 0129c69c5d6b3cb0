"""The page of `rlvr audit`: that it is whole, that hostile text in it is harmless, and how it looks in a browser."""

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals.audit import Reading, audit
from rlvr.evals.audit_report import HEAD, TAIL, write_audit_report
from rlvr.evals.audit_rows import ScoredFiles
from rlvr.evals.score import Progress

Row = dict[str, Any]
Write = Callable[..., Path]
Page = Callable[..., Path]
HOSTILE = "</details></style></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{body}}{{csp}}"


def row(id: str, number: int, right: bool, **more: Any) -> Row:
    return {
        "id": id, "sample": number, "prompt": f"What is {id}?", "answer": "4",
        "completion": f"{id}{number}: \\boxed{{4}}" if right else "I do not know, though I thought about it for long",
        "score": float(right), "status": "correct" if right else "wrong",
        "reason": "same_text" if right else "different_number", "extracted": "4" if right else "5", "parts": {}, **more,
    }  # fmt: skip


ROWS = [row(f"p{p}", i, (p + i) % 3 > 0) for p in range(6) for i in range(4)]


@pytest.fixture
def page(write_rows: Write, tmp_path: Path) -> Page:
    def make(rows: Sequence[Row], name: str = "scored.jsonl") -> Path:
        with ScoredFiles([str(write_rows(rows, name))], {}, Progress()) as files:
            found = audit(Reading(files, 10), second_opinion=False)
            write_audit_report(tmp_path / "audit.html", found, files)
        return tmp_path / "audit.html"

    return make


class Elements(HTMLParser):
    """The page's elements, the depth at its end, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.depth = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.depth += tag not in ("meta", "link", "br")
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "style")]

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_nothing_is_fetched_or_run(page: Page) -> None:
    text = page(ROWS).read_text(encoding="utf-8")
    elements = Elements(text)
    assert "script" not in elements.tags
    assert elements.depth == 0
    [style] = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    [policy] = re.findall('Content-Security-Policy" content="(.*?)"', text)
    assert f"style-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; script-src ;")


def test_the_same_rows_give_the_same_page(page: Page) -> None:
    assert page(ROWS).read_bytes() == page(ROWS).read_bytes()


def test_hostile_text_is_text(page: Page) -> None:
    plain = set(Elements(page(ROWS).read_text(encoding="utf-8")).tags)
    parts = {HOSTILE: {"score": 1.0, "status": "correct", "reason": HOSTILE, "extracted": HOSTILE, "parts": {}}}
    rows = [
        {**each, "id": f"{HOSTILE}{each['id']}", "prompt": HOSTILE, "answer": HOSTILE, "reason": HOSTILE,
         "extracted": HOSTILE, "detail": HOSTILE, "parts": parts, "completion": each["completion"] + HOSTILE}
        for each in ROWS
    ]  # fmt: skip
    text = page(rows, "a<b>&.jsonl").read_text(encoding="utf-8")
    elements = Elements(text)
    assert set(elements.tags) == plain
    assert elements.depth == 0
    assert HOSTILE in elements.texts
    assert "Audit of a<b>&.jsonl" in elements.texts


def test_what_a_page_cannot_hold_is_shown_as_a_sign(page: Page) -> None:
    rows = [row("p\x00\ud800", 0, True, completion="\\boxed{4}\x00\x1b[2J\ud800\u202e\r\n\tx")]
    text = page(rows).read_text(encoding="utf-8")
    assert "\\boxed{4}\u2400\u241b[2J\ufffd\ufffd\u240d\n\tx" in text
    assert not re.search("[\x00\x1b\r\ud800-\udfff\u202e]", text)


def test_a_text_of_a_megabyte_is_cut(page: Page) -> None:
    long = "start " + "x" * 1_000_000 + " \\boxed{4}"
    rows = [*ROWS, row("long", 0, True, completion=long, finish_reason="length", prompt="y" * 1_000_000)]
    text = page(rows).read_text(encoding="utf-8")
    assert len(text) < 200_000
    assert f"{len(long) - HEAD - TAIL:,} characters are left out here" in text
    assert "start xxx" in text
    assert "xxx \\boxed{4}" in text


def test_no_finding_is_a_page_too(page: Page) -> None:
    text = page([row("p", 0, False), row("p", 1, True, completion="We add two and two = 4 and so \\boxed{4}")])
    assert "Nothing suspicious in" in text.read_text(encoding="utf-8")


Open = Callable[..., Any]


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1300])
def test_it_fits_and_opens(opened: Open, page: Page, scheme: str, width: int) -> None:
    rows = [{**each, "step": i} for i in range(5) for each in ROWS]
    rows += [row("wide", 0, True, completion="\\boxed{4}" + "w" * 40, prompt="z" * 5_000)]
    shown = opened(page(rows), ready="main", color_scheme=scheme, viewport={"width": width, "height": 800})
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.inner_text(".verdict").endswith("checks.")
    assert shown.locator("svg[role=img]").count() >= 5
    shown.click("#bare summary >> nth=0")
    assert "\\boxed{4}" in shown.inner_text("#bare details >> nth=0")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    levels = shown.locator(".overview .level").all_inner_texts()
    assert levels == sorted(levels, key=["serious", "look", "fine"].index)
    shown.click(".overview a >> nth=0")
    assert shown.url.rpartition("#")[2] in shown.evaluate("[...document.querySelectorAll('article')].map((a) => a.id)")


@pytest.mark.browser
def test_hostile_text_does_nothing_in_a_browser(opened: Open, page: Page) -> None:
    rows = [
        {**each, "prompt": HOSTILE, "completion": f"\\boxed{{4}} {HOSTILE}\x00", "finish_reason": "length"}
        for each in ROWS
    ]
    shown = opened(page(rows), ready="main")
    assert shown.locator("main script, main img").count() == 0
    shown.click("details summary >> nth=0")
    assert HOSTILE in shown.inner_text("details >> nth=0")
