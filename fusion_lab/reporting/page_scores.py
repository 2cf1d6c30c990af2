"""The scores on the report page: tables to sort, and the numbers that its bars are drawn from."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

Means = dict[str, dict[str, float]]
"""Value by label by method."""


@dataclass(frozen=True)
class MetricColumn:
    """One column of the score tables."""

    label: str
    """The heading and the key of the scores, such as ``"EN"``."""
    higher_is_better: bool
    description: str = ""
    """What the label stands for, shown below the summary."""
    decimals: int = 3


@dataclass(frozen=True)
class ScoredPair:
    """The scores of what some methods made of a pair."""

    name: str
    task: str
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By method, the value by `MetricColumn.label`; missing and non-finite values are shown as a dash."""


def _mean_scores(pairs: Iterable[ScoredPair]) -> Means:
    """Average each method's finite scores."""
    collected: dict[str, dict[str, list[float]]] = {}
    for pair in pairs:
        for method, scores in pair.scores.items():
            columns = collected.setdefault(method, {})
            for label, value in scores.items():
                if math.isfinite(value):
                    columns.setdefault(label, []).append(value)
    return {
        method: {label: sum(values) / len(values) for label, values in columns.items()}
        for method, columns in collected.items()
    }


def summary_table(tasks: Mapping[str, Sequence[ScoredPair]], metrics: Sequence[MetricColumn]) -> str:
    """Make the table of means, with a heading for each task, by its name as it is shown."""
    bodies = []
    for task, pairs in tasks.items():
        bodies.append(
            f'<tbody><tr class="task"><th scope="rowgroup" colspan="{len(metrics) + 1}">{escape(task)} '
            f"<small>mean of {count(len(pairs))}</small></th></tr>{_rows(_mean_scores(pairs), metrics)}</tbody>"
        )
    return _table(metrics, "".join(bodies))


def pair_table(pair: ScoredPair, metrics: Sequence[MetricColumn]) -> str:
    """Make the table of one pair; empty if nothing fused it."""
    rows = _rows(_mean_scores([pair]), metrics)
    return _table(metrics, f"<tbody>{rows}</tbody>") if rows else ""


def legend(metrics: Sequence[MetricColumn]) -> str:
    """Tell what the labels stand for; empty if no metric has a description."""
    entries = "".join(
        f"<div><dt>{escape(metric.label)}</dt><dd>{escape(metric.description)}</dd></div>"
        for metric in metrics
        if metric.description
    )
    return f"<dl>{entries}</dl>" if entries else ""


def score_data(
    tasks: Mapping[str, Sequence[ScoredPair]], metrics: Sequence[MetricColumn], links: Mapping[int, str]
) -> str:
    """Return the scores of every pair as JSON that can stand inside a ``script`` element.

    Args:
        tasks: The pairs by the name of their task as it is shown.
        metrics: The metrics to choose from.
        links: The element that shows a pair, by the ``id()`` of the pair; the others are not shown.
    """
    data = {
        "metrics": [
            {"label": m.label, "higher": m.higher_is_better, "decimals": m.decimals, "about": m.description}
            for m in metrics
        ],
        "tasks": [
            {
                "name": task,
                "pairs": [
                    {"name": pair.name, "link": links.get(id(pair)), "scores": _finite(pair, metrics)} for pair in pairs
                ],
            }
            for task, pairs in tasks.items()
        ],
    }
    # What stands inside ends at the first "</script", wherever it is, and "<!--" opens another state.
    return json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def count(pairs: int) -> str:
    """Write a number of pairs."""
    return f"{pairs} pair{'s' if pairs != 1 else ''}"


def _finite(pair: ScoredPair, metrics: Sequence[MetricColumn]) -> list[list[str | list[float | None]]]:
    """Return each method with its values in the order of the metrics."""
    means = _mean_scores([pair])
    return [[method, [row.get(metric.label) for metric in metrics]] for method, row in means.items()]


def _table(metrics: Sequence[MetricColumn], bodies: str) -> str:
    cells = []
    for metric in metrics:
        arrow, direction = ("↑", "higher") if metric.higher_is_better else ("↓", "lower")
        first = "descending" if metric.higher_is_better else "ascending"
        hint = escape(f"{metric.description or metric.label}: {direction} is better")
        cells.append(
            f'<th scope="col" data-first="{first}"><button type="button" title="{hint}">{escape(metric.label)}'
            f'<span class="arrow" aria-hidden="true">{arrow}</span>'
            f'<span class="unseen">, {direction} is better</span></button></th>'
        )
    method = '<th scope="col" data-first="ascending"><button type="button">Method</button></th>'
    return f'<div class="scroll"><table><thead><tr>{method}{"".join(cells)}</tr></thead>{bodies}</table></div>'


def _rows(scores: Means, metrics: Sequence[MetricColumn]) -> str:
    """Make a row for each method; the best and the second best of each column, as printed, are marked."""
    marks: dict[str, dict[float, str]] = {}
    for metric in metrics:
        printed = {round(row[metric.label], metric.decimals) for row in scores.values() if metric.label in row}
        if len(printed) > 1:
            ranked = sorted(printed, reverse=metric.higher_is_better)
            marks[metric.label] = dict(zip(ranked, ("best", "second"), strict=False))
    rows = []
    for method, row in scores.items():
        cells = []
        for metric in metrics:
            value = row.get(metric.label)
            if value is None:
                cells.append('<td class="none">–</td>')
                continue
            mark = marks.get(metric.label, {}).get(round(value, metric.decimals))
            opening = f'<td data-value="{value!r}"' + (f' class="{mark}">' if mark else ">")
            told = f'<span class="unseen"> {mark}</span>' if mark else ""
            cells.append(f"{opening}{value:.{metric.decimals}f}{told}</td>")
        rows.append(f'<tr><th scope="row">{escape(method)}</th>{"".join(cells)}</tr>')
    return "".join(rows)
