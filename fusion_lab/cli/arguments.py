"""Parsing the arguments of a command."""

import shlex

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from fusion_lab.errors import FusionLabError


def parse(parser: ArgumentParser, argv: list[str]) -> Namespace:
    """Parse the arguments of a command.

    Raises:
        FusionLabError: They are wrong, in one sentence.
    """
    try:
        return parser.parse_args(argv)
    except ArgumentError as error:
        raise FusionLabError(" ".join(str(error).split())) from None


def after_dashes(argv: list[str]) -> tuple[list[str], list[str]]:
    """Return the words before ``--`` and those after it."""
    place = argv.index("--") if "--" in argv else len(argv)
    return argv[:place], argv[place + 1 :]


def add_submit_option(parser: ArgumentParser) -> None:
    """Let the user have every run of many on a cluster."""
    parser.add_argument(
        "--submit",
        type=str | None,
        metavar="OPTIONS",
        help="run each as a job of a cluster, --jobs at a time; options of `fusion-lab submit`, such as '--gpus 1'",
    )


def submit_options(given: str | None) -> list[str] | None:
    """Take the options of ``--submit`` apart; None where nothing is submitted.

    Raises:
        FusionLabError: A quotation mark is missing.
    """
    try:
        return None if given is None else shlex.split(given)
    except ValueError as error:
        raise FusionLabError(f"--submit cannot be read ({error}): put it in quotation marks as a whole.") from None
