"""``fusion-lab compare``: score several methods on the same pairs and make the table of a paper."""

import re
from pathlib import Path

from jsonargparse import ArgumentParser

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.commands import COMMANDS
from fusion_lab.cli.evaluate import add_scoring_options, evaluated, tell_bad
from fusion_lab.errors import FusionLabError

HELP = COMMANDS["compare"]
_METHOD = re.compile(r"[^/\\=]+")


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code, 1 where an image could not be scored."""
    args = parse(_parser(), argv)
    methods = named_folders(args.methods)
    if args.against is not None and args.against not in methods:
        raise FusionLabError(
            f"There is no method '{args.against}' to test against: choose one of {', '.join(methods)}."
        )
    scores = evaluated(methods, args, args.output)

    from rich.console import Console

    from fusion_lab.reporting.methods import terminal_tables

    table = scores.write(args.output, args.against)
    console = Console()
    for part in terminal_tables(table, console.width):
        console.print(part)
    print(
        f"The table is in {args.output} as table.csv, table.md and table.tex, the images of each method as METHOD.csv."
    )
    return max(tell_bad(evaluation) for evaluation in scores.methods.values())


def named_folders(methods: list[str]) -> dict[str, Path]:
    """Read ``METHOD=DIR`` arguments.

    Raises:
        FusionLabError: One has another form, or two have one name.
    """
    named: dict[str, Path] = {}
    for method in methods:
        name, given, folder = method.partition("=")
        # The table itself is called so.
        if not (given and folder and _METHOD.fullmatch(name)) or name.lower() == "table":
            raise FusionLabError(
                f"The method '{method}' should be NAME=DIR, with a name that can be one of a file, other than 'table'."
            )
        if name in named:
            raise FusionLabError(f"Two methods are called '{name}': give each a name of its own.")
        named[name] = Path(folder)
    return named


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab compare",
        description=(
            f"{HELP.capitalize()}: methods in rows, metrics in columns, on the images that all methods have. Started "
            "again, it scores what is missing or has changed."
        ),
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("methods", nargs="+", type=str, metavar="METHOD=DIR", help="a method and its fused images")
    add_scoring_options(parser)
    parser.add_argument(
        "--against", type=str | None, metavar="METHOD", help="method that the others are tested against (Wilcoxon)"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="folder of all results")
    return parser
