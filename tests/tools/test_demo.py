"""The page that `tools/demo.py` ends with."""

import sys
from pathlib import Path

# The tools are scripts, not part of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from demo import make_page  # noqa: E402


def test_a_name_is_text_and_its_pictures_are_found():
    metrics = {"image_auroc": 0.9871, "pixel_auroc": 0.9624, "aupro": 0.8921}
    page = make_page({'<b>"nut" #1': {"metrics": metrics}})
    assert "<b>" not in page and "<h2>&lt;b&gt;&#34;nut&#34; #1</h2>" in page
    assert 'src="runs/%3Cb%3E%22nut%22%20%231/figures/overview.png"' in page
    assert page.count("<td>0.987</td>") == 2  # of the category, and the mean
