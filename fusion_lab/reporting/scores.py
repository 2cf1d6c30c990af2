"""Tables of scores: one row for each fused image, and the means."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from fusion_lab.files import write_rows


@dataclass(frozen=True)
class ScoreRow:
    """The scores of one fused image.

    Attributes:
        task: The task of the pair.
        pair: The name of the pair.
        method: What fused it.
        scores: Each score by the label of its metric.
    """

    task: str
    pair: str
    method: str
    scores: dict[str, float]


def means(rows: Sequence[ScoreRow]) -> list[ScoreRow]:
    """Average the scores over the pairs of each task and method; the pair of such a row is ``mean``."""
    groups: dict[tuple[str, str], list[ScoreRow]] = {}
    for row in rows:
        groups.setdefault((row.task, row.method), []).append(row)
    return [
        ScoreRow(task, "mean", method, {label: fmean(m.scores[label] for m in members) for label in members[0].scores})
        for (task, method), members in groups.items()
    ]


def write_scores(path: Path, rows: Sequence[ScoreRow]) -> None:
    """Write rows as CSV: task, pair, method, then one column for each score."""
    labels = list(rows[0].scores)
    table = ([row.task, row.pair, row.method, *(f"{row.scores[label]:.6g}" for label in labels)] for row in rows)
    write_rows(path, ["task", "pair", "method", *labels], table)
