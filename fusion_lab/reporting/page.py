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
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt
from PIL import Image

from fusion_lab.errors import FusionLabError
from fusion_lab.files import write_text
from fusion_lab.reporting.page_scores import (
    MetricColumn,
    ScoredPair,
    count,
    legend,
    pair_table,
    score_data,
    summary_table,
)

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
    shown = [(pair, _scored(pair)) for pair in pairs]
    everything = [scored for _, scored in shown] + list(others)
    headings = dict.fromkeys(_heading(scored) for scored in everything)
    tasks = {heading: [scored for scored in everything if _heading(scored) == heading] for heading in headings}
    links = {id(scored): f"#pair-{n}" for n, (_, scored) in enumerate(shown)}
    images = _Images()
    sections, task_links = [], []
    for number, heading in enumerate(dict.fromkeys(_heading(scored) for _, scored in shown)):
        own = [(n, pair, scored) for n, (pair, scored) in enumerate(shown) if _heading(scored) == heading]
        some = f"{len(own)} of " if len(own) < len(tasks[heading]) else ""
        articles = "".join(_article(n, pair, scored, metrics, images) for n, pair, scored in own)
        task_links.append(f'<a href="#task-{number}">{escape(heading)}</a>')
        sections.append(
            f'<section id="task-{number}"><h2>{escape(heading)} <small>{some}{count(len(tasks[heading]))}</small></h2>'
            f"{articles}</section>"
        )
    style, script = _part("page.css"), _part("page.js")
    page = Template(_part("page.html")).substitute(
        title=escape(title),
        intro="".join(f"<p>{escape(paragraph)}</p>" for paragraph in intro.split("\n\n") if paragraph.strip()),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        summary=summary_table(tasks, metrics),
        legend=legend(metrics),
        links="".join(task_links),
        sections="".join(sections),
        data=score_data(tasks, metrics, links),
        footer=f"{images.number} images are inside this file, {images.size / 1e6:.1f} MB, without loss.",
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


def _part(name: str) -> str:
    return (files("fusion_lab.reporting") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Name a style or script for the Content-Security-Policy, which lets no other one run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _heading(pair: ScoredPair) -> str:
    return TASK_NAMES.get(pair.task, pair.task)


def _scored(pair: ReportPair) -> ScoredPair:
    return ScoredPair(pair.name, pair.task, {result.method: result.scores for result in pair.fused})


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


def _article(
    number: int, pair: ReportPair, scored: ScoredPair, metrics: Sequence[MetricColumn], images: _Images
) -> str:
    figures = [_figure(pair, *role, images) for role in _roles(pair)]
    rows = math.ceil(len(figures) / _MOST_COLUMNS)
    height, width = pair.source_a.shape[:2]
    return (
        f'<article class="pair" id="pair-{number}"><h3>{escape(pair.name)} <small>{width} × {height}</small></h3>'
        f'<div class="images columns-{math.ceil(len(figures) / rows)}">{"".join(figures)}</div>'
        f"{pair_table(scored, metrics)}</article>"
    )


def _figure(pair: ReportPair, name: str, image: ImageArray, role: str, images: _Images) -> str:
    height, width = image.shape[:2]
    description = escape(f"{name}{', fused image' if role == 'fused' else ''} of {pair.name}")
    return (
        f'<figure class="{role}"><div class="view" tabindex="0" role="group" aria-describedby="keys" '
        f'aria-label="{description}, can be zoomed">'
        f'<img src="{images.data_uri(image)}" width="{width}" height="{height}" alt="{description}" '
        f'decoding="async" draggable="false"></div><figcaption>{escape(name)}</figcaption></figure>'
    )
