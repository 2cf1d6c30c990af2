"""Options that the commands share which use a network."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser
from jsonargparse.typing import PositiveFloat

_SHOWN = 10


def tell_failures(verb: str, reasons: Iterable[str]) -> int:
    """Print on stderr why things were ``Not`` done, some of many; returns the exit code, 1 where there is a reason."""
    told = list(reasons)
    for reason in told[:_SHOWN]:
        print(f"Not {verb}: {reason}", file=sys.stderr)
    if len(told) > _SHOWN:
        print(f"... and {len(told) - _SHOWN} more.", file=sys.stderr)
    return 1 if told else 0


def add_network_options(parser: ArgumentParser, shipped: str = "tita") -> None:
    """Let the user choose the network, where it runs, and how much memory it takes.

    Args:
        parser: The parser of a command.
        shipped: The network that comes with the package to use where none is chosen.
    """
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path(shipped),
        metavar="FILE",
        help="file of a network, a shipped one (tita, gifnet), or a class path (fusion_lab.networks.Maximum)",
    )
    parser.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu or cuda")
    parser.add_argument(
        "--memory-limit",
        type=PositiveFloat,
        default=6.0,
        metavar="GIB",
        help="memory for the network; what needs more is fused in tiles",
    )


def add_result_options(parser: ArgumentParser) -> None:
    """Let the user choose where images go, and in which format."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="file, or folder, of the result"
    )
    parser.add_argument(
        "--suffix",
        type=str | None,
        metavar="SUFFIX",
        help="format of the results in a folder (.png, for bands .tif)",
    )
    parser.add_argument("--overwrite", action="store_true", help="make results anew that are done already")
    parser.add_argument(
        "--bands",
        action="store_true",
        help="fuse band by band also what looks like colours; a TIFF of other bands always is",
    )
    parser.add_argument(
        "--white",
        type=PositiveFloat | None,
        metavar="LEVEL",
        help="value of bands that is white, such as 2047 (found in each pair unless given)",
    )


_RANGE = "values of {} that are black and white: full, minmax, 1%..99%, or levels such as 7000..9500"


def add_source_options(parser: ArgumentParser) -> None:
    """Let the user say which values of the sources are black and white, and what becomes of images without partner."""
    parser.add_argument("--range-a", default="full", metavar="RANGE", help=_RANGE.format("A"))
    parser.add_argument("--range-b", default="full", metavar="RANGE", help=_RANGE.format("B"))
    add_range_over(parser)
    add_unpaired(parser)


def add_unpaired(parser: ArgumentParser) -> None:
    """Let the user say what becomes of images without partner."""
    parser.add_argument(
        "--unpaired",
        type=Literal["raise", "leave_out"],
        default="raise",
        help="what is done about images without a partner: raise (a mistake), or leave_out",
    )


def add_range_over(parser: ArgumentParser) -> None:
    """Let the user say what a range is that of."""
    parser.add_argument(
        "--range-over",
        type=Literal["image", "dataset"],
        default="image",
        help="find minmax and percentiles in each image, or in all of a source (dataset)",
    )


def add_range(parser: ArgumentParser) -> None:
    """Let the user say which values of the only source are black and white."""
    parser.add_argument("--range", default="full", metavar="RANGE", help=_RANGE.format("the images"))
    add_range_over(parser)
