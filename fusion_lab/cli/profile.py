"""``fusion-lab profile``: what networks cost in parameters, operations, time and memory."""

import re
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser
from jsonargparse.typing import PositiveInt

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.commands import COMMANDS
from fusion_lab.errors import FusionLabError

HELP = COMMANDS["profile"]


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    args = parse(_parser(), argv)
    if not (size := re.fullmatch(r"(\d+)x(\d+)", args.size)):
        raise FusionLabError(f"The size '{args.size}' should be HEIGHTxWIDTH, such as 480x640.")
    height, width = map(int, size.groups())

    # PyTorch takes seconds to load: mistakes in the arguments need not wait for it.
    from rich.console import Console

    from fusion_lab.inference.cost import costs
    from fusion_lab.inference.weights import find_network
    from fusion_lab.reporting.costs import bubble_chart, read_metric, terminal_table, write_costs
    from fusion_lab.reporting.plots import check_figure_suffix, write_figure

    if (args.chart is None) != (args.scores is None):
        raise FusionLabError("A chart needs scores, and scores a chart: give --chart and --scores together.")
    scores = read_metric(args.scores, args.metric) if args.scores else {}
    if args.chart:
        check_figure_suffix(args.chart)
    networks = {}
    for given in args.networks:
        name, sign, weights = given.rpartition("=")
        name = name if sign else Path(weights).stem if Path(weights).exists() else weights.rpartition(".")[2]
        if name in networks:
            raise FusionLabError(f"Two networks are called '{name}': give them names, such as {name}1={weights}.")
        networks[name] = find_network(weights, args.device)
    found = costs(networks, height, width, args.device, args.dtype, args.rounds)
    Console().print(terminal_table(found, f"One pair of {args.size} pixels, {args.dtype}, {args.device}"))
    if args.output:
        write_costs(args.output, found)
    if args.chart:
        write_figure(bubble_chart(found, scores, args.metric), args.chart)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab profile",
        description=f"{HELP.capitalize()}, for one pair of images; the networks take turns.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "networks",
        nargs="+",
        type=str,
        metavar="[NAME=]NETWORK",
        help="weights as of `fuse`, or the class path of a network with the defaults of its constructor",
    )
    parser.add_argument("--size", default="480x640", metavar="HEIGHTxWIDTH", help="size of the images in pixels")
    parser.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu or cuda")
    parser.add_argument("--dtype", type=Literal["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--rounds", type=PositiveInt, default=5, help="timed passes, of which the median counts")
    parser.add_argument("-o", "--output", type=Path | None, metavar="CSV", help="write the numbers there")
    parser.add_argument("--scores", type=Path | None, metavar="CSV", help="table.csv of `fusion-lab compare`")
    parser.add_argument("--metric", default="VIF", metavar="LABEL", help="the metric of --scores to draw")
    parser.add_argument("--chart", type=Path | None, metavar="IMAGE", help="draw quality against operations")
    return parser
