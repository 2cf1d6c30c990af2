"""``fusion-lab app``: a page to fuse images in the browser."""

from pathlib import Path

from jsonargparse import ArgumentParser
from jsonargparse.typing import PositiveFloat

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.commands import COMMANDS

HELP = COMMANDS["app"]


def main(argv: list[str]) -> int:
    """Run the command until Ctrl-C; returns the exit code."""
    args = parse(_parser(), argv)
    from fusion_lab.app import app, serve

    serve(app(args.weights or (), args.device, args.memory_limit), args.port)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab app",
        description=f"{HELP.capitalize()}. It needs the extra app, and no internet.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--weights", type=Path, nargs="+", metavar="FILE", help="networks to offer besides those of the package"
    )
    parser.add_argument("--port", type=int | None, help="port of the page; a free one from 7860 on unless given")
    parser.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu or cuda")
    parser.add_argument(
        "--memory-limit", type=PositiveFloat, default=6.0, metavar="GIB", help="memory for a network, as of `fuse`"
    )
    return parser
