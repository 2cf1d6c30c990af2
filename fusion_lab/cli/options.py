"""Options that several commands share."""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser
from jsonargparse.typing import PositiveFloat, PositiveInt

from fusion_lab.data.input_range import InputRange
from fusion_lab.errors import FusionLabError


def add_device(parser: ArgumentParser) -> None:
    """Let the user choose where the arithmetic happens."""
    parser.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu or cuda")


def add_memory_limit(parser: ArgumentParser) -> None:
    """Let the user choose how much memory a network takes."""
    words = "memory for the network; what needs more is fused in tiles"
    parser.add_argument("--memory-limit", type=PositiveFloat, default=6.0, metavar="GIB", help=words)


def add_network_options(parser: ArgumentParser, shipped: str = "tita") -> None:
    """Let the user choose the network, unless chosen a shipped one, where it runs, and how much memory it takes."""
    words = "file of a network, a shipped one (tita, gifnet), or a class path (fusion_lab.networks.Maximum)"
    parser.add_argument("--weights", type=Path, default=Path(shipped), metavar="FILE", help=words)
    add_device(parser)
    add_memory_limit(parser)


def add_result_options(parser: ArgumentParser) -> None:
    """Let the user choose where images go, and in which format."""
    add = parser.add_argument
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="file, or folder, of the result")
    add("--suffix", type=str, metavar="SUFFIX", help="format of the results in a folder (.png, for bands .tif)")
    add("--overwrite", action="store_true", help="make results anew that are done already")
    add("--bands", action="store_true", help="fuse band by band also what looks like colours; other bands always are")
    white = "value of bands that is white, such as 2047; unless given, found in each pair"
    add("--white", type=PositiveFloat, metavar="LEVEL", help=white)


def add_ranges(parser: ArgumentParser, sources: dict[str, str]) -> None:
    """Let the user say which values of the sources, by the options for them, are black and white, and of what."""

    def checked(text: str) -> str:
        try:
            InputRange.of(text)
        except FusionLabError as error:
            raise ArgumentTypeError(str(error).rstrip(".")) from None
        return text

    for option, source in sources.items():
        words = f"values of {source} that are black and white: full, minmax, 1%%..99%%, or levels such as 7000..9500"
        parser.add_argument(option, type=checked, default="full", metavar="RANGE", help=words)
    words = "find minmax and percentiles in each image, or in all of a source (dataset)"
    parser.add_argument("--range-over", type=Literal["image", "dataset"], default="image", help=words)


def add_unpaired(parser: ArgumentParser) -> None:
    """Let the user say what becomes of images without partner."""
    words = "what is done about images without a partner: raise (a mistake), or leave_out"
    parser.add_argument("--unpaired", type=Literal["raise", "leave_out"], default="raise", help=words)


def add_source_options(parser: ArgumentParser) -> None:
    """Let the user say which values of the sources are black and white, and what becomes of images without partner."""
    add_ranges(parser, {"--range-a": "A", "--range-b": "B"})
    add_unpaired(parser)


def add_scoring_options(parser: ArgumentParser) -> None:
    """Let the user choose the sources, the metrics and where they are computed."""
    add = parser.add_argument
    for name, text in (("--a", "first"), ("--b", "second")):
        sources = f"folder, or pattern with {{name}}, of the {text} sources"
        add(name, type=Path, required=True, metavar="DIR", help=sources)
    add_source_options(parser)
    add("--reference", type=Path, metavar="DIR", help="ideal fused images, for PSNR and SSIM against them")
    protocol = "metrics, variants and grey conversion of a table: tita, gifnet, vifb or cddfuse"
    add("--protocol", type=str, default="tita", metavar="NAME", help=protocol)
    metrics = "metrics instead of all of the protocol's, by label (in its variant where it has one) or class path"
    add("--metrics", nargs="+", type=str, metavar="METRIC", help=metrics)
    add_device(parser)
    add("--workers", type=PositiveInt, default=1, help="processes, each with one thread")
