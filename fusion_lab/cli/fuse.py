"""``fusion-lab fuse``: fuse two images, or two folders of images paired by name."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.options import add_network_options, add_result_options

HELP = "fuse two images, or two folders of images paired by name"
_DETAILS = (
    "Pansharpening: A is the panchromatic image and B the TIFF of the bands; the result has the bands of B on the grid "
    "of A."
)


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    args = parse(_parser(), argv)
    written = fuse(args.a, args.b, args)
    print(f"Fused {len(written)} pair{'s' if len(written) > 1 else ''} into {place(written)}.")
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab fuse", description=f"{HELP.capitalize()}. {_DETAILS}", exit_on_error=False, allow_abbrev=False
    )
    parser.add_argument("a", type=Path, metavar="A", help="first source, an image or a folder")
    parser.add_argument("b", type=Path, metavar="B", help="second source of the same kind")
    add_result_options(parser)
    add_network_options(parser)
    return parser


def fuse(a: Path, b: Path, args: Namespace) -> list[Path]:
    """Fuse what the shared options say; returns the files written."""
    # PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.
    from fusion_lab.inference.fuser import Fuser
    from fusion_lab.inference.image_files import fuse_files
    from fusion_lab.inference.weights import load_network

    fuser = Fuser(load_network(args.weights, args.device), args.memory_limit, args.white)
    return fuse_files(a, b, args.output, fuser, args.suffix, args.bands, progress=True)


def place(written: list[Path]) -> Path:
    """Tell where files lie: the only one, or the folder of all."""
    return written[0] if len(written) == 1 else written[0].parent
