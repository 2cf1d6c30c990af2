"""Scores and images of methods on one page for the browser."""

from collections.abc import Mapping
from pathlib import Path

from fusion_lab.evaluation.scores import Scores
from fusion_lab.evaluation.scoring import (
    REFERENCE_METRICS,
    Evaluation,
    FusedPair,
    describe,
    read_levels,
    source_levels,
)
from fusion_lab.metrics.protocols import Protocol
from fusion_lab.reporting.methods import MethodTable
from fusion_lab.reporting.page import TASK_NAMES, FusedImage, MetricColumn, ReportPair, write_page
from fusion_lab.reporting.page_scores import ScoredPair


def write_report(
    scores: Scores, path: Path, sources: tuple[str, str], task: str, limit: int, chosen: bool = False
) -> tuple[int, int]:
    """Write the page.

    Args:
        scores: What `evaluate` returns.
        path: The page, a file that ends in ``.html``.
        sources: What the folders of the sources are called.
        task: Heading of the pairs: a task such as ``ivf``, or any other text.
        limit: Pairs whose images are shown, the first by name.
        chosen: Whether the metrics are others than those of the protocol.

    Returns:
        How many pairs are shown with their images, and how many all methods have scores of.
    """
    evaluations, protocol = scores.methods, scores.protocol
    table = scores.comparison()
    together = _scored_by_all(scores.pairs, evaluations)
    shown = [_report_pair(pairs, evaluations, task) for pairs in list(together.values())[:limit]]
    others = [
        ScoredPair(name, task, {method: evaluation.rows[name] for method, evaluation in evaluations.items()})
        for name in list(together)[limit:]
    ]
    title = f"Fusion report: {TASK_NAMES.get(task, task)}"
    intro = _intro(protocol, sources, chosen, len(table.methods), len(together), len(shown))
    write_page(path, title, intro, shown, _columns(table, protocol), others)
    return len(shown), len(together)


def _scored_by_all(
    files: Mapping[str, list[FusedPair]], evaluations: Mapping[str, Evaluation]
) -> dict[str, dict[str, FusedPair]]:
    """Return the files of each method for the pairs that all methods have scores of, by the name of the pair."""
    by_name = {method: {pair.name: pair for pair in pairs} for method, pairs in files.items()}
    first = next(iter(by_name.values()))
    names = [name for name in first if all(name in evaluation.rows for evaluation in evaluations.values())]
    return {name: {method: pairs[name] for method, pairs in by_name.items()} for name in names}


def _report_pair(pairs: Mapping[str, FusedPair], evaluations: Mapping[str, Evaluation], task: str) -> ReportPair:
    fused = []
    for method, pair in pairs.items():
        # What has scores has a fused image.
        assert pair.fused is not None
        fused.append(FusedImage(method, read_levels(pair.fused), evaluations[method].rows[pair.name]))
    a, b = source_levels(pair)
    ideal = None if pair.reference is None else read_levels(pair.reference)
    return ReportPair(pair.name, task, a, b, fused, reference=ideal)


def _columns(table: MethodTable, protocol: Protocol) -> list[MetricColumn]:
    told = describe(protocol) | {label: type(metric).__name__ for label, metric in REFERENCE_METRICS.items()}
    columns = zip(table.labels, table.higher_is_better, table.decimals, strict=True)
    return [MetricColumn(label, higher, told[label], decimals) for label, higher, decimals in columns]


def _intro(protocol: Protocol, names: tuple[str, str], chosen: bool, methods: int, scored: int, shown: int) -> str:
    """Tell what was compared with what; folders by their last name, the rest is nobody else's concern."""
    folders = f"Source A is from “{names[0]}”, source B from “{names[1]}”."
    metrics = f"Metrics of the protocol {protocol.name}: {protocol.source}"
    if chosen:
        metrics = f"Chosen metrics, colours as in the protocol {protocol.name}."
    some = "" if shown == scored else f" The images of the first {shown} are shown."
    counted = f"{methods} method{'s' if methods > 1 else ''} on {scored} pair{'s' if scored > 1 else ''}."
    return f"{counted}{some} {folders}\n\n{metrics}"
