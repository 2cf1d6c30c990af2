"""``fusion-lab export``: write a network as an ONNX file."""

from pathlib import Path

from fusion_lab.cli.arguments import make_parser, parse


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = make_parser("export", ". It needs the extra onnx")
    add = parser.add_argument
    add("--weights", type=Path, default=Path("tita"), metavar="FILE", help="file or name of a network, as of `fuse`")
    add("-o", "--output", type=Path, required=True, metavar="ONNX", help="the new file, NAME.onnx")
    args = parse(parser, argv)
    from fusion_lab.inference.onnx_export import export_onnx
    from fusion_lab.inference.weights import load_network

    difference = export_onnx(load_network(args.weights), args.output)
    print(f"Wrote {args.output}: images of any size, within {difference:.1e} of PyTorch.")
    return 0
