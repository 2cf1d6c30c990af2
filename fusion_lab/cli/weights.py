"""``fusion-lab weights``: list, get and convert weights, or look into them."""

from pathlib import Path

from jsonargparse import ArgumentParser

from fusion_lab.cli import weights_get, weights_list
from fusion_lab.cli.arguments import parse
from fusion_lab.cli.commands import COMMANDS

HELP = COMMANDS["weights"]


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    args = parse(_parser(), argv)
    if args.subcommand == "list":
        return weights_list.run(args["list"])
    if args.subcommand == "get":
        return weights_get.run(args["get"])
    if args.subcommand == "convert":
        return _convert(args.convert.source, args.convert.output, args.convert.network, args.convert.half)
    return _info(args.info.file)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="fusion-lab weights", description=f"{HELP.capitalize()}.", exit_on_error=False)
    commands = parser.add_subcommands(required=True)
    commands.add_subcommand("list", weights_list.parser(), help="list the weights that are shipped or can be fetched")
    commands.add_subcommand("get", weights_get.parser(), help="fetch published weights")

    convert = ArgumentParser(description="Write a checkpoint as .safetensors of fusion_lab.", exit_on_error=False)
    convert.add_argument("source", type=Path, metavar="SRC", help="official checkpoint, or one of fusion_lab")
    convert.add_argument("-o", "--output", type=Path, required=True, metavar="DST", help=".safetensors file")
    convert.add_argument(
        "--network",
        type=str | None,
        metavar="NAME",
        help="take only the official checkpoint of this network: gifnet, swinfusion or tita",
    )
    convert.add_argument("--half", action="store_true", help="store numbers as float16, in half the space")
    commands.add_subcommand("convert", convert, help="write a checkpoint as .safetensors")

    info = ArgumentParser(description="Tell which network a file holds.", exit_on_error=False)
    info.add_argument("file", type=Path, metavar="FILE", help="weights of any known kind")
    commands.add_subcommand("info", info, help="tell which network a file holds")
    return parser


# PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.


def _convert(source: Path, target: Path, release: str | None, half: bool) -> int:
    from fusion_lab.inference.weights import convert

    report = convert(source, target, release, half)
    print(f"{source} is: {report.kind}.")
    for what, keys in (
        ("used", report.used),
        ("dropped, of no use to the network", report.dropped),
        ("unexpected, left out", report.unexpected),
        ("missing", report.missing),
    ):
        print(f"{len(keys)} keys {what}{':' if keys else ''}")
        for key in keys:
            print(f"  {key}")
    print(f"Written to {target}.")
    return 0


def _info(file: Path) -> int:
    from rich.console import Console
    from rich.table import Table

    from fusion_lab.inference.weights import find_weights, load_network, read_network

    file = find_weights(file)
    kind = read_network(file).kind
    network = load_network(file)
    description = network.description
    parameters = Table("part", "parameters")
    parameters.columns[1].justify = "right"
    for name, part in network.parts().items():
        parameters.add_row(name, f"{sum(p.numel() for p in part.parameters()):,}")
    parameters.add_section()
    parameters.add_row("all", f"{sum(p.numel() for p in network.parameters()):,}")
    arguments = Table("argument", "value")
    arguments.columns[1].overflow = "fold"
    for name, value in description["init_args"].items():
        arguments.add_row(name, "\n".join(map(str, value)) if isinstance(value, list) else str(value))

    console = Console()
    console.print(f"{file}: {kind}", markup=False, highlight=False, soft_wrap=True)
    console.print(description["class_path"], markup=False, highlight=False, soft_wrap=True)
    console.print(parameters, arguments)
    return 0
