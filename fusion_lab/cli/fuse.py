"""``fusion-lab fuse``: fuse two images, or two folders of images paired by name."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveFloat

from fusion_lab.cli.arguments import parse

HELP = "fuse two images, or two folders of images paired by name"


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    args = parse(_parser(), argv)
    return _run(args)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab fuse", description=f"{HELP.capitalize()}.", exit_on_error=False, allow_abbrev=False
    )
    parser.add_argument("a", type=Path, metavar="A", help="first source, an image or a folder")
    parser.add_argument("b", type=Path, metavar="B", help="second source of the same kind")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="file, or folder, of the result"
    )
    parser.add_argument(
        "--weights",
        type=Path | None,
        metavar="FILE",
        help="network to use instead of the one that is shipped",
    )
    parser.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu or cuda")
    parser.add_argument(
        "--memory-limit",
        type=PositiveFloat,
        default=6.0,
        metavar="GIB",
        help="memory for the network; what needs more is fused in tiles",
    )
    parser.add_argument(
        "--suffix", type=str, default=".png", metavar="SUFFIX", help="format of the results in a folder"
    )
    return parser


def _run(args: Namespace) -> int:
    # PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.
    from fusion_lab.inference.fuser import Fuser, fuse_files
    from fusion_lab.inference.weights import load_network

    fuser = Fuser(load_network(args.weights, args.device), args.memory_limit)
    written = fuse_files(args.a, args.b, args.output, fuser, suffix=args.suffix, progress=True)
    place = written[0] if len(written) == 1 else written[0].parent
    print(f"Fused {len(written)} pair{'s' if len(written) > 1 else ''} into {place}.")
    return 0
