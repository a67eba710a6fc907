"""`index.html` of a prediction in a browser: filter, toggles, pictures, at two widths."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.report.page.prediction import Shown, render_prediction
from rdvar_jax.report.prediction_files import ImageResult

pytestmark = pytest.mark.browser

# Worst first; of odd names, whose files must be found, and of odd shapes.
NAMES = [
    "a b/#1?x=%41&y.png",
    '"><script>document.title="hacked"</script>.png',
    "ü猫/" + "long" * 40 + ".png",
    "\udcff\n.png",
    "e.png",
    "f.png",
]
NUM_DEFECTIVE = 2
SIZES = [(320, 320), (320, 12), (12, 320), (320, 200), (320, 200), (320, 200)]


@dataclass(frozen=True)
class Output:
    page: Path
    unlabelled: Path
    all_good: Path


def save(path: Path, size: tuple[int, int], colour: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size[::-1], 3), colour, np.uint8)
    Image.fromarray(pixels).save(path, "JPEG")


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Output:
    folder = tmp_path_factory.mktemp("verdicts #1 ü")
    images, unlabelled, good = [], [], []
    for index, (name, size) in enumerate(zip(NAMES, SIZES, strict=True)):
        safe = name.replace("/script", "_script")  # a slash would be a folder's
        score = 1 - index / 10
        verdict = "defective" if index < NUM_DEFECTIVE else "good"
        files = [f"thumbnails/{kind}/{safe}.jpg" for kind in ("heat", "plain")]
        files.append(f"overlays/{safe}")
        for file, colour in zip(files, (200, 90, 30), strict=True):
            save(folder / file, size, colour)
        row = {"score": score, "threshold": 0.85, "num_regions": index}
        images.append(Shown(ImageResult(name, verdict=verdict, **row), *files))
        unlabelled.append(Shown(ImageResult(name, score), *files))
        good.append(Shown(ImageResult(name, verdict="good", **row), *files))
    words = "Chosen from the scores of 59 good images."
    skipped = [("bad.png", "/" + "very/" * 60 + "bad.png is damaged")]
    pages = {
        "index.html": (images, skipped, "Run W, step 7", "new", 0.85, words),
        "unlabelled.html": (unlabelled, [], "Bundle part.rdvar", "n" * 200, None, words),
        "good.html": (good, [], "Run W", "new", 2.0, words),
    }
    for name, given in pages.items():
        (folder / name).write_text(render_prediction(*given), encoding="utf-8")
    return Output(*(folder / name for name in pages))


def visible(page, selector: str) -> int:
    return sum(one.is_visible() for one in page.locator(selector).all())


def scroll_through(page) -> None:
    """Has every picture seen, so that it is loaded."""
    for figure in page.locator("figure").all():
        if figure.is_visible():
            figure.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390, 320])
@pytest.mark.parametrize("name", ["page", "unlabelled"])
def test_it_fits_the_window(open_page, too_wide, output, name, width, color_scheme):
    page = open_page(getattr(output, name), width, color_scheme=color_scheme)
    for summary in page.locator("summary").all():
        summary.click()
    scroll_through(page)
    assert too_wide(page) == []
    columns = page.evaluate(
        "getComputedStyle(document.querySelector('.shots')).gridTemplateColumns.split(' ').length"
    )
    assert columns == {1280: 5, 390: 2, 320: 1}[width]


@pytest.mark.parametrize("name", ["page", "unlabelled"])
def test_every_picture_is_found_and_names_are_text(open_page, output, name):
    page = open_page(getattr(output, name))
    assert "hacked" not in page.title()
    for kind in ("heat", "plain"):
        scroll_through(page)
        sizes = page.locator(f"img.{kind}").evaluate_all(
            "all => all.map(i => [i.naturalWidth, i.naturalHeight])"
        )
        assert [tuple(size) for size in sizes] == SIZES
        page.locator("button[data-heat=all]").click()
    boxes = [one.bounding_box() for one in page.locator(".thumb").all()]
    assert all(box["width"] == pytest.approx(box["height"], abs=1) for box in boxes)
    names = page.locator("figure .name").all_inner_texts()
    assert names[1] == NAMES[1] and names[3] == "??.png"


def test_pictures_link_to_the_overlays(open_page, output):
    page = open_page(output.page)
    page.locator("a.thumb").first.click()
    page.wait_for_load_state()
    assert "overlays/a%20b/%231%3Fx%3D%2541%26y.png" in page.url
    assert page.evaluate("document.images[0].naturalWidth") == 320


def test_the_filter_shows_one_verdict(open_page, output):
    page = open_page(output.page)
    buttons = {
        word: page.get_by_role("button", name=f"{word} {number}", exact=True)
        for word, number in (("All", 6), ("Defective", 2), ("Good", 4))
    }
    assert visible(page, "figure") == 6
    for word, number in (("Defective", 2), ("Good", 4), ("All", 6), ("Good", 4)):
        buttons[word].click()
        assert visible(page, "figure") == number
        if word != "All":
            assert visible(page, f"figure[data-verdict={word.lower()}]") == number
        for other, button in buttons.items():
            assert button.get_attribute("aria-pressed") == str(other == word).lower()
    assert not page.locator(".none").is_visible()


def test_an_empty_filter_says_so(open_page, output):
    page = open_page(output.all_good)
    assert not page.locator(".none").is_visible()
    page.get_by_role("button", name="Defective 0", exact=True).click()
    assert visible(page, "figure") == 0
    assert page.locator(".none").inner_text() == "There is no such image."
    page.get_by_role("button", name="All 6", exact=True).click()
    assert visible(page, "figure") == 6 and not page.locator(".none").is_visible()


def test_heat_is_hidden_in_one_picture_or_in_all(open_page, output):
    page = open_page(output.page)
    one = page.locator("figure").nth(1).get_by_role("button", name="Heat")
    everywhere = page.locator(".shots-bar").get_by_role("button", name="Heat")
    assert (visible(page, "img.heat"), visible(page, "img.plain")) == (6, 0)
    one.click()
    assert (visible(page, "img.heat"), visible(page, "img.plain")) == (5, 1)
    assert page.locator("figure").nth(1).locator("img.plain").is_visible()
    assert one.get_attribute("aria-pressed") == "false"
    everywhere.focus()
    page.keyboard.press("Enter")
    assert (visible(page, "img.heat"), visible(page, "img.plain")) == (0, 6)
    page.keyboard.press("Space")
    assert (visible(page, "img.heat"), visible(page, "img.plain")) == (6, 0)
    assert one.get_attribute("aria-pressed") == "true"


def test_without_scripts_all_is_shown_and_nothing_does_nothing(open_page, output):
    page = open_page(output.page, java_script_enabled=False)
    assert page.locator("figure").count() == 6
    assert not any(button.is_visible() for button in page.locator("button").all())
