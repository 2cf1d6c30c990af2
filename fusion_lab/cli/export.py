"""``fusion-lab export``: write a network as an ONNX file."""

from pathlib import Path

from jsonargparse import ArgumentParser

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.commands import COMMANDS

HELP = COMMANDS["export"]


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    args = parse(_parser(), argv)
    from fusion_lab.inference.onnx_export import export_onnx
    from fusion_lab.inference.weights import load_network

    difference = export_onnx(load_network(args.weights), args.output)
    print(f"Wrote {args.output}: images of any size, within {difference:.1e} of PyTorch.")
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab export",
        description=f"{HELP[0].upper()}{HELP[1:]}. It needs the extra onnx.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--weights", type=Path, default=Path("tita"), metavar="FILE", help="file or name of a network, as of `fuse`"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="ONNX", help="the new file, NAME.onnx")
    return parser
