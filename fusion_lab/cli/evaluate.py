"""``fusion-lab evaluate``: score the fused images of one method."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.commands import COMMANDS
from fusion_lab.cli.options import add_source_options, tell_failures
from fusion_lab.errors import FusionLabError

if TYPE_CHECKING:
    from fusion_lab.evaluation.scores import Scores
    from fusion_lab.evaluation.scoring import Evaluation, SourceOptions
    from fusion_lab.metrics.protocols import Protocol

HELP = COMMANDS["evaluate"]


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code, 1 where an image could not be scored."""
    args = parse(_parser(), argv)
    if args.output.suffix.lower() != ".csv":
        raise FusionLabError(f"The output {args.output} should end in .csv.")

    # PyTorch takes seconds to load: mistakes in the arguments need not wait for it.
    from fusion_lab.evaluation.choice import choose_protocol
    from fusion_lab.evaluation.scoring import find_fused, score_pairs

    protocol = choose_protocol(args.protocol, args.metrics)
    pairs = find_fused(args.a, args.b, args.fused, args.reference, **_source_options(args))
    state = args.output.with_suffix(".state.json")
    evaluation = score_pairs(pairs, protocol, state, args.device, args.workers, "Scoring")
    if evaluation.rows:
        evaluation.write_rows(args.output)
        if args.json:
            evaluation.write_json(args.output.with_suffix(".json"), protocol)
        _print(evaluation, protocol)
        print(f"Scored {len(evaluation.rows)} images; a row for each is in {args.output}.")
    return tell_bad(evaluation)


def add_scoring_options(parser: ArgumentParser) -> None:
    """Let the user choose the sources, the metrics and where they are computed."""
    for name, text in (("a", "first"), ("b", "second")):
        parser.add_argument(
            f"--{name}",
            type=Path,
            required=True,
            metavar="DIR",
            help=f"folder, or pattern with {{name}}, of the {text} sources",
        )
    add_source_options(parser)
    parser.add_argument(
        "--reference", type=Path | None, metavar="DIR", help="ideal fused images, for PSNR and SSIM against them"
    )
    parser.add_argument(
        "--protocol",
        type=str,
        default="tita",
        metavar="NAME",
        help="metrics, variants and grey conversion of a table: tita, gifnet, vifb or cddfuse",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        type=str,
        metavar="METRIC",
        help="metrics instead of all of the protocol's, by label (in its variant where it has one) or class path",
    )
    parser.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu or cuda")
    parser.add_argument("--workers", type=PositiveInt, default=1, help="processes, each with one thread")


def evaluated(methods: Mapping[str, Path], args: Namespace, folder: Path) -> "Scores":
    """Score methods with the options of `add_scoring_options`, and keep the results in a folder."""
    from fusion_lab.evaluation.scores import evaluate

    return evaluate(
        methods,
        args.a,
        args.b,
        protocol=args.protocol,
        metrics=args.metrics,
        reference=args.reference,
        folder=folder,
        device=args.device,
        workers=args.workers,
        progress=True,
        **_source_options(args),
    )


def _source_options(args: Namespace) -> "SourceOptions":
    from fusion_lab.data.input_range import InputRange

    for text in (args.range_a, args.range_b):
        InputRange.of(text)
    return {
        "range_a": args.range_a,
        "range_b": args.range_b,
        "range_over": args.range_over,
        "unpaired": args.unpaired,
    }


def tell_bad(evaluation: "Evaluation") -> int:
    """Name the images that could not be scored on stderr; returns the exit code."""
    return tell_failures("scored", evaluation.bad.values())


def _print(evaluation: "Evaluation", protocol: "Protocol") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", "mean", title=f"Protocol {protocol.name}, {len(evaluation.rows)} images")
    table.columns[1].justify = "right"
    for label, value in evaluation.mean.items():
        table.add_row(label, f"{value:.4f}")
    Console().print(table)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="fusion-lab evaluate",
        description=f"{HELP.capitalize()}. Started again, it scores what is missing or has changed.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    add_scoring_options(parser)
    parser.add_argument(
        "--fused", type=Path, required=True, metavar="DIR", help="folder, or pattern with {name}, of the fused images"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.csv", help="table to write")
    parser.add_argument("--json", action="store_true", help="also write OUT.json, with protocol and versions")
    return parser
