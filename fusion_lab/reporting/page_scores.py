"""The scores on the report page: what its tables show."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

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

    @property
    def means(self) -> Means:
        """The finite scores of each method."""
        return mean_scores([self])


@dataclass(frozen=True)
class Cell:
    """One score as it is shown."""

    value: float | None
    text: str = ""
    mark: str = ""
    """``best`` or ``second`` of its column; empty for the others."""


def mean_scores(pairs: Iterable[ScoredPair]) -> Means:
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


def marked_rows(means: Means, metrics: Sequence[MetricColumn]) -> list[tuple[str, list[Cell]]]:
    """Return each method with its cells; the best and the second best of each column, as printed, are marked."""
    marks: dict[str, dict[float, str]] = {}
    for metric in metrics:
        printed = {round(row[metric.label], metric.decimals) for row in means.values() if metric.label in row}
        if len(printed) > 1:
            ranked = sorted(printed, reverse=metric.higher_is_better)
            marks[metric.label] = dict(zip(ranked, ("best", "second"), strict=False))

    def cell(metric: MetricColumn, value: float | None) -> Cell:
        if value is None:
            return Cell(None)
        mark = marks.get(metric.label, {}).get(round(value, metric.decimals), "")
        return Cell(value, f"{value:.{metric.decimals}f}", mark)

    return [(method, [cell(metric, row.get(metric.label)) for metric in metrics]) for method, row in means.items()]
