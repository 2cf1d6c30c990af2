"""``fusion-lab data make-focus`` and ``data sheet``: make multi-focus data, or look at it."""

from pathlib import Path

from jsonargparse import ArgumentParser
from jsonargparse.typing import NonNegativeInt, PositiveInt

from fusion_lab.cli.arguments import chosen, make_parser, parse
from fusion_lab.errors import FusionLabError

# PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.


def make(argv: list[str]) -> int:
    """Run ``make-focus``; returns the exit code."""
    parser = _sources("data make-focus")
    add = parser.add_argument
    add("-o", "--output", type=Path, required=True, metavar="DST", help="folder to make, or to go on with")
    add("--split", type=str, default="train", help="name of the folders that the files are in")
    args = parse(parser, argv)
    from fusion_lab import __version__
    from fusion_lab.data.auxiliary import FocusSynthesis
    from fusion_lab.data.make_focus import make_focus
    from fusion_lab.data.pairs import PairDataset
    from fusion_lab.runs.synthesis import load_synthesis

    synthesis, description = load_synthesis(args.synthesis)
    if not isinstance(synthesis, FocusSynthesis):
        kind = type(synthesis).__name__
        raise FusionLabError(
            f"The synthesis of {args.synthesis} is {kind}, but `make-focus` needs FocusSynthesis: name another file."
        )
    given = chosen(args, "visible", "infrared", "split", "seed", "patch")
    settings = {"fusion_lab": __version__, "source": str(args.source.resolve()), **given, "synthesis": description}
    pairs = PairDataset(args.source, args.visible, args.infrared)
    made, kept = make_focus(pairs, args.output, synthesis, settings, args.seed, args.split, args.patch)
    print(f"Made {made} pairs in {args.output}{f'; {kept} were there already' if kept else ''}.")
    return 0


def sheet(argv: list[str]) -> int:
    """Run ``sheet``; returns the exit code."""
    parser = _sources("data sheet")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="image file of the sheet")
    args = parse(parser, argv)
    from fusion_lab.data.contact_sheet import scene_rows, write_sheet
    from fusion_lab.data.images import check_image_suffix
    from fusion_lab.data.pairs import PairDataset
    from fusion_lab.runs.synthesis import load_synthesis

    check_image_suffix(args.output)
    synthesis, _ = load_synthesis(args.synthesis)
    rows = scene_rows(PairDataset(args.source, args.visible, args.infrared), synthesis, 12, args.seed, args.patch)
    write_sheet(args.output, rows)
    print(f"Drew {len(rows)} scenes in {args.output}.")
    return 0


def _sources(command: str) -> ArgumentParser:
    parser = make_parser(command)
    add = parser.add_argument
    add("source", type=Path, metavar="SRC", help="folder that both kinds of images are below")
    for name in ("visible", "infrared"):
        folder = f"folder of the {name} images below SRC, or a pattern with {{name}}"
        add(f"--{name}", type=str, default=name, metavar="PATTERN", help=folder)
    file = "configuration of `data.init_args.auxiliary`, as configs/synthesis/defocus.yaml; GIFNet's unless given"
    add("--synthesis", type=Path, metavar="FILE", help=file)
    add("--seed", type=NonNegativeInt, default=0, help="seed of all that is random")
    patch = "first cut square patches, each with a near and a far part of its own (GIFNet: 128); else whole images"
    add("--patch", type=PositiveInt, metavar="PIXELS", help=patch)
    return parser
