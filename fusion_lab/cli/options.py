"""Options that the commands share which use a network."""

from pathlib import Path

from jsonargparse import ArgumentParser
from jsonargparse.typing import PositiveFloat


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
