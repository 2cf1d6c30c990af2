"""One HTML file that shows image pairs, what each method made of them, and the scores.

The file needs nothing else: images, styles and script are inside, so it can be mailed, archived and
opened from disk. Each image is inside once, as PNG.
"""

import base64
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, Template
from PIL import Image

from fusion_lab.errors import FusionLabError
from fusion_lab.files import write_text
from fusion_lab.reporting.page_scores import MetricColumn, ScoredPair, marked_rows, mean_scores

ImageArray = npt.NDArray[np.uint8]
"""An image to show: ``(H, W)`` grey or ``(H, W, 3)`` RGB, uint8."""

TASK_NAMES = {
    "ivf": "Infrared and visible",
    "mff": "Multi-focus",
    "mef": "Multi-exposure",
    "mif": "Medical",
    "nir": "Near infrared and visible",
    "pan": "Pansharpening",
}
"""Headings; a task that is not listed is its own heading."""

_MOST_COLUMNS = 4


@dataclass(frozen=True)
class FusedImage:
    """What one method made of a pair."""

    method: str
    image: ImageArray
    scores: Mapping[str, float] = field(default_factory=dict)
    """Value by `MetricColumn.label`; missing and non-finite values are shown as a dash."""


@dataclass(frozen=True)
class ReportPair:
    """One pair of sources and its fused images; all images of a pair have the same height and width."""

    name: str
    task: str
    source_a: ImageArray
    source_b: ImageArray
    fused: list[FusedImage]
    source_a_name: str = "Source A"
    source_b_name: str = "Source B"
    reference: ImageArray | None = None
    """The ideal fused image, where it is known."""

    @property
    def scored(self) -> ScoredPair:
        """The scores of what the methods made of it."""
        return ScoredPair(self.name, self.task, {result.method: result.scores for result in self.fused})


def write_page(
    target: Path,
    title: str,
    intro: str,
    pairs: Sequence[ReportPair],
    metrics: Sequence[MetricColumn],
    others: Sequence[ScoredPair] = (),
) -> None:
    """Write the page.

    Args:
        target: The HTML file; it is never found half-written.
        title: The heading of the page.
        intro: What was done, plain text; an empty line begins a new paragraph.
        pairs: What to show; pairs of a task come together, tasks in order of first appearance.
        metrics: The columns of the tables; the summary averages the pairs that have a finite score.
        others: Pairs that count in the summary and have bars, but whose images are not shown.

    Raises:
        FusionLabError: No pairs, an image that is not uint8 of shape (H, W) or (H, W, 3), images of different
            sizes or a method twice in a pair, or a target that cannot be written.
    """
    if not pairs:
        raise FusionLabError("The report has no image pairs to show: give at least one.")
    for pair in pairs:
        _check(pair)
    # Where those are that are shown.
    linked = [(pair.scored, f"#pair-{number}") for number, pair in enumerate(pairs)] + [(pair, None) for pair in others]
    tasks: dict[str, list[tuple[ScoredPair, str | None]]] = {}
    for scored, link in linked:
        tasks.setdefault(_heading(scored.task), []).append((scored, link))
    images = _Images()
    sections = [
        {
            "heading": heading,
            "number": len(tasks[heading]),
            "articles": [_article(n, pair, images) for n, pair in enumerate(pairs) if _heading(pair.task) == heading],
        }
        for heading in dict.fromkeys(_heading(pair.task) for pair in pairs)
    ]
    page = _template().render(
        title=title,
        intro=[paragraph for paragraph in intro.split("\n\n") if paragraph.strip()],
        style=_part("page.css"),
        script=_part("page.js"),
        hash=_hash,
        metrics=metrics,
        told=[metric for metric in metrics if metric.description],
        marked=partial(marked_rows, metrics=metrics),
        tasks=[
            {"name": heading, "pairs": own, "means": mean_scores(scored for scored, _ in own)}
            for heading, own in tasks.items()
        ],
        sections=sections,
        data=_data(tasks, metrics),
        images=images.number,
        megabytes=images.size / 1e6,
    )
    write_text(target, page)


class _Images:
    """Encodes images without loss and adds up what they take: a JPEG's traces would be taken for the method's doing."""

    number = 0
    size = 0

    def data_uri(self, image: ImageArray) -> str:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        self.number += 1
        self.size += len(buffer.getvalue())
        return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _template() -> Template:
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_part("page.html"))


def _part(name: str) -> str:
    return (files("fusion_lab.reporting") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Name a style or script for the Content-Security-Policy, which lets no other one run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _heading(task: str) -> str:
    return TASK_NAMES.get(task, task)


def _check(pair: ReportPair) -> None:
    methods = [result.method for result in pair.fused]
    if len(set(methods)) < len(methods):
        raise FusionLabError(
            f"Each method may fuse a pair once, but {pair.name} has {', '.join(methods)}: rename one of them."
        )
    size = pair.source_a.shape[:2]
    for name, image, _ in _roles(pair):
        colour_or_grey = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
        if image.dtype != np.uint8 or not colour_or_grey or image.size == 0:
            raise FusionLabError(
                f"The report takes uint8 images of shape (H, W) or (H, W, 3), but {name} of {pair.name} is "
                f"{image.dtype} of shape {image.shape}: convert it first."
            )
        if image.shape[:2] != size:
            raise FusionLabError(
                f"The images of a pair must have one size, but {name} of {pair.name} is {image.shape[:2]} "
                f"and {pair.source_a_name} is {size}: crop or resize them first."
            )


def _roles(pair: ReportPair) -> list[tuple[str, ImageArray, str]]:
    """Return the name, the image and the role of all images of a pair in the order in which they are shown."""
    sources = [(pair.source_a_name, pair.source_a, "source"), (pair.source_b_name, pair.source_b, "source")]
    fused = [(result.method, result.image, "fused") for result in pair.fused]
    reference = [] if pair.reference is None else [("Reference", pair.reference, "reference")]
    return sources + fused + reference


def _article(number: int, pair: ReportPair, images: _Images) -> dict[str, Any]:
    """Return what the page tells of a pair."""
    figures = [{"name": name, "role": role, "address": images.data_uri(image)} for name, image, role in _roles(pair)]
    rows = math.ceil(len(figures) / _MOST_COLUMNS)
    height, width = pair.source_a.shape[:2]
    return {
        "number": number,
        "name": pair.name,
        "width": width,
        "height": height,
        "columns": math.ceil(len(figures) / rows),
        "figures": figures,
        "means": pair.scored.means,
    }


def _data(
    tasks: Mapping[str, Sequence[tuple[ScoredPair, str | None]]], metrics: Sequence[MetricColumn]
) -> dict[str, Any]:
    """Return what the bars are drawn from, as `page.js` reads it."""

    def scores(pair: ScoredPair) -> list[list[Any]]:
        return [[method, [row.get(metric.label) for metric in metrics]] for method, row in pair.means.items()]

    return {
        "metrics": [
            {"label": m.label, "higher": m.higher_is_better, "decimals": m.decimals, "about": m.description}
            for m in metrics
        ],
        "tasks": [
            {
                "name": task,
                "pairs": [{"name": pair.name, "link": link, "scores": scores(pair)} for pair, link in pairs],
            }
            for task, pairs in tasks.items()
        ],
    }
