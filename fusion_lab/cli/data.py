"""``fusion-lab data``: get public data sets and check them, or make multi-focus data from visible-infrared pairs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from fusion_lab.cli import data_check, data_get, data_list
from fusion_lab.cli.arguments import parse
from fusion_lab.cli.commands import COMMANDS
from fusion_lab.errors import FusionLabError

if TYPE_CHECKING:
    from fusion_lab.data.pairs import PairDataset

HELP = COMMANDS["data"]
_SHEET_ROWS = 12


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    args = parse(_parser(), argv)
    return _COMMANDS[args.subcommand](args[args.subcommand])


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fusion-lab data", description=f"{HELP.capitalize()}.", exit_on_error=False)
    commands = parser.add_subcommands(required=True)
    commands.add_subcommand("list", data_list.parser(), help="list the public data sets")
    commands.add_subcommand("get", data_get.parser(), help="fetch a public data set, or tell how to get it by hand")
    commands.add_subcommand("check", data_check.parser(), help="check data sets on disk, and their checksums")

    make = _sources("Write near- and far-focused versions of visible images, in the layout of GIFNet's release.")
    make.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DST", help="folder to make, or to go on with"
    )
    make.add_argument("--split", type=str, default="train", help="name of the folders that the files are in")
    commands.add_subcommand("make-focus", make, help="write near- and far-focused versions of visible images")

    sheet = _sources("Draw twelve scenes as a contact sheet: clear, focus map, near, far.")
    sheet.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="image file of the sheet")
    commands.add_subcommand("sheet", sheet, help="draw a contact sheet: clear, focus map, near, far")
    return parser


def _sources(description: str) -> ArgumentParser:
    parser = ArgumentParser(description=description, exit_on_error=False)
    parser.add_argument("source", type=Path, metavar="SRC", help="folder that both kinds of images are below")
    for name in ("visible", "infrared"):
        text = f"folder of the {name} images below SRC, or a pattern with {{name}}"
        parser.add_argument(f"--{name}", type=str, default=name, metavar="PATTERN", help=text)
    parser.add_argument(
        "--synthesis",
        type=Path | None,
        metavar="FILE",
        help="configuration of `data.init_args.auxiliary`, as configs/synthesis/defocus.yaml; GIFNet's unless given",
    )
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="seed of all that is random")
    parser.add_argument(
        "--patch",
        type=PositiveInt | None,
        metavar="PIXELS",
        help="first cut square patches, each with a near and a far part of its own (GIFNet: 128); else whole images",
    )
    return parser


# PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.


def _make_focus(args: Namespace) -> int:
    from fusion_lab import __version__
    from fusion_lab.data.auxiliary import FocusSynthesis
    from fusion_lab.data.make_focus import make_focus
    from fusion_lab.runs.synthesis import load_synthesis

    synthesis, description = load_synthesis(args.synthesis)
    if not isinstance(synthesis, FocusSynthesis):
        raise FusionLabError(
            f"The synthesis of {args.synthesis} is {type(synthesis).__name__}, but `make-focus` needs FocusSynthesis: "
            "name another file."
        )
    settings = {
        "fusion_lab": __version__,
        "source": str(args.source.resolve()),
        **{name: args[name] for name in ("visible", "infrared", "split", "seed", "patch")},
        "synthesis": description,
    }
    dataset = _pairs(args)
    made, kept = make_focus(dataset, args.output, synthesis, settings, args.seed, args.split, args.patch)
    print(f"Made {made} pairs in {args.output}{f'; {kept} were there already' if kept else ''}.")
    return 0


def _sheet(args: Namespace) -> int:
    from fusion_lab.data.contact_sheet import scene_rows, write_sheet
    from fusion_lab.data.images import check_image_suffix
    from fusion_lab.runs.synthesis import load_synthesis

    check_image_suffix(args.output)
    synthesis, _ = load_synthesis(args.synthesis)
    rows = scene_rows(_pairs(args), synthesis, _SHEET_ROWS, args.seed, args.patch)
    write_sheet(args.output, rows)
    print(f"Drew {len(rows)} scenes in {args.output}.")
    return 0


def _pairs(args: Namespace) -> "PairDataset":
    from fusion_lab.data.pairs import PairDataset

    return PairDataset(args.source, args.visible, args.infrared)


_COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "list": data_list.run,
    "get": data_get.run,
    "check": data_check.run,
    "make-focus": _make_focus,
    "sheet": _sheet,
}
