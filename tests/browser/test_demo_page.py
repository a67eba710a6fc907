"""The page that `make demo` ends with."""

import sys
from pathlib import Path

import pytest
from PIL import Image

# The tools are scripts, not part of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from demo import make_page  # noqa: E402

pytestmark = pytest.mark.browser


@pytest.fixture
def demo_page(tmp_path) -> Path:
    names = ("cloth", "nut")
    for name in names:
        figures = tmp_path / "runs" / name / "figures"
        figures.mkdir(parents=True)
        for sheet in ("overview", "worst"):
            Image.new("RGB", (1700, 900), "grey").save(figures / f"{sheet}.png")
    metrics = {"image_auroc": 0.9871, "pixel_auroc": 0.9624, "aupro": 0.8921}
    page = tmp_path / "index.html"
    page.write_text(make_page({name: {"metrics": metrics} for name in names}), encoding="utf-8")
    return page


@pytest.mark.parametrize("width", [1280, 390])
def test_table_and_pictures_fit_the_window(open_page, too_wide, demo_page, width):
    page = open_page(demo_page, width)
    assert page.locator("tbody tr").count() == 3  # two categories and the mean
    widths = page.locator("img").evaluate_all("images => images.map(i => i.naturalWidth)")
    assert widths == [1700] * 4
    assert too_wide(page) == []
