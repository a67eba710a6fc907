"""The page of `rdvar report` in a browser, on a desktop and on a phone."""

from pathlib import Path

import pytest
from page_sample import NASTY, sample_page

from rdvar_jax.report.page.render import render_page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(**sample_page()), encoding="utf-8")
    return path


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
