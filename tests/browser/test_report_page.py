"""The page of `rdvar report` in a browser, on a desktop and on a phone."""

from pathlib import Path

import pytest
from page_sample import LONG, MEAN, NASTY, sample_page, untested_page

from rdvar_jax.report.page.render import NextSteps, render_page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(**sample_page()), encoding="utf-8")
    return path


def long_names() -> dict:
    """A page in which names and paths are long words, and the threshold has folds."""
    sample = sample_page()
    for row in sample["rows"]:
        row["defect"] = row["defect"].replace("cut", LONG)
        row["path"] = f"test/{LONG}{row['path'].replace('/', '_')}"
    sample["results"] |= {"category": LONG, "good_images": {"kind": "folds", "number": 5}}
    sample["aurocs"] = {LONG: 0.9}
    sample["threshold"] = MEAN | {"threshold": 0.5}
    return sample | {
        "next_steps": NextSteps(
            threshold=f"rdvar threshold --workdir /{LONG}",
            evaluate=f"rdvar evaluate --workdir /{LONG}",
            report=f"rdvar report --workdir /{LONG}",
            test_folder=f"/{LONG}/{LONG}",
        )
    }


PAGES = {
    "long names": long_names,
    "long names, no threshold": lambda: long_names() | {"threshold": None},
    "good only": lambda: sample_page(defective=False),
    "defective only": lambda: sample_page(good=False),
    "unlabelled": lambda: sample_page(labelled=False),
    "untested": lambda: untested_page() | {"next_steps": long_names()["next_steps"]},
    "untested, with a threshold": lambda: untested_page(MEAN | {"threshold": 0.5}),
}


@pytest.mark.parametrize("kind", PAGES)
def test_every_page_fits_a_phone_and_a_desktop(open_page, too_wide, tmp_path, kind):
    path = tmp_path / "report.html"
    path.write_text(render_page(**PAGES[kind]()), encoding="utf-8")
    for width in (1280, 390):
        page = open_page(path, width)
        assert too_wide(page) == []
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
        # What scrolls in its box is a table; other boxes show all that they hold.
        clipped = page.evaluate("""() => [...document.querySelectorAll(".card, pre, figcaption")]
            .filter(e => !e.matches(".table") && e.scrollWidth > e.clientWidth + 1)
            .map(e => e.textContent.trim().slice(0, 40))""")
        assert clipped == []


def test_the_first_screen_of_a_phone_has_the_verdicts(open_page, report_file):
    page = open_page(report_file, 390)
    headline = page.locator(".headline").first
    assert headline.inner_text() == "5 of 6 defects found, 1 missed"
    box = headline.bounding_box()
    assert box["y"] + box["height"] < 500
    # All verdicts by kind are seen without scrolling sideways.
    assert page.locator(".lead .table").evaluate("e => e.scrollWidth <= e.clientWidth")


def shown(page, layer: str) -> list[bool]:
    return [picture.is_visible() for picture in page.locator(f"img.{layer}").all()]


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390, 320])
def test_it_fits_the_window_in_both_schemes(open_page, too_wide, report_file, width, color_scheme):
    page = open_page(report_file, width, color_scheme=color_scheme)
    assert page.locator("h1").inner_text() == NASTY
    page.locator("summary").first.click()  # the settings, with long values
    assert too_wide(page) == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in background[4:-1].split(",")) / 3
    assert (brightness > 200) == (color_scheme == "light")


def test_every_picture_and_plot_is_drawn(open_page, report_file):
    page = open_page(report_file)
    sizes = page.locator(".gallery img").evaluate_all("all => all.map(i => i.naturalWidth)")
    assert sizes == [320] * (12 + 12 + 6)
    for plot in page.locator("svg").all():
        box = plot.bounding_box()
        assert box["width"] > 200 and box["height"] > 100


def test_one_button_hides_a_layer_of_one_picture(open_page, report_file):
    page = open_page(report_file)
    button = page.locator(".gallery figure").first.get_by_role("button", name="Heat")
    assert shown(page, "heat") == [True] * 12
    button.click()
    assert shown(page, "heat") == [False] + [True] * 11
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert shown(page, "heat") == [True] * 12
    assert shown(page, "outline") == [True] * 6


def test_the_keyboard_hides_a_layer_of_all_pictures(open_page, report_file):
    page = open_page(report_file)
    button = page.locator(".bar").get_by_role("button", name="All true defects")
    button.focus()
    page.keyboard.press("Space")
    assert shown(page, "outline") == [False] * 6
    assert shown(page, "heat") == [True] * 12
    pressed = page.locator('button[data-layer="outline"]').evaluate_all(
        "all => all.map(b => b.getAttribute('aria-pressed'))"
    )
    assert pressed == ["false"] * 7
    page.keyboard.press("Enter")
    assert shown(page, "outline") == [True] * 6


def test_without_scripts_it_can_be_read_and_has_no_dead_buttons(open_page, report_file):
    page = open_page(report_file, java_script_enabled=False)
    assert page.locator(".gallery figure").first.is_visible()
    assert not any(button.is_visible() for button in page.locator("button").all())
