"""``fusion-lab enhance``: fuse images with themselves, which brings out their details."""

from pathlib import Path

from fusion_lab.cli.arguments import make_parser, parse
from fusion_lab.cli.fuse import fuse_pairs, tell
from fusion_lab.cli.options import add_network_options, add_ranges, add_result_options


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = make_parser("enhance", ": each is fused with itself, as GIFNet's paper does. Colours are kept")
    parser.add_argument("image", type=Path, metavar="IMG", help="image, or folder of images")
    add_result_options(parser)
    add_ranges(parser, {"--range": "the images"})
    add_network_options(parser, shipped="gifnet")
    args = parse(parser, argv)
    done = fuse_pairs(args.image, args.image, args, "both", range_a=args.range, range_b=args.range)
    return tell(done, "Enhanced", "image", args.output)
