"""Parsing the arguments of a command."""

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
