"""``fusion-lab compare``: score several methods on the same pairs and make the table of a paper."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.evaluate import add_scoring_options, chosen_protocol, source_options, tell_bad, write_rows
from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path, make_folder

if TYPE_CHECKING:
    from fusion_lab.cli.evaluation import Evaluation
    from fusion_lab.metrics.protocols import Protocol

HELP = "score several methods and compare them in the table of a paper"
_METHOD = re.compile(r"[^/\\=]+")


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code, 1 where an image could not be scored."""
    args = parse(_parser(), argv)
    methods = named_folders(args.methods)
    protocol = chosen_protocol(args)
    if args.against is not None and args.against not in methods:
        raise FusionLabError(
            f"There is no method '{args.against}' to test against: choose one of {', '.join(methods)}."
        )

    # PyTorch takes seconds to load: mistakes in the arguments need not wait for it.
    from rich.console import Console

    from fusion_lab.reporting.methods import latex, markdown, method_table, terminal_tables, write_csv

    evaluations = evaluate_methods(methods, protocol, args, args.output)
    table = method_table({name: e.rows for name, e in evaluations.items()}, directions(protocol), args.against)
    write_csv(args.output / "table.csv", table)
    for name, text in (("table.md", markdown(table)), ("table.tex", latex(table))):
        with atomic_path(args.output / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    console = Console()
    for part in terminal_tables(table, console.width):
        console.print(part)
    print(
        f"The table is in {args.output} as table.csv, table.md and table.tex, the images of each method as METHOD.csv."
    )
    return max(tell_bad(evaluation) for evaluation in evaluations.values())


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


def evaluate_methods(
    methods: Mapping[str, Path], protocol: "Protocol", args: Namespace, output: Path
) -> "dict[str, Evaluation]":
    """Score all methods, with the options of `add_scoring_options`, and write ``METHOD.csv`` of each.

    Raises:
        FusionLabError: Files do not go together, or no image of a method could be scored.
    """
    from fusion_lab.cli.evaluation import evaluate, find_fused

    # All folders are looked at before the first image is scored.
    told = source_options(args)
    pairs = {name: find_fused(args.a, args.b, folder, args.reference, **told) for name, folder in methods.items()}
    make_folder(output)
    evaluations = {}
    for name, own in pairs.items():
        state = output / f"{name}.state.json"
        evaluations[name] = evaluate(own, protocol, state, args.device, args.workers, f"Scoring {name}")
        if not evaluations[name].rows:
            reason = next(iter(evaluations[name].bad.values()))
            raise FusionLabError(f"No image of the method '{name}' could be scored, such as: {reason}")
        write_rows(output / f"{name}.csv", evaluations[name])
    return evaluations


def directions(protocol: "Protocol") -> dict[str, bool]:
    """Tell for each label whether higher is better."""
    from fusion_lab.cli.evaluation import REFERENCE_METRICS

    return protocol.higher_is_better | {label: metric.higher_is_better for label, metric in REFERENCE_METRICS.items()}


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
