"""``fusion-lab evaluate``: score the fused images of one method."""

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.options import add_source_options
from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path

if TYPE_CHECKING:
    from fusion_lab.cli.evaluation import Evaluation, SourceOptions
    from fusion_lab.metrics import FusionMetric
    from fusion_lab.metrics.protocols import Protocol

HELP = "score fused images by the metrics of a published table, or by any others"
_SHOWN = 10


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code, 1 where an image could not be scored."""
    args = parse(_parser(), argv)
    protocol = chosen_protocol(args)
    if args.output.suffix.lower() != ".csv":
        raise FusionLabError(f"The output {args.output} should end in .csv.")

    # PyTorch takes seconds to load: mistakes in the arguments need not wait for it.
    from fusion_lab.cli.evaluation import evaluate, find_fused

    pairs = find_fused(args.a, args.b, args.fused, args.reference, **source_options(args))
    state = args.output.with_suffix(".state.json")
    evaluation = evaluate(pairs, protocol, state, args.device, args.workers, "Scoring")
    if evaluation.rows:
        write_rows(args.output, evaluation)
        if args.json:
            _write_json(args.output.with_suffix(".json"), evaluation, protocol)
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


def source_options(args: Namespace) -> "SourceOptions":
    """Give what the options say of the sources."""
    from fusion_lab.data.input_range import InputRange

    for text in (args.range_a, args.range_b):
        InputRange.of(text)
    return {
        "range_a": args.range_a,
        "range_b": args.range_b,
        "range_over": args.range_over,
        "unpaired": args.unpaired,
    }


def chosen_protocol(args: Namespace) -> "Protocol":
    """Give the protocol that the options name, with other metrics if some are named.

    Raises:
        FusionLabError: There is no such protocol or metric.
    """
    from dataclasses import replace

    from fusion_lab.metrics.protocols import PROTOCOLS

    if args.protocol not in PROTOCOLS:
        raise FusionLabError(f"There is no protocol '{args.protocol}': choose one of {', '.join(PROTOCOLS)}.")
    protocol = PROTOCOLS[args.protocol]
    if not args.metrics:
        return protocol
    own = {label.lower(): label for label in protocol.metrics}
    metrics = {}
    for name in args.metrics:
        if label := own.get(name.lower()):
            metrics[label] = protocol.metrics[label]
        else:
            metric = _metric(name)
            metrics[metric.label] = metric
    source = f"Metrics chosen by hand; those of the protocol {protocol.name} are in its variants, and so are colours."
    return replace(protocol, metrics=metrics, source=source)


def _metric(name: str) -> "FusionMetric":
    """Make the metric that has a label or a class path."""
    from importlib import import_module
    from inspect import isabstract

    from fusion_lab import metrics
    from fusion_lab.metrics import FusionMetric

    module, _, attribute = name.rpartition(".")
    if module:
        try:
            found = getattr(import_module(module), attribute)
        except (ImportError, AttributeError):
            raise FusionLabError(f"There is no metric {name}: check the class path.") from None
        if not (isinstance(found, type) and issubclass(found, FusionMetric)) or isabstract(found):
            raise FusionLabError(f"The class {name} is no FusionMetric that can be computed.")
        try:
            return found()
        except TypeError as error:
            raise FusionLabError(f"The metric {name} cannot be made without arguments ({error}).") from None
    classes = [value for value in vars(metrics).values() if isinstance(value, type) and issubclass(value, FusionMetric)]
    labels = {cls.label.lower(): cls for cls in classes if cls is not FusionMetric}
    if name.lower() not in labels:
        known = ", ".join(sorted(cls.label for cls in labels.values()))
        raise FusionLabError(f"There is no metric '{name}': choose of {known}, or name a class.")
    return labels[name.lower()]()


def write_rows(target: Path, evaluation: "Evaluation") -> None:
    """Write a row for each image and one of the means."""
    rows = {**evaluation.rows, "mean": evaluation.mean}
    with atomic_path(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", *evaluation.mean])
        writer.writerows([name, *row.values()] for name, row in rows.items())


def tell_bad(evaluation: "Evaluation") -> int:
    """Name the images that could not be scored on stderr; returns the exit code."""
    reasons = list(evaluation.bad.values())
    for reason in reasons[:_SHOWN]:
        print(f"Not scored: {reason}", file=sys.stderr)
    if len(reasons) > _SHOWN:
        print(f"... and {len(reasons) - _SHOWN} more.", file=sys.stderr)
    return 1 if reasons else 0


def _write_json(target: Path, evaluation: "Evaluation", protocol: "Protocol") -> None:
    from fusion_lab.cli.evaluation import describe
    from fusion_lab.runs.record import environment

    told = {
        "protocol": protocol.name,
        "source": protocol.source,
        "metrics": describe(protocol),
        "mean": evaluation.mean,
        "images": evaluation.rows,
        "not_scored": evaluation.bad,
        "environment": environment(["evaluate"]),
    }
    with atomic_path(target) as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


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
