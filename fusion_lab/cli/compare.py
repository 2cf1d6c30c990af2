"""``fusion-lab compare``: score several methods on the same pairs and make the table of a paper."""

from pathlib import Path

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.scoring import evaluated, methods_parser, tell_not_scored
from fusion_lab.errors import FusionLabError

_DETAILS = ", on the images that all methods have. Started again, it scores what is missing or has changed"


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code, 1 where an image could not be scored."""
    parser = methods_parser("compare", _DETAILS)
    add = parser.add_argument
    add("--against", type=str, metavar="METHOD", help="method that the others are tested against (Wilcoxon)")
    add("-o", "--output", type=Path, required=True, metavar="FOLDER", help="folder of all results")
    args = parse(parser, argv)
    from fusion_lab.evaluation.choice import named_folders

    methods = named_folders(args.methods)
    if args.against is not None and args.against not in methods:
        known = ", ".join(methods)
        raise FusionLabError(f"There is no method '{args.against}' to test against: choose one of {known}.")
    scores = evaluated(methods, args, args.output)

    from rich.console import Console

    from fusion_lab.reporting.methods import grid

    console = Console()
    for part in grid(scores.write(args.output, args.against), "\n± ").terminal_parts(console.width):
        console.print(part)
    print(f"In {args.output} are table.csv, table.md and table.tex, and the images of each method as METHOD.csv.")
    return tell_not_scored(scores)
