"""The text of a prediction's page; tests/browser/test_prediction_page.py opens one."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes

import pytest

from rdvar_jax.report.page.prediction import Shown, render_prediction
from rdvar_jax.report.prediction_files import ImageResult

HOSTILE = (
    '"><script>alert(1)</script>.png',
    "a#b?c%41&d.png",
    "line\nbreak.png",
    "\udcff.png",
    "javascript:alert(1).png",
    "../up.png",
)


class Tags(HTMLParser):
    """Tags with their attributes, and the text of each figure."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.figures: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "figure":
            self._inside = True
            self.figures.append("")

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "figure"

    def handle_data(self, data):
        if self._inside:
            self.figures[-1] += data

    def all(self, tag: str, name: str) -> list[str]:
        return [attrs[name] for found, attrs in self.tags if found == tag and name in attrs]


def shown(path: str, score: float, threshold: float | None = 0.5, full: bool = True) -> Shown:
    verdict = None if threshold is None else "defective" if score > threshold else "good"
    result = ImageResult(path, score, threshold, verdict, None if threshold is None else 2, [])
    heat, plain = f"thumbnails/heat/{path}.jpg", f"thumbnails/plain/{path}.jpg"
    return Shown(result, heat, plain, f"overlays/{path}" if full else None)


def render(images, threshold=0.5, skipped=(), words="Given with --threshold.") -> str:
    return render_prediction(images, skipped, "Run W, step 7", "photos", threshold, words)


def test_the_worst_image_is_first_and_all_is_said():
    images = [shown("a.png", 0.2), shown("b.png", 0.9), shown("c.png", 0.5000001), shown("d", 0.5)]
    page = render(images, skipped=[("bad.png", "bad.png is damaged")])
    tags = Tags(page)
    names = [re.sub(r"\s+", " ", text).split()[0] for text in tags.figures]
    assert names == ["b.png", "c.png", "d", "a.png"]
    verdicts = [re.search("defective|good", text)[0] for text in tags.figures]
    assert verdicts == tags.all("figure", "data-verdict") == ["defective"] * 2 + ["good"] * 2
    assert "0.9 / 0.5" in tags.figures[0] and "2 regions" in tags.figures[0]
    assert "0.5000001 / 0.5" in tags.figures[1]  # never "0.5 / 0.5"
    text = re.sub(r"<[^>]*>|\s+", " ", page)
    for words in ("4 images", "2 defective", "2 good", "1 skipped", "Threshold 0.5"):
        assert words in re.sub(r"\s+", " ", text), words
    assert "Run W, step 7" in page and "Given with --threshold." in page
    assert "bad.png is damaged" in page


def test_without_a_threshold_there_are_no_verdicts_and_no_filter():
    page = render([shown("a.png", 0.2, None)], threshold=None, words="There is no threshold.")
    tags = Tags(page)
    assert tags.all("button", "data-heat") and not tags.all("button", "data-filter")
    assert not tags.all("figure", "data-verdict")
    assert "defective" not in tags.figures[0] and "0.2" in tags.figures[0]
    assert "There is no threshold." in page and "<b>1</b> image<" in page


def test_hostile_names_stay_text_and_lead_to_their_files():
    page = render([shown(name, 0.1) for name in HOSTILE], skipped=[(HOSTILE[0], "<b>x")])
    page.encode("utf-8")
    tags = Tags(page)
    assert len(tags.figures) == len(HOSTILE)
    assert [tag for tag, _ in tags.tags].count("script") == 1
    assert "<b>x" not in page
    links = {unquote_to_bytes(link) for link in tags.all("a", "href")}
    assert links == {f"overlays/{name}".encode("utf-8", "surrogateescape") for name in HOSTILE}
    pictures = {unquote_to_bytes(source) for source in tags.all("img", "src")}
    assert len(pictures) == 2 * len(HOSTILE)
    assert all(source.startswith(b"thumbnails/") for source in pictures)
    assert not any(set('#?"<>\n') & set(link) for link in tags.all("a", "href"))


def test_pictures_are_loaded_when_seen_and_nothing_from_elsewhere():
    page = render([shown(f"{index}.png", index / 100, full=index > 0) for index in range(60)])
    tags = Tags(page)
    lazy = [attrs.get("loading") for tag, attrs in tags.tags if tag == "img"]
    assert lazy == ["lazy"] * 120
    assert len(tags.all("a", "href")) == 59
    assert not re.search(r"https?:", page)
    policy = tags.all("meta", "content")[1]
    assert policy.startswith("default-src 'none'; img-src 'self' file: data:;")


@pytest.mark.slow
def test_thousands_of_images_are_one_page_of_a_few_megabytes():
    page = render([shown(f"folder/{index:05}.png", index / 5000) for index in range(5000)])
    assert Tags(page).figures[0].split()[0] == "folder/04999.png"
    assert len(page) < 8e6
