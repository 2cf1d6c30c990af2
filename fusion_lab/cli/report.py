"""``fusion-lab report``: score several methods and show them with their images on one page for the browser."""

from pathlib import Path

from jsonargparse import ArgumentParser
from jsonargparse.typing import PositiveInt

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.commands import COMMANDS
from fusion_lab.cli.compare import named_folders
from fusion_lab.cli.evaluate import add_scoring_options, evaluated, tell_bad
from fusion_lab.errors import FusionLabError

HELP = COMMANDS["report"]


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code, 1 where an image could not be scored."""
    args = parse(_parser(), argv)
    methods = named_folders(args.methods)
    if args.output.suffix.lower() not in (".html", ".htm"):
        raise FusionLabError(f"The output {args.output} should end in .html.")
    if args.output.is_dir():
        raise FusionLabError(f"The output {args.output} is a folder: name a file.")
    scores = evaluated(methods, args, args.output.parent)

    from fusion_lab.evaluation.page import write_report

    names = args.a.name, args.b.name
    shown, together = write_report(scores, args.output, names, args.task, args.limit, bool(args.metrics))
    size = args.output.stat().st_size / 1e6
    left_out = f"; --limit {together} shows all" if shown < together else ""
    print(f"The page {args.output} ({size:.1f} MB) shows {shown} of {together} scored pairs{left_out}.")
    return max(tell_bad(evaluation) for evaluation in scores.methods.values())


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab report",
        description=(
            f"{HELP.capitalize()}: a table to sort, bars for each image, and a viewer that swipes between sources and "
            "results, with zoom and differences. The scores are kept beside the page, as `compare` keeps them: in one "
            "folder both commands share them."
        ),
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("methods", nargs="+", type=str, metavar="METHOD=DIR", help="a method and its fused images")
    add_scoring_options(parser)
    parser.add_argument(
        "--task",
        type=str,
        default="Image pairs",
        metavar="TASK",
        help="heading of the pairs: ivf, mff, mef, mif, nir, pan, or any other text",
    )
    parser.add_argument(
        "--limit",
        type=PositiveInt,
        default=10,
        metavar="N",
        help="pairs whose images are shown, the first by name; all are scored (a page of all may be hundreds of MB)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.html", help="page to write")
    return parser
