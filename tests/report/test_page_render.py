"""The report page as text: complete, safe, and correct for incomplete sets."""

import html.parser
import re
import xml.etree.ElementTree
from dataclasses import replace

import numpy as np
import pytest
from page_sample import LONG, MEAN, NASTY, sample_page, untested_page

from rdvar_jax.report.page import histogram, plots
from rdvar_jax.report.page.histogram import score_histogram
from rdvar_jax.report.page.plots import COLORS, roc_plot
from rdvar_jax.report.page.render import render_page

# Drawing the plots takes most of a page's time.
undrawn = pytest.mark.usefixtures("plots_not_drawn")

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


@pytest.fixture
def plots_not_drawn(monkeypatch):
    """Leaves each plot of the page empty."""
    for module in (histogram, plots):
        monkeypatch.setattr(module, "to_svg", lambda *args, **options: "<svg></svg>")


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
        "5 of 6 defects found, 1 missed",
        "1 of 6 good images falsely alarmed",
        "Oracle",
    ):
        assert said in words(page)
    assert len(page.all("svg")) == 5  # histogram, ROC, PRO, two losses


@undrawn
def test_nothing_comes_from_elsewhere():
    page = Reader(render_page(**sample_page()))
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert re.match("(data:|#)", attributes.get(name) or "#")
    policy = page.all("meta")[2]["content"]
    assert policy.startswith("default-src 'none'")


@undrawn
def test_every_name_is_there_once_and_every_picture_has_words():
    page = Reader(render_page(**sample_page()))
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    links = [a["href"][1:] for a in page.all("a")]
    labels = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    assert links and set(links) | set(labels) <= set(names)
    assert all(image["alt"] for image in page.all("img"))
    assert all(a["aria-label"] for _, a in page.elements if a.get("role") == "img")


@undrawn
def test_verdicts_lead_and_metrics_follow():
    page = words(Reader(render_page(**sample_page())))
    verdicts, metrics = page.index("5 of 6 defects found"), page.index("Image AUROC")
    assert verdicts < metrics < page.index("Scores and threshold")
    assert "cut3 2 found 1 missed good6 1 false alarm 5 passed" in page


@undrawn
@pytest.mark.parametrize(
    ("lacks", "said", "num_plots"),
    [
        ({"masked": False}, ["No pixel metrics, since the reason."], 4),
        (
            {"defective": False},
            ["1 of 12 good images falsely alarmed", "There are no defective ones", "/test"],
            3,
        ),
        ({"good": False}, ["10 of 12 defects found, 2 missed", "There are no good ones"], 3),
        ({"labelled": False}, ["6 of 12 images called defective", "Without labels"], 3),
        (
            {"threshold": None},
            ["No threshold yet", "rdvar threshold --workdir '/x/a run' --input", "at best"],
            5,
        ),
        ({"threshold": None, "labelled": False}, ["No threshold yet", "Without labels"], 3),
    ],
)
def test_what_a_set_lacks_is_said(lacks, said, num_plots):
    page = Reader(render_page(**sample_page(**lacks)))
    for sentence in said:
        assert sentence in words(page)
    assert "undefined" not in page.text and "None" not in page.text
    assert len(page.all("svg")) == num_plots
    layers = {button["data-layer"] for button in page.all("button")}
    has_outlines = not lacks.keys() & {"masked", "labelled", "defective"}
    assert layers == ({"heat", "outline"} if has_outlines else {"heat"})


@undrawn
def test_without_a_threshold_the_oracle_is_called_an_upper_bound():
    page = words(Reader(render_page(**sample_page(threshold=None))))
    bound = page.index("Upper bound")
    assert page.index("No threshold yet") < bound < page.index("5 of 6 defects found")
    assert "chosen with the labels of these same images" in page
    stale = render_page(**sample_page(threshold=None), threshold_is_stale=True)
    assert "of another saved state" in words(Reader(stale)) and "of another saved" not in page


@undrawn
def test_a_run_that_was_not_tested():
    page = words(Reader(render_page(**untested_page())))
    for said in (
        "Not tested yet",
        "/x/data/part/test",
        "rdvar evaluate --workdir '/x/a run'",
        "rdvar threshold --workdir",
        "L_model",
        "data.image_size",
    ):
        assert said in page
    for not_said in ("AUROC", "Worst images", "None", "Tested on"):
        assert not_said not in page
    page = words(Reader(render_page(**untested_page({**MEAN, "threshold": 0.5}))))
    assert "above 0.5." in page and "On average 4.62 %" in page and "--input" not in page
    steps = replace(untested_page()["next_steps"], with_defects="rdvar train P --bad DEFECTS")
    page = words(Reader(render_page(**untested_page() | {"next_steps": steps})))
    assert "rdvar train P --bad DEFECTS" in page and "Nothing is trained again" in page
    sample = untested_page()
    sample["results"] |= dict.fromkeys(("step", "epoch", "checkpoint_sha256"))
    assert "training has not saved one" in words(Reader(render_page(**sample | {"log": []})))


@undrawn
def test_remarks_on_teacher_images_and_labels():
    sample = sample_page()
    sample["evaluation"]["settings"]["teacher.weights"] = "procedural"
    sample["threshold"] |= {"method": "cost", "cost_missed": 10.0}
    sample["results"] |= {
        "good_images": {"kind": "folds", "shifts": [-0.07, -0.03, 0.01]},
        "trained_on": ["a.png"],
        "targets": [
            {"target": 0.01, "threshold": 0.75, "num_found": 3, "num_defective": 7, "num_false": 0}
            | {"num_good": 41}
        ],
    }
    page = words(Reader(render_page(**sample)))
    for said in (
        "Other thresholds",
        "1 %0.75 3 of 70 of 41",
        "For demonstrations only: a teacher trained on drawn images; on real parts it finds",
        "The good images are the training photographs, each scored by a network",
        "It was chosen with labels.",
        "1 of the 12 test images was trained on",
    ):
        assert said in page
    plain = words(Reader(render_page(**sample_page())))
    for said in ("demonstrations", "photographs, each", "with labels.", "trained on, as", "Other"):
        assert said not in plain


@undrawn
def test_a_long_kind_is_whole():
    sample = sample_page()
    for row in sample["rows"]:
        row["defect"] = row["defect"].replace("cut", LONG)
    assert words(Reader(render_page(**sample))).count(LONG) == 2


@undrawn
def test_a_score_equal_to_the_threshold_is_not_counted():
    page = words(Reader(render_page(**sample_page(threshold=0.67))))  # the highest, of a good one
    assert "0 of 6 good images falsely alarmed" in page and "0 of 6 defects found" in page


@undrawn
def test_a_run_without_a_log_and_a_state_chosen_by_an_oracle():
    sample = {**sample_page(), "log": []}
    sample["evaluation"]["settings"]["data.image_size"] = [64, 96]
    sample["results"] |= {"checkpoint": "best", "chosen_by": "oracle_aupro", "epoch": None}
    page = Reader(render_page(**sample))
    assert "no line of a finished epoch" in words(page) and "Images 64 × 96 px" in words(page)
    assert "chosen by oracle_aupro. That uses the labels" in words(page)


def test_plots_take_the_colours_of_the_page_and_are_small():
    scores = np.linspace(0, 1, 200)
    labels = np.arange(200) % 2
    drawn = [
        roc_plot({"images": [[i / 600, i / 600] for i in range(600)], "pixels": None}),
        score_histogram(scores, labels, {"threshold 0.5": 0.5, "oracle 0.6": 0.6}),
        score_histogram(np.full(5, 0.3), None, {}),
    ]
    for plot in drawn:
        assert len(plot) < 60_000
        assert xml.etree.ElementTree.fromstring(plot.replace("xlink:", "")).tag == "svg"
        assert not any(color in plot for color in COLORS)
        # Black is what matplotlib draws where nothing else was said.
        assert not re.search("#000000|: black", plot)
    assert "threshold 0.5" in drawn[1] and "var(--good)" in drawn[1]
