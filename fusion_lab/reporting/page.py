"""One HTML file that shows image pairs, what each method made of them, and the scores.

The file needs nothing else: images, styles and script are inside, so it can be mailed, archived and
opened from disk.
"""

import base64
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt
from PIL import Image

from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path

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


@dataclass(frozen=True)
class MetricColumn:
    """One column of the score tables."""

    label: str
    """The heading and the key in `FusedImage.scores`, such as ``"EN"``."""
    higher_is_better: bool
    description: str = ""
    """What the label stands for, shown below the summary."""
    decimals: int = 3


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


def write_page(target: Path, title: str, intro: str, pairs: list[ReportPair], metrics: list[MetricColumn]) -> None:
    """Write the page.

    Args:
        target: The HTML file; it is never found half-written.
        title: The heading of the page.
        intro: What was done, plain text; an empty line begins a new paragraph.
        pairs: What to show; pairs of a task come together, tasks in order of first appearance.
        metrics: The columns of the tables; the summary averages the pairs that have a finite score.

    Raises:
        FusionLabError: No pairs, an image that is not uint8 of shape (H, W) or (H, W, 3), images of different
            sizes or a method twice in a pair, or a target that cannot be written.
    """
    if not pairs:
        raise FusionLabError("The report has no image pairs to show: give at least one.")
    for pair in pairs:
        _check(pair)
    tasks = {task: [pair for pair in pairs if pair.task == task] for task in dict.fromkeys(p.task for p in pairs)}
    template = Template((files("fusion_lab.reporting") / "page.html").read_text(encoding="utf-8"))
    page = template.substitute(
        title=escape(title),
        intro="".join(f"<p>{escape(paragraph)}</p>" for paragraph in intro.split("\n\n") if paragraph.strip()),
        summary=_summary(tasks, metrics),
        legend=_legend(metrics),
        links="".join(f'<a href="#task-{n}">{_task_name(task)}</a>' for n, task in enumerate(tasks)),
        sections="".join(_section(n, task, tasks[task], metrics) for n, task in enumerate(tasks)),
    )
    with atomic_path(target) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _check(pair: ReportPair) -> None:
    methods = [result.method for result in pair.fused]
    if len(set(methods)) < len(methods):
        raise FusionLabError(
            f"Each method may fuse a pair once, but {pair.name} has {', '.join(methods)}: rename one of them."
        )
    size = pair.source_a.shape[:2]
    images = [(pair.source_a_name, pair.source_a), (pair.source_b_name, pair.source_b)]
    for name, image in images + [(result.method, result.image) for result in pair.fused]:
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


def _task_name(task: str) -> str:
    return escape(TASK_NAMES.get(task, task))


def _count(pairs: list[ReportPair]) -> str:
    return f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''}"


def _mean_scores(fused: Iterable[FusedImage]) -> dict[str, dict[str, float]]:
    """Average each method's finite scores: ``{method: {label: mean}}``."""
    collected: dict[str, dict[str, list[float]]] = {}
    for result in fused:
        columns = collected.setdefault(result.method, {})
        for label, value in result.scores.items():
            if math.isfinite(value):
                columns.setdefault(label, []).append(value)
    return {
        method: {label: sum(values) / len(values) for label, values in columns.items()}
        for method, columns in collected.items()
    }


def _head(metrics: list[MetricColumn]) -> str:
    cells = []
    for metric in metrics:
        arrow, direction = ("↑", "higher") if metric.higher_is_better else ("↓", "lower")
        hint = escape(f"{metric.description or metric.label}: {direction} is better")
        cells.append(
            f'<th scope="col" title="{hint}">{escape(metric.label)}'
            f'<span class="arrow" aria-hidden="true">{arrow}</span>'
            f'<span class="unseen">, {direction} is better</span></th>'
        )
    return f'<thead><tr><th scope="col">Method</th>{"".join(cells)}</tr></thead>'


def _rows(scores: dict[str, dict[str, float]], metrics: list[MetricColumn]) -> str:
    """Make a row for each method; the best of each column, as it is printed, is marked."""
    best = {}
    for metric in metrics:
        printed = [round(row[metric.label], metric.decimals) for row in scores.values() if metric.label in row]
        if len(printed) > 1 and min(printed) < max(printed):
            best[metric.label] = max(printed) if metric.higher_is_better else min(printed)
    rows = []
    for method, row in scores.items():
        cells = []
        for metric in metrics:
            value = row.get(metric.label)
            if value is None:
                cells.append('<td class="none">–</td>')
            elif round(value, metric.decimals) == best.get(metric.label):
                cells.append(f'<td class="best">{value:.{metric.decimals}f}<span class="unseen"> best</span></td>')
            else:
                cells.append(f"<td>{value:.{metric.decimals}f}</td>")
        rows.append(f'<tr><th scope="row">{escape(method)}</th>{"".join(cells)}</tr>')
    return "".join(rows)


def _summary(tasks: dict[str, list[ReportPair]], metrics: list[MetricColumn]) -> str:
    bodies = []
    for task, pairs in tasks.items():
        rows = _rows(_mean_scores(result for pair in pairs for result in pair.fused), metrics)
        bodies.append(
            f'<tbody><tr class="task"><th scope="rowgroup" colspan="{len(metrics) + 1}">{_task_name(task)} '
            f"<small>mean of {_count(pairs)}</small></th></tr>{rows}</tbody>"
        )
    return f"<table>{_head(metrics)}{''.join(bodies)}</table>"


def _legend(metrics: list[MetricColumn]) -> str:
    entries = "".join(
        f"<div><dt>{escape(metric.label)}</dt><dd>{escape(metric.description)}</dd></div>"
        for metric in metrics
        if metric.description
    )
    return f"<dl>{entries}</dl>" if entries else ""


def _section(number: int, task: str, pairs: list[ReportPair], metrics: list[MetricColumn]) -> str:
    return (
        f'<section id="task-{number}"><h2>{_task_name(task)} <small>{_count(pairs)}</small></h2>'
        f"{''.join(_article(pair, metrics) for pair in pairs)}</section>"
    )


def _article(pair: ReportPair, metrics: list[MetricColumn]) -> str:
    figures = [
        _figure(pair, pair.source_a_name, pair.source_a, "source"),
        _figure(pair, pair.source_b_name, pair.source_b, "source"),
        *(_figure(pair, result.method, result.image, "fused") for result in pair.fused),
    ]
    columns = len(figures) if len(figures) <= 4 else min(4, math.ceil(len(figures) / 2))
    height, width = pair.source_a.shape[:2]
    rows = _rows(_mean_scores(pair.fused), metrics)
    table = f'<div class="scroll"><table>{_head(metrics)}<tbody>{rows}</tbody></table></div>' if rows else ""
    return (
        f"<article><h3>{escape(pair.name)} <small>{width} × {height}</small></h3>"
        f'<div class="pair" style="--columns: {columns}">{"".join(figures)}</div>{table}</article>'
    )


def _figure(pair: ReportPair, name: str, image: ImageArray, role: str) -> str:
    height, width = image.shape[:2]
    description = f"{name}{', fused image' if role == 'fused' else ''} of {pair.name}"
    return (
        f'<figure class="{role}"><div class="view" tabindex="0" role="group" aria-describedby="keys" '
        f'aria-label="{escape(description)}, magnifier">'
        f'<img src="{_data_uri(image)}" width="{width}" height="{height}" alt="{escape(description)}" '
        f'decoding="async" draggable="false"></div><figcaption>{escape(name)}</figcaption></figure>'
    )


def _data_uri(image: ImageArray) -> str:
    """Encode without loss: the compression of a JPEG would be taken for the method's doing."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
