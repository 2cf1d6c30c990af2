"""``fusion-lab fuse``: fuse two images, videos or a stack, or all pairs of two folders or patterns."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import Namespace

from fusion_lab.cli.arguments import chosen, make_parser, parse, tell_failures
from fusion_lab.cli.options import add_network_options, add_result_options, add_source_options
from fusion_lab.data.video.reading import VIDEO_SUFFIXES
from fusion_lab.errors import FusionLabError

if TYPE_CHECKING:
    from fusion_lab.inference.fuser import Fuser
    from fusion_lab.inference.image_files import FusedFiles

_DETAILS = (
    ". Patterns hold {name}, such as 'DIR/{name}_vi' and 'DIR/{name}_ir'. Of many pairs, those that cannot be fused "
    "are left out and told; started again, the command fuses what is missing or has changed. Pansharpening: A is the "
    "panchromatic image and B the TIFF of the bands; the result has the bands of B on the grid of A"
)
_SOURCES = (
    "two images, videos, folders, or patterns with {name}, A and B; or a stack: three or more images, one file of "
    "several pages or frames, a folder of images, or of a folder for each scene"
)


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code, 1 where a pair could not be fused."""
    parser = make_parser("fuse", _DETAILS)
    add = parser.add_argument
    add("sources", type=Path, nargs="+", metavar="SOURCE", help=_SOURCES)
    order = "how a network of two sources takes a stack: one after the other, or neighbours first"
    add("--order", type=Literal["fold", "tree"], default="fold", help=order)
    add_result_options(parser)
    add_source_options(parser)
    colours = "whose colours the results have; infrared in false colours has some that nobody wants"
    add("--colours", type=Literal["a", "b", "both", "grey"], default="both", help=colours)
    align = "first move B onto A: by a translation, an affine map or a homography"
    add("--align", type=Literal["translation", "affine", "homography"], metavar="MODEL", help=align)
    add_network_options(parser)
    args = parse(parser, argv)
    if any(source.suffix.lower() in VIDEO_SUFFIXES for source in args.sources):
        return _fuse_videos(args)
    if len(args.sources) != 2:
        return _fuse_stacks(args)
    a, b = args.sources
    done = fuse_pairs(a, b, args, args.colours, **chosen(args, "range_a", "range_b", "unpaired", "align"))
    for path, found in done.alignments.items():
        if found.trusted:
            print(f"{path}: B moved by {found.shift:.1f} pixels")
        else:
            print(f"Not aligned, fused as it lies: {path}: {', '.join(found.doubts)}.", file=sys.stderr)
    return tell(done, "Fused", "pair", args.output)


def _refuse_options_of_pairs(args: Namespace, what: str, otherwise: str, ranges: bool = False) -> None:
    """Refuse options that have a meaning for pairs of images alone; `ranges` of levels have one for videos too."""
    unset: dict[str, Any] = {"align": None, "bands": False, "white": None}
    unset |= {} if ranges else {"range_a": "full", "range_b": "full"}
    if wrong := [f"--{name.replace('_', '-')}" for name, value in unset.items() if args[name] != value]:
        raise FusionLabError(f"{what} cannot be fused with {', '.join(wrong)}: leave it out, or {otherwise}.")


# PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.


def _fuse_videos(args: Namespace) -> int:
    if len(args.sources) != 2 or any(source.suffix.lower() not in VIDEO_SUFFIXES for source in args.sources):
        raise FusionLabError("A video is fused with one other video: give two, or a folder of frames each.")
    _refuse_options_of_pairs(args, "Videos", "fuse folders of frames", ranges=True)
    from fusion_lab.inference.video import fuse_video
    from fusion_lab.inference.weights import load_network

    a, b = args.sources
    options = chosen(args, "memory_limit", "colours", "range_a", "range_b", "overwrite")
    done = fuse_video(a, b, args.output, load_network(args.weights, args.device), **options, progress=True)
    print(f"Fused {done.frames} frames into {done.path}{f'; {done.kept} done before' if done.kept else ''}.")
    if done.silent_because:
        print(f"Without sound: {done.silent_because}.", file=sys.stderr)
    return 0


def _fuse_stacks(args: Namespace) -> int:
    _refuse_options_of_pairs(args, "A stack", "give two sources")
    from fusion_lab.inference.stack_files import fuse_stacks

    options = chosen(args, "order", "suffix")
    done = fuse_stacks(args.sources, args.output, _fuser(args, args.colours), **options, progress=True)
    return tell(done, "Fused", "stack", args.output)


def fuse_pairs(a: Path, b: Path, args: Namespace, colours: str, **options: Any) -> "FusedFiles":
    """Fuse pairs as the shared options say, and further options of `fuse_files`."""
    from fusion_lab.inference.image_files import fuse_files

    shared = chosen(args, "suffix", "bands", "range_over", "overwrite")
    return fuse_files(a, b, args.output, _fuser(args, colours), **shared, **options, progress=True)


def _fuser(args: Namespace, colours: Any) -> "Fuser":
    from fusion_lab.inference.fuser import Fuser
    from fusion_lab.inference.weights import load_network

    return Fuser(load_network(args.weights, args.device), args.memory_limit, args.white, colours)


def tell(done: "FusedFiles", verb: str, noun: str, output: Path) -> int:
    """Print what came of it; returns the exit code, 1 where something failed."""
    print(done.told(verb, noun, output))
    return tell_failures("fused", done.failed.values())
