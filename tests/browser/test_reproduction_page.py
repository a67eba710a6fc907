"""The page that `tools/reproduce.py` ends with."""

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
# The tools are scripts, not part of the package.
sys.path[:0] = [str(TESTS.parent / "tools"), str(TESTS / "tools" / "reproduction")]

from made_up import CATEGORIES, write_all  # noqa: E402
from reproduction.experiments import EXPERIMENTS  # noqa: E402

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def results_page(tmp_path_factory) -> Path:
    return write_all(tmp_path_factory.mktemp("results"))


@pytest.mark.parametrize("width", [1280, 390])
def test_all_experiments_can_be_read(open_page, too_wide, results_page, width):
    page = open_page(results_page, width)
    ids = page.locator("section").evaluate_all("parts => parts.map(p => p.id)")
    assert ids == list(EXPERIMENTS)
    pictures = page.locator("img")
    # Two for each table and figure, but none for Table II and one a category for Fig. 3.
    assert pictures.count() == 2 * 8 + 1 + len(CATEGORIES)
    assert all(pictures.evaluate_all("images => images.map(i => i.naturalWidth > 100)"))
    # Wide tables scroll by themselves.
    assert too_wide(page) == []
    table = page.locator("#table1 .table").first
    assert table.is_visible() and "RD + L_var" in table.inner_text()


def test_links_lead_to_the_parts(open_page, results_page):
    page = open_page(results_page, reduced_motion="reduce")  # else it still scrolls when measured
    page.locator("ol a").nth(3).click()
    assert page.url.endswith("#table4")
    top = page.locator("#table4 h2").bounding_box()["y"]
    assert 0 <= top < 20
