"""``fusion-lab explain``: show what a network decides inside."""

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.commands import COMMANDS
from fusion_lab.cli.options import add_network_options

if TYPE_CHECKING:
    from fusion_lab.reporting.plots import TaskWeights

HELP = COMMANDS["explain"]


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    args = parse(_parser(), argv)
    return _weights(args.weights) if args.subcommand == "weights" else _features(args.features)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fusion-lab explain", description=f"{HELP.capitalize()}.", exit_on_error=False)
    commands = parser.add_subcommands(required=True)
    weights = ArgumentParser(
        description="Draw the weights that OAF gives its operations for each task, and write them as CSV beside.",
        exit_on_error=False,
    )
    weights.add_argument(
        "--pairs",
        nargs=3,
        action="append",
        required=True,
        metavar=("TASK", "A", "B"),
        help="a task and the folders, or patterns with {name}, of its sources; may be given again",
    )
    weights.add_argument(
        "-o", "--output", type=Path, required=True, metavar="CHART", help=".png, .svg or .pdf; the table is CHART.csv"
    )
    add_network_options(weights)
    commands.add_subcommand("weights", weights, help="draw the weights of the operations for each task")

    features = ArgumentParser(
        description="Draw what GIFNet's encoder and branches see in a pair: the mean strength of their features, each "
        "from its 1st to its 99th percentile.",
        exit_on_error=False,
    )
    features.add_argument("a", type=Path, metavar="A", help="first source, an image")
    features.add_argument("b", type=Path, metavar="B", help="second source, an image of the same size")
    features.add_argument("-o", "--output", type=Path, required=True, metavar="PICTURE", help=".png, .svg or .pdf")
    add_network_options(features, shipped="gifnet")
    commands.add_subcommand("features", features, help="draw what the parts of GIFNet see in a pair")
    return parser


# PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.


def _weights(args: Namespace) -> int:
    from fusion_lab.data.pairs import PairDataset
    from fusion_lab.evaluation.explanation import mean_operation_weights
    from fusion_lab.inference.operation_weights import OperationWeightsReader
    from fusion_lab.inference.weights import load_network
    from fusion_lab.reporting.plots import check_figure_suffix, operation_bars, write_figure, write_operation_weights

    check_figure_suffix(args.output)
    network = load_network(args.weights, args.device)
    operations = OperationWeightsReader(network).operations
    datasets = [(task, PairDataset(".", a, b)) for task, a, b in args.pairs]
    rows = mean_operation_weights(network, datasets, args.memory_limit, progress=True)
    table = args.output.with_suffix(".csv")
    write_figure(operation_bars("OAF weights", operations, rows), args.output)
    write_operation_weights(table, operations, rows)
    _print(operations, rows)
    print(f"Written to {args.output} and {table}.")
    return 0


def _print(operations: list[str], rows: "list[TaskWeights]") -> None:
    from rich.console import Console
    from rich.table import Table

    from fusion_lab.reporting.plots import SOURCES

    table = Table("task", "pairs", "source", *operations, title="OAF weights, mean ± standard deviation")
    for row in rows:
        for source, means, deviations in zip(SOURCES, row.mean, row.deviation, strict=True):
            cells = (f"{mean:.3f} ± {std:.3f}" for mean, std in zip(means, deviations, strict=True))
            table.add_row(row.task, str(row.pairs), source, *cells)
    Console().print(table)


def _features(args: Namespace) -> int:
    from fusion_lab.evaluation.explanation import feature_pictures
    from fusion_lab.inference.weights import load_network
    from fusion_lab.reporting.pictures import picture_grid
    from fusion_lab.reporting.plots import check_figure_suffix, write_figure

    check_figure_suffix(args.output)
    pictures = feature_pictures(load_network(args.weights, args.device), args.a, args.b, args.memory_limit)
    write_figure(picture_grid([pictures]), args.output)
    print(f"Written to {args.output}.")
    return 0
