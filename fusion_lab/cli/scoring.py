"""What the commands share that score several methods: ``compare`` and ``report``."""

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from fusion_lab.cli.arguments import chosen, make_parser, tell_failures
from fusion_lab.cli.options import add_scoring_options

if TYPE_CHECKING:
    from fusion_lab.evaluation.scores import Scores

_HANDED_ON = (
    *("a", "b", "protocol", "metrics", "reference", "device", "workers"),
    *("range_a", "range_b", "range_over", "unpaired"),
)


def methods_parser(command: str, more: str) -> ArgumentParser:
    """Make the parser of a command that takes methods."""
    parser = make_parser(command, more)
    parser.add_argument("methods", nargs="+", type=str, metavar="METHOD=DIR", help="a method and its fused images")
    add_scoring_options(parser)
    return parser


def evaluated(methods: dict[str, Path], args: Namespace, folder: Path) -> "Scores":
    """Score methods with the options of `add_scoring_options`, and keep the results in a folder."""
    # PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.
    from fusion_lab.evaluation.scores import evaluate

    return evaluate(methods, **chosen(args, *_HANDED_ON), folder=folder, progress=True)


def tell_not_scored(scores: "Scores") -> int:
    """Name the images that could not be scored on stderr; returns the exit code."""
    return max(tell_failures("scored", evaluation.bad.values()) for evaluation in scores.methods.values())
