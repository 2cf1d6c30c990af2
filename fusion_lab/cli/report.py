"""``fusion-lab report``: score several methods and show them with their images on one page for the browser."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.compare import directions, evaluate_methods, named_folders
from fusion_lab.cli.evaluate import add_scoring_options, chosen_protocol, source_options, tell_bad
from fusion_lab.errors import FusionLabError

if TYPE_CHECKING:
    from fusion_lab.cli.evaluation import Evaluation, FusedPair
    from fusion_lab.metrics.protocols import Protocol
    from fusion_lab.reporting.methods import MethodTable
    from fusion_lab.reporting.page import MetricColumn, ReportPair
    from fusion_lab.reporting.page_scores import ScoredPair

HELP = "score several methods and show them, image by image, on one page for the browser"


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code, 1 where an image could not be scored."""
    args = parse(_parser(), argv)
    methods = named_folders(args.methods)
    protocol = chosen_protocol(args)
    if args.output.suffix.lower() not in (".html", ".htm"):
        raise FusionLabError(f"The output {args.output} should end in .html.")
    if args.output.is_dir():
        raise FusionLabError(f"The output {args.output} is a folder: name a file.")

    # PyTorch takes seconds to load: mistakes in the arguments need not wait for it.
    from fusion_lab.cli.evaluation import find_fused
    from fusion_lab.reporting.methods import method_table
    from fusion_lab.reporting.page import TASK_NAMES, write_page

    evaluations = evaluate_methods(methods, protocol, args, args.output.parent)
    table = method_table({name: e.rows for name, e in evaluations.items()}, directions(protocol))
    told = source_options(args)
    files = {name: find_fused(args.a, args.b, folder, args.reference, **told) for name, folder in methods.items()}
    together = _scored_by_all(files, evaluations)
    shown = [_report_pair(pairs, evaluations, args.task) for pairs in together[: args.limit]]
    others = [_scored_pair(pairs, evaluations, args.task) for pairs in together[args.limit :]]
    title = f"Fusion report: {TASK_NAMES.get(args.task, args.task)}"
    intro = _intro(protocol, args, len(table.methods), len(together), len(shown))
    write_page(args.output, title, intro, shown, _columns(table, protocol), others)
    size = args.output.stat().st_size / 1e6
    left_out = f"; --limit {len(together)} shows all" if others else ""
    print(f"The page {args.output} ({size:.1f} MB) shows {len(shown)} of {len(together)} scored pairs{left_out}.")
    return max(tell_bad(evaluation) for evaluation in evaluations.values())


def _scored_by_all(
    files: "Mapping[str, list[FusedPair]]", evaluations: "Mapping[str, Evaluation]"
) -> "list[dict[str, FusedPair]]":
    """Give the files of each method for the pairs that all methods have scores of."""
    by_name = {method: {pair.name: pair for pair in pairs} for method, pairs in files.items()}
    first = next(iter(by_name.values()))
    names = [name for name in first if all(name in evaluation.rows for evaluation in evaluations.values())]
    return [{method: pairs[name] for method, pairs in by_name.items()} for name in names]


def _report_pair(pairs: "Mapping[str, FusedPair]", evaluations: "Mapping[str, Evaluation]", task: str) -> "ReportPair":
    from fusion_lab.cli.evaluation import read_levels, source_levels
    from fusion_lab.reporting.page import FusedImage, ReportPair

    fused = []
    for method, pair in pairs.items():
        # What has scores has a fused image.
        assert pair.fused is not None
        fused.append(FusedImage(method, read_levels(pair.fused), evaluations[method].rows[pair.name]))
    a, b = source_levels(pair)
    ideal = None if pair.reference is None else read_levels(pair.reference)
    return ReportPair(pair.name, task, a, b, fused, reference=ideal)


def _scored_pair(pairs: "Mapping[str, FusedPair]", evaluations: "Mapping[str, Evaluation]", task: str) -> "ScoredPair":
    from fusion_lab.reporting.page_scores import ScoredPair

    [name] = {pair.name for pair in pairs.values()}
    return ScoredPair(name, task, {method: evaluations[method].rows[name] for method in pairs})


def _columns(table: "MethodTable", protocol: "Protocol") -> "list[MetricColumn]":
    from fusion_lab.cli.evaluation import REFERENCE_METRICS, describe
    from fusion_lab.reporting.page import MetricColumn

    told = describe(protocol) | {label: type(metric).__name__ for label, metric in REFERENCE_METRICS.items()}
    columns = zip(table.labels, table.higher_is_better, table.decimals, strict=True)
    return [MetricColumn(label, higher, told[label], decimals) for label, higher, decimals in columns]


def _intro(protocol: "Protocol", args: Namespace, methods: int, scored: int, shown: int) -> str:
    """Tell what was compared with what; folders by their last name, the rest is nobody else's concern."""
    folders = f"Source A is from “{args.a.name}”, source B from “{args.b.name}”."
    metrics = f"Metrics of the protocol {protocol.name}: {protocol.source}"
    if args.metrics:
        metrics = f"Chosen metrics, colours as in the protocol {protocol.name}."
    some = "" if shown == scored else f" The images of the first {shown} are shown."
    counted = f"{methods} method{'s' if methods > 1 else ''} on {scored} pair{'s' if scored > 1 else ''}."
    return f"{counted}{some} {folders}\n\n{metrics}"


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab report",
        description=(
            f"{HELP.capitalize()}: a table to sort, bars for each image, and a viewer that swipes between sources and "
            "results, with zoom and differences. The scores are kept beside the page, as `compare` keeps them: in one "
            "folder both commands share them."
        ),
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("methods", nargs="+", type=str, metavar="METHOD=DIR", help="a method and its fused images")
    add_scoring_options(parser)
    parser.add_argument(
        "--task",
        type=str,
        default="Image pairs",
        metavar="TASK",
        help="heading of the pairs: ivf, mff, mef, mif, nir, pan, or any other text",
    )
    parser.add_argument(
        "--limit",
        type=PositiveInt,
        default=10,
        metavar="N",
        help="pairs whose images are shown, the first by name; all are scored (a page of all may be hundreds of MB)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.html", help="page to write")
    return parser
