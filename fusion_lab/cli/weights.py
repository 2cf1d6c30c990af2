"""``fusion-lab weights``: list, get and convert weights, or look into them."""

import sys
from functools import partial
from pathlib import Path

from fusion_lab.cli.arguments import make_parser, parse, run_group, show

# PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.


def _list(argv: list[str]) -> int:
    parse(make_parser("weights list"), argv)
    from fusion_lab.inference.known_weights import known_weights

    show(known_weights(), unbroken=["name"])
    return 0


def _get(argv: list[str]) -> int:
    parser = make_parser("weights get")
    parser.add_argument("name", type=str, metavar="NAME", help="a name that `fusion-lab weights list` tells")
    file = ".safetensors file; in the cache of the user, where `--weights NAME` finds it, unless given"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=file)
    args = parse(parser, argv)
    from fusion_lab.inference.known_weights import get_weights
    from fusion_lab.public.weights import find_public_weights

    target = get_weights(args.name, args.output, progress=sys.stderr.isatty())
    weights = find_public_weights(args.name)
    print(f"Weights {args.name} of {weights.repository.home} at {weights.repository.commit} are in {target}.")
    print(f"Terms: {weights.terms}. The SHA-256 of the original is {weights.sha256}, as known.")
    return 0


def _convert(argv: list[str]) -> int:
    parser = make_parser("weights convert")
    add = parser.add_argument
    add("source", type=Path, metavar="SRC", help="official checkpoint, or one of fusion_lab")
    add("-o", "--output", type=Path, required=True, metavar="DST", help=".safetensors file")
    release = "take only the official checkpoint of this network: gifnet, swinfusion or tita"
    add("--network", type=str, metavar="NAME", help=release)
    add("--half", action="store_true", help="store numbers as float16, in half the space")
    args = parse(parser, argv)
    from fusion_lab.inference.weights import convert

    print(f"{args.source} is: {convert(args.source, args.output, args.network, args.half)}\nWritten to {args.output}.")
    return 0


def _info(argv: list[str]) -> int:
    parser = make_parser("weights info")
    parser.add_argument("file", type=Path, metavar="FILE", help="weights of any known kind")
    args = parse(parser, argv)
    from fusion_lab.inference.weights import find_weights, load_network, read_network

    file = find_weights(args.file)
    network = load_network(file)
    print(f"{file}: {read_network(file).kind}\n{network.description['class_path']}")
    parts = {**network.parts(), "all": network}
    show([{"part": name, "parameters": sum(p.numel() for p in part.parameters())} for name, part in parts.items()])
    told = {k: "\n".join(map(str, v)) if isinstance(v, list) else str(v) for k, v in network.init_args.items()}
    show([{"argument": name, "value": value} for name, value in told.items()])
    return 0


main = partial(run_group, "weights", {"list": _list, "get": _get, "convert": _convert, "info": _info})
