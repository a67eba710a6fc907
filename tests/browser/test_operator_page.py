"""The operator's page in work, as an operator meets it: images come in, are seen and labelled."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
from running import png, running_with_page

pytestmark = pytest.mark.browser

WAIT = 10_000  # milliseconds until what was sent must be seen


@pytest.fixture(scope="module")
def judged(detector, pictures):
    """PNGs with their verdicts: below and above the threshold."""
    found = detector.predict(pictures)
    files = [png(one) for one in pictures]
    good = [file for file, above in zip(files, found.verdicts, strict=True) if not above]
    defective = [file for file, above in zip(files, found.verdicts, strict=True) if above]
    return good, defective


@pytest.fixture
def station(parts, tmp_path):
    with running_with_page(parts, tmp_path / "feedback") as found:
        yield found


@pytest.fixture
def operator(chromium, station):
    """`operator(width=1280, **options)` opens the page; the test fails where its console errs."""
    pages, problems = [], []

    def open_(width=1280, **options):
        page = chromium.new_page(viewport={"width": width, "height": 844}, **options)
        pages.append(page)
        page.on("console", lambda said: problems.append(said.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request",
            lambda request: (
                problems.append(request.url)
                if not re.match(f"(http://127.0.0.1:{station.port}/|data:)", request.url)
                else None
            ),
        )
        page.goto(f"http://127.0.0.1:{station.port}/")
        page.wait_for_selector("#connection[data-state=connected]", timeout=WAIT)
        return page

    open_.problems = problems
    yield open_
    for page in pages:
        page.close()
    assert not problems


def until(page, condition: str) -> None:
    """Waits until a condition in JavaScript holds; `wait_for_function` is not for pages like this,
    whose policy forbids it to evaluate texts."""
    end = time.monotonic() + WAIT / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def shots(page):
    return page.locator(".shot")


@pytest.mark.parametrize("width", [1280, 390])
def test_images_are_seen_as_they_come(operator, station, judged, too_wide, width):
    good, defective = judged
    page = operator(width)
    until(page, "document.querySelector('#last-verdict').textContent === 'no image yet'")
    for number, (file, word) in enumerate(((good[0], "good"), (defective[0], "defective")), 1):
        station.predict(file)
        until(page, f"document.querySelectorAll('.shot').length === {number}")
        assert page.inner_text("#last-verdict") == word
        assert shots(page).first.locator(".word").inner_text().endswith(word)
    assert (page.inner_text("#num-good"), page.inner_text("#num-defective")) == ("1", "1")
    assert page.locator("#chart circle.good").count() == 1
    assert page.locator("#chart path.defective").count() == 1
    assert "threshold" in page.inner_text("#threshold")
    assert page.locator("#chart line.limit").count() == 1
    # The pictures are there, in both layers.
    for box in ("#heat", "#heat"):
        until(page, "[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        page.click(box)
    assert too_wide(page) == []
    inside = """() => [...document.querySelectorAll('.shot *, #chart *')].every(e =>
      e.getBoundingClientRect().right <= e.closest('.card').getBoundingClientRect().right)"""
    assert page.evaluate(inside)


def test_only_defects_of_the_shift_flash(operator, station, judged):
    good, defective = judged
    station.predict(defective[0])
    page = operator(reduced_motion="no-preference")
    page.wait_for_selector(".shot")
    assert "flash" not in (page.get_attribute("body", "class") or "")  # it came before
    flashed = "document.body.classList.contains('flash')"
    station.predict(good[0])
    until(page, "document.querySelectorAll('.shot').length === 2")
    assert not page.evaluate(flashed)
    station.predict(defective[1])
    until(page, flashed)
    page.check("#only")
    assert page.locator(".shot:visible").count() == 2
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("#new-shift")
    assert page.inner_text("#num-defective") == "0"
    page.reload()
    page.wait_for_selector(".shot")
    assert page.inner_text("#num-defective") == "0" and page.is_checked("#only")
    station.predict(defective[0])
    until(page, "document.querySelector('#num-defective').textContent === '1'")


def test_a_label_lands_in_a_folder_and_stays(operator, station, judged, tmp_path):
    station.predict(judged[1][0])
    page = operator()
    wrong = page.get_by_role("button", name="This was good")
    wrong.click()
    page.wait_for_selector("button[data-label=good][aria-pressed=true]")
    kept = tmp_path / "feedback" / "part"
    assert [path.read_bytes() for path in (kept / "good").iterdir()] == [judged[1][0]]
    page.reload()
    page.wait_for_selector("button[data-label=good][aria-pressed=true]")
    page.get_by_role("button", name="This was defective").click()
    page.wait_for_selector("button[data-label=defective][aria-pressed=true]")
    assert not any((kept / "good").iterdir()) and len(list((kept / "defective").iterdir())) == 1
    # Nothing on the page changes a threshold.
    assert page.locator("input:not([type=checkbox])").count() == 0


def test_a_lost_server_is_said(operator, station, judged):
    station.predict(judged[0][0])
    page = operator()
    page.wait_for_selector(".shot")
    page.route("**/recent*", lambda route: route.abort())
    page.wait_for_selector("#connection[data-state=lost]", timeout=WAIT)
    assert "no connection" in page.inner_text("#connection")
    page.unroute("**/recent*")
    page.wait_for_selector("#connection[data-state=connected]", timeout=WAIT)
    operator.problems[:] = [one for one in operator.problems if "ERR_FAILED" not in one]


def test_colours_are_apart_for_every_kind_of_colour_blindness():
    style = (Path(__file__).parents[2] / "rdvar_jax/server/http/page/page.css").read_text()
    pairs = re.findall(r"--good: (#\w{6}); --defective: (#\w{6})", style)
    assert len(pairs) == 2  # light and dark
    # Machado, Oliveira and Fernandes 2009, severity 1: protanopia, deuteranopia, tritanopia.
    seen = [
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
    ]
    for pair in pairs:
        linear = [
            (np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255) ** 2.2
            for colour in pair
        ]
        for matrix in seen:
            good, defective = (np.clip(matrix @ one, 0, 1) ** (1 / 2.2) for one in linear)
            assert np.abs(good - defective).max() > 0.3
