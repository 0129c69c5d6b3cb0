"""Pages in a real Chromium, for every test that is marked `browser`."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Open = Callable[..., Any]


def missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI must not skip the browser tests")
    pytest.skip(f"{what} is missing: the report is not opened in a browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return missing("the Python package playwright")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        return missing("Chromium")
    flags = "no-sandbox disable-gpu disable-background-networking disable-component-update disable-sync no-first-run"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=[f"--{flag}" for flag in flags.split()])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    """Opens a page; afterwards there must have been no message in its console, no error and no request to a network."""
    contexts: list[Any] = []
    seen: list[str] = []

    def request(r: Any) -> None:
        if not r.url.startswith(("file:", "data:", "blob:")):
            seen.append(r.url)

    def go(path: Path, hash: str = "", ready: str = "html[data-ready]", **options: Any) -> Any:
        contexts.append(browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **options}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("dialog", lambda dialog: (seen.append("a dialog opened"), dialog.dismiss()))
        page.on("request", request)
        page.goto(path.as_uri() + hash)
        page.wait_for_selector(ready, state="attached")
        return page

    yield go
    for context in contexts:
        context.close()
    assert seen == []
