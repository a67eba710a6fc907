"""The report page as text: complete, safe, and correct for incomplete sets."""

import html.parser
import re
import xml.etree.ElementTree

import numpy as np
import pytest
from page_sample import NASTY, sample_page

from rdvar_jax.report.page.plots import COLORS, roc_plot, score_histogram
from rdvar_jax.report.page.render import render_page

VOID = {"meta", "link", "img", "br"}


class Reader(html.parser.HTMLParser):
    """Elements with their attributes, and the text of the page; fails at a wrong end tag."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def words(reader: Reader) -> str:
    return " ".join(reader.text.split())


def test_the_page_is_whole_and_names_are_only_text():
    text = render_page(**sample_page())
    page = Reader(text)
    assert len(page.all("script")) == 1 and "<script>alert" not in text
    assert NASTY in page.text and f"test/{NASTY}/010.png" in page.text
    assert f"Test image test/{NASTY}/010.png" in [image["alt"] for image in page.all("img")]
    for said in (
        "0.861",
        "0.978",
        "0.912",
        "5 of 6 defective found",
        "1 of 6 good called",
        "Oracle",
    ):
        assert said in words(page)
    assert len(page.all("svg")) == 5  # histogram, ROC, PRO, two losses


def test_nothing_comes_from_elsewhere():
    page = Reader(render_page(**sample_page()))
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert re.match("(data:|#)", attributes.get(name) or "#")
    policy = page.all("meta")[2]["content"]
    assert policy.startswith("default-src 'none'")


def test_every_name_is_there_once_and_every_picture_has_words():
    page = Reader(render_page(**sample_page()))
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    links = [a["href"][1:] for a in page.all("a")]
    labels = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    assert links and set(links) | set(labels) <= set(names)
    assert all(image["alt"] for image in page.all("img"))
    assert all(a["aria-label"] for _, a in page.elements if a.get("role") == "img")


@pytest.mark.parametrize(
    ("lacks", "said", "num_plots"),
    [
        ({"masked": False}, "Pixel metrics are undefined: the reason.", 4),
        ({"defective": False}, "There are no curves", 3),
        ({"labelled": False}, "The images have no labels", 3),
        ({"threshold": None}, "None chosen yet", 5),
    ],
)
def test_what_a_set_lacks_is_said(lacks, said, num_plots):
    page = Reader(render_page(**sample_page(**lacks)))
    assert said in words(page)
    assert len(page.all("svg")) == num_plots
    layers = {button["data-layer"] for button in page.all("button")}
    assert layers == ({"heat", "outline"} if "threshold" in lacks else {"heat"})


def test_a_score_equal_to_the_threshold_is_not_counted():
    page = words(Reader(render_page(**sample_page(threshold=0.67))))  # the highest, of a good one
    assert "0 of 6 good called" in page and "0 of 6 defective found" in page


def test_a_run_without_a_log_and_a_state_chosen_by_an_oracle():
    sample = {**sample_page(), "log": []}
    sample["evaluation"]["settings"]["data.image_size"] = [64, 96]
    sample["results"] |= {"checkpoint": "best", "chosen_by": "oracle_aupro", "epoch": None}
    page = Reader(render_page(**sample))
    assert "Nothing was logged" in words(page) and "Images 64 × 96 px" in words(page)
    assert "chosen by oracle_aupro. That uses the labels" in words(page)


def test_plots_take_the_colours_of_the_page_and_are_small():
    scores = np.linspace(0, 1, 200)
    labels = np.arange(200) % 2
    plots = [
        roc_plot({"images": [[i / 600, i / 600] for i in range(600)], "pixels": None}),
        score_histogram(scores, labels, {"threshold 0.5": 0.5, "oracle 0.6": 0.6}),
        score_histogram(np.full(5, 0.3), None, {}),
    ]
    for plot in plots:
        assert len(plot) < 60_000
        assert xml.etree.ElementTree.fromstring(plot.replace("xlink:", "")).tag == "svg"
        assert not any(color in plot for color in COLORS)
        # Black is what matplotlib draws where nothing else was said.
        assert not re.search("#000000|: black", plot)
    assert "threshold 0.5" in plots[1] and "var(--good)" in plots[1]
