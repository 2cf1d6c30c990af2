"""``fusion-lab evaluate``: score the fused images of one method."""

from pathlib import Path

from fusion_lab.cli.arguments import chosen, make_parser, parse, show, tell_failures
from fusion_lab.cli.options import add_scoring_options
from fusion_lab.errors import FusionLabError


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code, 1 where an image could not be scored."""
    parser = make_parser("evaluate", ". Started again, it scores what is missing or has changed")
    add_scoring_options(parser)
    add = parser.add_argument
    add("--fused", type=Path, required=True, metavar="DIR", help="folder, or pattern with {name}, of the fused images")
    add("-o", "--output", type=Path, required=True, metavar="OUT.csv", help="table to write")
    add("--json", action="store_true", help="also write OUT.json, with protocol and versions")
    args = parse(parser, argv)
    if args.output.suffix.lower() != ".csv":
        raise FusionLabError(f"The output {args.output} should end in .csv.")

    # PyTorch takes seconds to load: mistakes in the arguments need not wait for it.
    from fusion_lab.evaluation.choice import choose_protocol
    from fusion_lab.evaluation.scoring import find_fused, score_pairs

    protocol = choose_protocol(args.protocol, args.metrics)
    pairs = find_fused(**chosen(args, "a", "b", "fused", "reference", "range_a", "range_b", "range_over", "unpaired"))
    state = args.output.with_suffix(".state.json")
    evaluation = score_pairs(pairs, protocol, state, args.device, args.workers, "Scoring")
    if evaluation.rows:
        evaluation.write_rows(args.output)
        if args.json:
            evaluation.write_json(args.output.with_suffix(".json"), protocol)
        means = [{"metric": label, "mean": value} for label, value in evaluation.mean.items()]
        show(means, f"Protocol {protocol.name}, {len(evaluation.rows)} images")
        print(f"Scored {len(evaluation.rows)} images; a row for each is in {args.output}.")
    return tell_failures("scored", evaluation.bad.values())
