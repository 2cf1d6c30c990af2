"""``fusion-lab explain``: show what a network decides inside."""

from functools import partial
from pathlib import Path

from fusion_lab.cli.arguments import make_parser, parse, run_group, show
from fusion_lab.cli.options import add_network_options

# PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.


def _weights(argv: list[str]) -> int:
    parser = make_parser("explain weights")
    add, names = parser.add_argument, ("TASK", "A", "B")
    pairs = "a task and the folders, or patterns with {name}, of its sources; may be given again"
    add("--pairs", nargs=3, action="append", required=True, metavar=names, help=pairs)
    add("-o", "--output", type=Path, required=True, metavar="CHART", help=".png, .svg or .pdf; beside it a .csv")
    add_network_options(parser)
    args = parse(parser, argv)
    from fusion_lab.evaluation.explanation import draw_operation_weights

    network = args.weights, args.device, args.memory_limit
    operations, rows = draw_operation_weights(args.output, args.pairs, *network, progress=True)
    told = [line for row in rows for line in row.lines(operations)]
    show(told, "OAF weights, mean ± standard deviation")
    print(f"Written to {args.output} and {args.output.with_suffix('.csv')}.")
    return 0


def _features(argv: list[str]) -> int:
    parser = make_parser("explain features", ", each from its 1st to its 99th percentile")
    add = parser.add_argument
    add("a", type=Path, metavar="A", help="first source, an image")
    add("b", type=Path, metavar="B", help="second source, an image of the same size")
    add("-o", "--output", type=Path, required=True, metavar="PICTURE", help=".png, .svg or .pdf")
    add_network_options(parser, shipped="gifnet")
    args = parse(parser, argv)
    from fusion_lab.evaluation.explanation import draw_features

    draw_features(args.output, args.a, args.b, args.weights, args.device, args.memory_limit)
    print(f"Written to {args.output}.")
    return 0


main = partial(run_group, "explain", {"weights": _weights, "features": _features})
