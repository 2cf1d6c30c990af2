"""``fusion-lab report``: score several methods and show them with their images on one page for the browser."""

from pathlib import Path

from jsonargparse.typing import PositiveInt

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.scoring import evaluated, methods_parser, tell_not_scored
from fusion_lab.errors import FusionLabError

_DETAILS = (
    ": a table to sort, bars for each image, and a viewer that swipes between sources and results, with zoom and "
    "differences. The scores are kept beside the page, as `compare` keeps them"
)


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code, 1 where an image could not be scored."""
    parser = methods_parser("report", _DETAILS)
    add = parser.add_argument
    task = "heading of the pairs: ivf, mff, mef, mif, nir, pan, or any other text"
    add("--task", type=str, default="Image pairs", metavar="TASK", help=task)
    limit = "pairs whose images are shown, the first by name; all are scored (a page of all may be hundreds of MB)"
    add("--limit", type=PositiveInt, default=10, metavar="N", help=limit)
    add("-o", "--output", type=Path, required=True, metavar="OUT.html", help="page to write")
    args = parse(parser, argv)
    if args.output.suffix.lower() not in (".html", ".htm"):
        raise FusionLabError(f"The output {args.output} should end in .html.")
    if args.output.is_dir():
        raise FusionLabError(f"The output {args.output} is a folder: name a file.")
    from fusion_lab.evaluation.choice import named_folders
    from fusion_lab.evaluation.page import write_report

    scores = evaluated(named_folders(args.methods), args, args.output.parent)
    names = args.a.name, args.b.name
    shown, together = write_report(scores, args.output, names, args.task, args.limit, bool(args.metrics))
    size = args.output.stat().st_size / 1e6
    left_out = f"; --limit {together} shows all" if shown < together else ""
    print(f"The page {args.output} ({size:.1f} MB) shows {shown} of {together} scored pairs{left_out}.")
    return tell_not_scored(scores)
