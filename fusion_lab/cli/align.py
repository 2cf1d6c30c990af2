"""``fusion-lab align``: bring images onto the grid of others that show the same scene."""

from pathlib import Path
from typing import Literal

from fusion_lab.cli.arguments import make_parser, parse, tell_failures
from fusion_lab.cli.options import add_unpaired


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code, 1 where a pair could not be aligned."""
    parser = make_parser("align", ". What cannot be trusted is told and not written")
    add = parser.add_argument
    add("a", type=Path, metavar="A", help="what stays: an image, a folder, or a pattern with {name}")
    add("b", type=Path, metavar="B", help="what moves, of the same kind")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the moved images")
    add("--model", type=Literal["translation", "affine", "homography"], default="homography", help="warps to look for")
    add_unpaired(parser)
    args = parse(parser, argv)
    from fusion_lab.registration.files import FOUND, align_files

    done = align_files(args.a, args.b, args.output, args.model, args.unpaired, progress=True)
    for name, found in done.found.items():
        if found.trusted:
            print(f"{name}: moved by {found.shift:.1f} pixels, edges agree by {found.similarity:.2f}")
    number = len(done.found.keys() | done.failed.keys())
    print(f"Aligned {len(done.written)} of {number} pairs into {args.output}; what was found is in {FOUND} there.")
    return tell_failures("aligned", done.failed.values())
