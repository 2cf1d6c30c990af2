"""``fusion-lab enhance``: fuse images with themselves, which brings out their details."""

from pathlib import Path

from jsonargparse import ArgumentParser

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.commands import COMMANDS
from fusion_lab.cli.fuse import fuse, tell
from fusion_lab.cli.options import add_network_options, add_range, add_result_options

HELP = COMMANDS["enhance"]


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    args = parse(_parser(), argv)
    return tell(fuse(args.image, args.image, args, args.range, args.range), "Enhanced", "image", args.output)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab enhance",
        description=f"{HELP.capitalize()}: each is fused with itself, as GIFNet's paper does. Colours are kept.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("image", type=Path, metavar="IMG", help="image, or folder of images")
    add_result_options(parser)
    add_range(parser)
    add_network_options(parser, shipped="gifnet")
    return parser
