"""``fusion-lab profile``: what networks cost in parameters, operations, time and memory."""

import re
from pathlib import Path
from typing import Literal

from jsonargparse.typing import PositiveInt

from fusion_lab.cli.arguments import make_parser, parse
from fusion_lab.cli.options import add_device
from fusion_lab.errors import FusionLabError


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = make_parser("profile", ", for one pair of images; the networks take turns")
    add = parser.add_argument
    networks = "weights as of `fuse`, or the class path of a network with the defaults of its constructor"
    add("networks", nargs="+", type=str, metavar="[NAME=]NETWORK", help=networks)
    add("--size", default="480x640", metavar="HEIGHTxWIDTH", help="size of the images in pixels")
    add_device(parser)
    add("--dtype", type=Literal["float32", "bfloat16", "float16"], default="float32")
    add("--rounds", type=PositiveInt, default=5, help="timed passes, of which the median counts")
    add("-o", "--output", type=Path, metavar="CSV", help="write the numbers there")
    add("--scores", type=Path, metavar="CSV", help="table.csv of `fusion-lab compare`")
    add("--metric", default="VIF", metavar="LABEL", help="the metric of --scores to draw")
    add("--chart", type=Path, metavar="IMAGE", help="draw quality against operations")
    args = parse(parser, argv)
    if not (size := re.fullmatch(r"(\d+)x(\d+)", args.size)):
        raise FusionLabError(f"The size '{args.size}' should be HEIGHTxWIDTH, such as 480x640.")

    # PyTorch takes seconds to load: mistakes in the arguments need not wait for it.
    from rich.console import Console

    from fusion_lab.inference.cost import costs, named_networks
    from fusion_lab.reporting.costs import bubble_chart, read_metric, terminal_table, write_costs
    from fusion_lab.reporting.plots import check_figure_suffix, write_figure

    if (args.chart is None) != (args.scores is None):
        raise FusionLabError("A chart needs scores, and scores a chart: give --chart and --scores together.")
    scores = read_metric(args.scores, args.metric) if args.scores else {}
    if args.chart:
        check_figure_suffix(args.chart)
    named = named_networks(args.networks, args.device)
    found = costs(named, int(size[1]), int(size[2]), args.device, args.dtype, args.rounds)
    Console().print(terminal_table(found, f"One pair of {args.size} pixels, {args.dtype}, {args.device}"))
    if args.output:
        write_costs(args.output, found)
    if args.chart:
        write_figure(bubble_chart(found, scores, args.metric), args.chart)
    return 0
