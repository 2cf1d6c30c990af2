"""``fusion-lab fuse``: fuse two images, videos or a stack, or all pairs of two folders or patterns."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.commands import COMMANDS
from fusion_lab.cli.options import add_network_options, add_result_options, add_source_options, tell_failures
from fusion_lab.data.video import VIDEO_SUFFIXES
from fusion_lab.errors import FusionLabError

if TYPE_CHECKING:
    from fusion_lab.inference.image_files import FusedFiles

HELP = COMMANDS["fuse"]
_DETAILS = (
    "Patterns hold {name}, such as 'DIR/{name}_vi' and 'DIR/{name}_ir'. Of many pairs, those that cannot be fused are "
    "left out and told; started again, the command fuses what is missing or has changed. Pansharpening: A is the "
    "panchromatic image and B the TIFF of the bands; the result has the bands of B on the grid of A."
)


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code, 1 where a pair could not be fused."""
    args = parse(_parser(), argv)
    if any(source.suffix.lower() in VIDEO_SUFFIXES for source in args.sources):
        return _fuse_videos(args)
    if len(args.sources) != 2:
        return _fuse_stacks(args)
    a, b = args.sources
    done = fuse(a, b, args, args.range_a, args.range_b, args.unpaired, args.colours, args.align)
    for path, found in done.alignments.items():
        if found.trusted:
            print(f"{path}: B moved by {found.shift:.1f} pixels")
        else:
            print(f"Not aligned, fused as it lies: {path}: {', '.join(found.doubts)}.", file=sys.stderr)
    return tell(done, "Fused", "pair", args.output)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab fuse", description=f"{HELP.capitalize()}. {_DETAILS}", exit_on_error=False, allow_abbrev=False
    )
    parser.add_argument(
        "sources",
        type=Path,
        nargs="+",
        metavar="SOURCE",
        help=(
            "two images, videos, folders, or patterns with {name}, A and B; or a stack: three or more images, one file "
            "of several pages or frames, a folder of images, or of a folder for each scene"
        ),
    )
    parser.add_argument(
        "--order",
        type=Literal["fold", "tree"],
        default="fold",
        help="how a network of two sources takes a stack: one after the other, or neighbours first",
    )
    add_result_options(parser)
    add_source_options(parser)
    parser.add_argument(
        "--colours",
        type=Literal["a", "b", "both", "grey"],
        default="both",
        help="whose colours the results have; infrared in false colours has some that nobody wants",
    )
    parser.add_argument(
        "--align",
        type=Literal["translation", "affine", "homography"] | None,
        metavar="MODEL",
        help="first move B onto A: by a translation, an affine map or a homography",
    )
    add_network_options(parser)
    return parser


def _options_of_pairs(args: Namespace) -> str:
    """Return the options that were given and have a meaning for pairs of images alone; ranges have one for videos."""
    given = {
        "--align": args.align is not None,
        "--bands": args.bands,
        "--white": args.white is not None,
    }
    if args.sources[0].suffix.lower() not in VIDEO_SUFFIXES:
        given |= {"--range-a": args.range_a != "full", "--range-b": args.range_b != "full"}
    return ", ".join(option for option, is_given in given.items() if is_given)


def _fuse_videos(args: Namespace) -> int:
    """Fuse two videos."""
    if len(args.sources) != 2 or any(source.suffix.lower() not in VIDEO_SUFFIXES for source in args.sources):
        raise FusionLabError("A video is fused with one other video: give two, or a folder of frames each.")
    if wrong := _options_of_pairs(args):
        raise FusionLabError(f"Videos cannot be fused with {wrong}: leave it out, or fuse folders of frames.")
    from fusion_lab.inference.video import fuse_video
    from fusion_lab.inference.weights import load_network

    a, b = args.sources
    done = fuse_video(
        a,
        b,
        args.output,
        load_network(args.weights, args.device),
        args.memory_limit,
        args.colours,
        range_a=args.range_a,
        range_b=args.range_b,
        overwrite=args.overwrite,
        progress=True,
    )
    before = f"; {done.kept} done before" if done.kept else ""
    print(f"Fused {done.frames} frames into {done.path}{before}.")
    if done.silent_because:
        print(f"Without sound: {done.silent_because}.", file=sys.stderr)
    return 0


def _fuse_stacks(args: Namespace) -> int:
    """Fuse what is more than a pair."""
    if wrong := _options_of_pairs(args):
        raise FusionLabError(f"A stack cannot be fused with {wrong}: leave it out, or give two sources.")
    from fusion_lab.inference.fuser import Fuser
    from fusion_lab.inference.stack_files import fuse_stacks
    from fusion_lab.inference.weights import load_network

    fuser = Fuser(load_network(args.weights, args.device), args.memory_limit, colours=args.colours)
    done = fuse_stacks(args.sources, args.output, fuser, args.order, args.suffix, progress=True)
    return tell(done, "Fused", "stack", args.output)


def fuse(
    a: Path,
    b: Path,
    args: Namespace,
    range_a: str,
    range_b: str,
    unpaired: Literal["raise", "leave_out"] = "raise",
    colours: Literal["a", "b", "both", "grey"] = "both",
    align: Literal["translation", "affine", "homography"] | None = None,
) -> "FusedFiles":
    """Fuse what the shared options say."""
    from fusion_lab.data.input_range import InputRange

    for text in (range_a, range_b):
        InputRange.of(text)
    # PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.
    from fusion_lab.inference.fuser import Fuser
    from fusion_lab.inference.image_files import fuse_files
    from fusion_lab.inference.weights import load_network

    fuser = Fuser(load_network(args.weights, args.device), args.memory_limit, args.white, colours)
    return fuse_files(
        a,
        b,
        args.output,
        fuser,
        args.suffix,
        args.bands,
        progress=True,
        range_a=range_a,
        range_b=range_b,
        range_over=args.range_over,
        unpaired=unpaired,
        overwrite=args.overwrite,
        align=align,
    )


def tell(done: "FusedFiles", verb: str, noun: str, output: Path) -> int:
    """Print what came of it; returns the exit code, 1 where something failed."""
    if done.written or not done.kept:
        number = len(done.written)
        place = done.written[0] if number == 1 and not (done.kept or done.failed) else output
        before = f"; {len(done.kept)} done before" if done.kept else ""
        print(f"{verb} {number} {noun}{'' if number == 1 else 's'} into {place}{before}.")
    else:
        print(f"All {len(done.kept)} {noun}s in {output} were done before: --overwrite makes them anew.")
    return tell_failures("fused", done.failed.values())
