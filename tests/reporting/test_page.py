"""The report page: one file, nothing from outside, every word escaped, every score in its place."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from fusion_lab.errors import FusionLabError
from fusion_lab.reporting.page import FusedImage, ReportPair, write_page
from fusion_lab.reporting.page_scores import MetricColumn, ScoredPair

NASTY = "<script>alert('&\"$title')</script>"
METRICS = [MetricColumn("EN", True, "Entropy"), MetricColumn("Nabf", False, NASTY, decimals=2)]


class Page(HTMLParser):
    """Collects what the tests ask for and refuses tags that do not match."""

    void = frozenset({"meta", "img", "input", "br", "link"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.cells, self.marks, self.text, self.inner = [], [], [], [], "", []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.void:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")
            self.marks.append(dict(attributes).get("class"))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data
        if self.open and self.open[-1] in {"script", "style"}:
            self.inner.append(data)
        if "script" not in self.open and "style" not in self.open:
            self.text += data

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def images(self):
        """The images that are inside; those of the viewer get theirs from these."""
        return [attributes for attributes in self.of("img") if "src" in attributes]

    @property
    def data(self):
        """What the bars are drawn from."""
        return json.loads(self.inner[1])


def image(seed, shape=(20, 30)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def pair(name="pair", task="ivf", **scores):
    scores = scores or {"TITA": {"EN": 7.1234, "Nabf": 0.1}, "Average": {"EN": 6.5, "Nabf": 0.05}}
    fused = [FusedImage(method, image(seed), values) for seed, (method, values) in enumerate(scores.items())]
    return ReportPair(name, task, image(8, (20, 30, 3)), image(9), fused)


def written(folder, *pairs, title="Report", intro="What was done.", others=()):
    target = folder / "new" / "page.html"
    write_page(target, title, intro, list(pairs), METRICS, others)
    assert list(target.parent.iterdir()) == [target]
    return target.read_text(encoding="utf-8")


def test_nothing_is_fetched_from_outside(tmp_path):
    text = written(tmp_path, pair())
    assert "http://" not in text
    assert "https://" not in text
    assert not re.search(r"@import|url\(", text)
    page = Page(text)
    assert not page.of("link")
    for _, attributes in page.tags:
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
    [policy] = [meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    style, _, script = page.inner
    for text in (style, script):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    # The policy lets no style stand in an attribute, and no event either.
    assert not [name for _, attributes in page.tags for name in attributes if name == "style" or name.startswith("on")]


def test_images_come_back_unchanged(tmp_path):
    shown = pair()
    shown = replace(shown, reference=image(7))
    pictures = Page(written(tmp_path, shown)).images
    expected = [shown.source_a, shown.source_b, *(result.image for result in shown.fused), shown.reference]
    assert len(pictures) == 5
    for picture, array in zip(pictures, expected, strict=True):
        data = picture["src"].removeprefix("data:image/png;base64,")
        assert np.array_equal(np.array(Image.open(io.BytesIO(base64.b64decode(data)))), array)
        assert (int(picture["height"]), int(picture["width"])) == array.shape[:2]
        assert picture["alt"]
    assert len({picture["alt"] for picture in pictures}) == 5


def test_all_text_is_escaped(tmp_path):
    fused = [FusedImage(NASTY, image(0), {"EN": 1.0})]
    nasty = ReportPair(NASTY, NASTY, image(1), image(2), fused, NASTY, NASTY)
    page = Page(written(tmp_path, nasty, title=NASTY, intro=f"{NASTY}\n\n{NASTY}"))
    assert len(page.of("script")) == 2
    assert page.data["tasks"][0]["pairs"][0]["name"] == NASTY
    # Title twice, two paragraphs, legend, link, two task headings, two table rows, pair, three captions.
    assert page.text.count(NASTY) == 14
    assert NASTY in page.images[0]["alt"]


def test_scores_and_means_are_shown_and_the_better_one_is_marked(tmp_path):
    second = pair("second", TITA={"EN": 6.0, "Nabf": 0.3}, Average={"EN": 6.0, "Nabf": 0.11})
    page = Page(written(tmp_path, pair(), second))
    summary, first, last = page.cells[:4], page.cells[4:8], page.cells[8:]
    assert summary == ["6.562", "0.20", "6.250", "0.08"]
    assert first == ["7.123", "0.10", "6.500", "0.05"]
    assert last == ["6.000", "0.30", "6.000", "0.11"]
    assert page.marks == ["best", "second", "second", "best"] * 2 + [None, "second", None, "best"]
    assert page.text.count("↑") == page.text.count("↓") == 3


def test_missing_and_undefined_scores_are_dashes(tmp_path):
    page = Page(written(tmp_path, pair(TITA={"EN": float("nan")}, Average={"EN": 5.0, "Nabf": float("inf")})))
    assert page.cells == ["–", "–", "5.000", "–"] * 2
    assert not {"best", "second"} & set(page.marks)
    assert page.data["tasks"][0]["pairs"][0]["scores"] == [["TITA", [None, None]], ["Average", [5.0, None]]]


def test_tasks_have_headings_and_links(tmp_path):
    page = Page(written(tmp_path, pair(task="mff"), pair(task="ivf"), pair(task="mff"), pair(task="thermal")))
    targets = [section["id"] for section in page.of("section")]
    assert targets == ["summary", "pairs", "task-0", "task-1", "task-2"]
    assert [link["href"] for link in page.of("a")] == [f"#{target}" for target in targets]
    headings = "".join(tag[1] for tag, _ in page.tags if tag in {"h1", "h2", "h3"})
    assert headings == "1222332323"
    assert "Multi-focus 2 pairs" in page.text
    assert "Infrared and visible 1 pair" in page.text
    assert "thermal 1 pair" in page.text


def test_pairs_that_are_not_shown_count(tmp_path):
    scores = {"TITA": {"EN": 5.0, "Nabf": 0.2}, "Average": {"EN": 6.0, "Nabf": 0.1}}
    page = Page(written(tmp_path, pair(), others=[ScoredPair("hidden", "ivf", scores)]))
    assert page.cells[:4] == ["6.062", "0.15", "6.250", "0.08"]
    assert "mean of 2 pairs" in page.text
    assert "Infrared and visible 1 of 2 pairs" in page.text
    [task] = page.data["tasks"]
    assert [(each["name"], each["link"]) for each in task["pairs"]] == [("pair", "#pair-0"), ("hidden", None)]
    assert "hidden" not in page.text


def test_every_image_can_be_reached_with_the_keyboard(tmp_path):
    page = Page(written(tmp_path, pair()))
    views = [attributes for attributes in page.of("div") if attributes.get("class") == "view"]
    # Four images, and the viewer.
    assert len(views) == 5
    assert all(view["tabindex"] == "0" for view in views)
    assert all(view["aria-label"] for view in views[:4])
    identifiers = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {view["aria-describedby"] for view in views} <= identifiers


def test_pairs_without_fused_images_or_metrics(tmp_path):
    write_page(tmp_path / "page.html", "", "", [ReportPair("pair", "ivf", image(0), image(1), [])], [])
    assert len(Page((tmp_path / "page.html").read_text(encoding="utf-8")).images) == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (image(0).astype(np.float32), "uint8"),
        (image(0, (20, 30, 4)), "uint8"),
        (image(0, (0, 30)), "uint8"),
        (image(0, (21, 30)), "one size"),
    ],
)
@pytest.mark.parametrize("role", ["source_b", "fused"])
def test_bad_images_are_refused(tmp_path, bad, message, role):
    images = {"source_b": image(1), "fused": [FusedImage("TITA", image(2))]}
    images[role] = bad if role == "source_b" else [FusedImage("TITA", bad)]
    with pytest.raises(FusionLabError, match=message):
        written(tmp_path, ReportPair("pair", "ivf", image(0), **images))
    assert not (tmp_path / "new").exists()


def test_a_report_without_pairs_or_with_a_method_twice_is_refused(tmp_path):
    with pytest.raises(FusionLabError, match="no image pairs"):
        written(tmp_path)
    twice = ReportPair("pair", "ivf", image(0), image(1), [FusedImage("TITA", image(2))] * 2)
    with pytest.raises(FusionLabError, match="once"):
        written(tmp_path, twice)
