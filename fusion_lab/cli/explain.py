"""``fusion-lab explain``: show what a network decides inside."""

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.options import add_network_options
from fusion_lab.errors import FusionLabError

if TYPE_CHECKING:
    from fusion_lab.networks.base import FusionNetwork
    from fusion_lab.reporting.plots import TaskWeights

HELP = "show what a network decides inside"


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
    from fusion_lab.inference.operation_weights import OperationWeightsReader
    from fusion_lab.inference.weights import load_network
    from fusion_lab.reporting.plots import check_figure_suffix, operation_bars, write_figure, write_operation_weights

    check_figure_suffix(args.output)
    network = load_network(args.weights, args.device)
    operations = OperationWeightsReader(network).operations
    rows = _measure(network, args.pairs, args.memory_limit)
    table = args.output.with_suffix(".csv")
    write_figure(operation_bars("OAF weights", operations, rows), args.output)
    write_operation_weights(table, operations, rows)
    _print(operations, rows)
    print(f"Written to {args.output} and {table}.")
    return 0


def _measure(network: "FusionNetwork", wanted: list[list[str]], memory_limit: float) -> "list[TaskWeights]":
    """Fuse all pairs, and average the weights over those of each task."""
    import numpy as np
    import torch
    from rich.console import Console
    from rich.progress import track

    from fusion_lab.data.pairs import PairDataset
    from fusion_lab.inference.operation_weights import operation_weights
    from fusion_lab.reporting.plots import TaskWeights

    datasets = [(task, PairDataset(".", a, b)) for task, a, b in wanted]
    # All folders are looked at before the first pair is fused.
    jobs = [(task, dataset, index) for task, dataset in datasets for index in range(len(dataset))]
    found: dict[str, list[np.ndarray]] = {}
    for task, dataset, index in track(jobs, "Fusing", console=Console(stderr=True)):
        sample = dataset[index]
        try:
            weights = operation_weights(network, sample["source_a"][None], sample["source_b"][None], memory_limit)
        except FusionLabError as error:
            pair = f"{sample['file_a']} and {sample['file_b']}"
            raise FusionLabError(f"{pair} cannot be fused: {error}") from None
        found.setdefault(task, []).append(torch.stack(list(weights.values()), dim=-1).numpy())
    return [TaskWeights(t, len(own), np.mean(own, axis=0), np.std(own, axis=0)) for t, own in found.items()]


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
    from fusion_lab.data.pairs import Pair
    from fusion_lab.inference.features import feature_maps
    from fusion_lab.inference.fuser import Fuser, sources_of
    from fusion_lab.inference.weights import load_network
    from fusion_lab.reporting.pictures import picture_grid
    from fusion_lab.reporting.plots import check_figure_suffix, write_figure

    check_figure_suffix(args.output)
    network = load_network(args.weights, args.device)
    a, b = Pair(args.a.stem, args.a, args.b).read()
    try:
        source_a, source_b = sources_of(network, a, b)
        maps = feature_maps(network, source_a, source_b, args.memory_limit)
        fused = Fuser(network, args.memory_limit)(a, b)
    except FusionLabError as error:
        raise FusionLabError(f"{args.a} and {args.b} cannot be shown: {error}") from None
    row = {
        "source a": a.pixels,
        "source b": b.pixels,
        "shared encoder": maps["encoder"].numpy(),
        "MM branch": maps["multi_modal"].numpy(),
        "DP branch": maps["digital_photography"].numpy(),
        "fused": fused.pixels,
    }
    write_figure(picture_grid([row]), args.output)
    print(f"Written to {args.output}.")
    return 0
