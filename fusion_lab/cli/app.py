"""``fusion-lab app``: a page to fuse images in the browser."""

from pathlib import Path

from fusion_lab.cli.arguments import make_parser, parse
from fusion_lab.cli.options import add_device, add_memory_limit


def main(argv: list[str]) -> int:
    """Run the command until Ctrl-C; returns the exit code."""
    parser = make_parser("app", ". It needs the extra app, and no internet")
    add = parser.add_argument
    add("--weights", type=Path, nargs="+", metavar="FILE", help="networks to offer besides those of the package")
    add("--port", type=int, help="port of the page; a free one from 7860 on unless given")
    add_device(parser)
    add_memory_limit(parser)
    args = parse(parser, argv)
    from fusion_lab.app import app, serve

    serve(app(args.weights or (), args.device, args.memory_limit), args.port)
    return 0
