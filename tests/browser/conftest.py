"""Pages in headless Chromium, as their readers meet them."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from served import bundle, detector, make_bundle, parts, pictures  # noqa: F401

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# As root Chromium starts only without its sandbox. The rest keeps it from calling home.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A playwright Browser: the Chromium that is on PATH."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs make test-browser")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on PATH (tests/README.md)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium) -> Iterator[Callable[..., Any]]:
    """`open_page(path, width=1280, **options)` gives the file's playwright Page.

    `options` are those of playwright's `Browser.new_page`, such as `color_scheme="dark"`. The test
    fails in the end where a page asked for anything but local files and data of its own, or where
    its console has an error or a warning.
    """
    pages, problems = [], []

    def note_request(request) -> None:
        if not re.match("(file|data|blob):", request.url):
            problems.append(f"asked for {request.url}")

    def note_message(message) -> None:
        if message.type in ("error", "warning"):
            problems.append(f"console {message.type}: {message.text}")

    def open_(path: Path, width: int = 1280, **options):
        page = chromium.new_page(viewport={"width": width, "height": 844}, **options)
        pages.append(page)
        page.on("request", note_request)
        page.on("console", note_message)
        page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        page.goto(path.resolve().as_uri())
        return page

    yield open_
    for page in pages:
        page.close()
    assert not problems


@pytest.fixture
def too_wide() -> Callable[[Any], list[str]]:
    """`too_wide(page)`: the elements that make a reader scroll sideways, outermost first.

    What scrolls in a box of its own does not count.
    """
    script = """() => {
      const boxed = e => e.parentElement && (
        getComputedStyle(e.parentElement).overflowX !== "visible" || boxed(e.parentElement));
      const width = document.documentElement.clientWidth;
      return [...document.body.querySelectorAll("*")]
        .filter(e => e.getBoundingClientRect().right > width + 0.5 && !boxed(e))
        .map(e => e.tagName + (e.className ? "." + e.className : ""));
    }"""

    def too_wide_(page) -> list[str]:
        found = page.evaluate(script)
        scrolls = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return found or (["the page"] if page.evaluate(scrolls) else [])

    return too_wide_
