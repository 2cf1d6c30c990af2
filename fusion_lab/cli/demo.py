"""``fusion-lab demo``: fuse, fine-tune, score and show on the embedded data, in minutes."""

import sys
from functools import partial
from pathlib import Path

from jsonargparse.typing import PositiveInt

from fusion_lab.cli.arguments import make_parser, parse, show
from fusion_lab.demo import run_demo


def main(argv: list[str]) -> int:
    """Run the demo; returns the exit code."""
    parser = make_parser("demo")
    add = parser.add_argument
    add("-o", "--output", type=Path, default=Path("outputs/demo"), metavar="DIR", help="folder of all results")
    add("--steps", type=PositiveInt, metavar="N", help="training steps, instead of the experiment's")
    args = parse(parser, argv)
    made = run_demo(args.output, args.steps and int(args.steps), partial(print, flush=True))
    rows = [{"task": row.task, "method": row.method, **row.scores} for row in made.scores]
    show(rows, "Mean scores on the validation pairs")
    command = sys.argv[0] if Path(sys.argv[0]).name == "fusion-lab" else "fusion-lab"
    print(
        f"\nMade in {made.output}/\n"
        f"  fused/             what the packaged network makes of the validation pairs\n"
        f"  fine_tuned/        what the fine-tuned one makes of them\n"
        f"  tita.safetensors   the fine-tuned network\n"
        f"  scores.csv         all scores\n"
        f"  run/               the checkpoint, the log and the whole configuration\n"
        f"  report.html        open it in a browser: sources, fused images, zoom, scores\n\n"
        "Try next:\n"
        f"  {command} fuse A.png B.png -o fused.png --weights {made.output}/tita.safetensors\n"
        f"  {command} fit --config experiments/tita/embedded.yaml\n"
        f"  {command} --help"
    )
    return 0
