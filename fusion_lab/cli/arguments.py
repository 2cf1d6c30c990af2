"""Parsing the arguments of a command."""

import shlex
from typing import TYPE_CHECKING

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from fusion_lab.errors import FusionLabError

if TYPE_CHECKING:
    from fusion_lab.studies.launching import Jobs


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


def submit_launcher(given: str | None) -> "Jobs | None":
    """Return what launches the trials as the options of ``--submit`` say; None where nothing is submitted.

    Raises:
        FusionLabError: A quotation mark is missing, or an option is wrong.
    """
    if given is None:
        return None
    try:
        words = shlex.split(given)
    except ValueError as error:
        raise FusionLabError(f"--submit cannot be read ({error}): put it in quotation marks as a whole.") from None

    from fusion_lab.cli.submit import read_cluster
    from fusion_lab.studies.launching import Jobs

    cluster = read_cluster(words)
    cluster.check()
    return Jobs(cluster)
