"""The page that `tools/demo.py` ends with."""

import sys
from pathlib import Path

# The tools are scripts, not part of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from demo import last_screen, make_page  # noqa: E402


def test_a_name_is_text_and_its_pictures_are_found():
    metrics = {"image_auroc": 0.9871, "pixel_auroc": 0.9624, "aupro": 0.8921}
    page = make_page({'<b>"nut" #1': {"metrics": metrics}})
    assert "<b>" not in page and "<h2>&lt;b&gt;&#34;nut&#34; #1</h2>" in page
    assert 'src="runs/%3Cb%3E%22nut%22%20%231/figures/overview.png"' in page
    assert page.count("<td>0.987</td>") == 2  # of the category, and the mean


def test_page_and_last_screen_say_that_the_teacher_is_for_demonstrations_only():
    results = {"nut": {"metrics": {"image_auroc": 0.9, "pixel_auroc": 0.9, "aupro": 0.9}}}
    screen = " ".join(last_screen(results, Path("demo/index.html"), 5.0).split())
    for text in (make_page(results), screen):
        assert "for demonstrations only" in text and "0.60" in text and "rdvar weights" in text
    assert "--config resnet18:NAME" in screen
