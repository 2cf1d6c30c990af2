"""``fusion-lab demo``: fuse, fine-tune, score and show on the embedded data, in minutes."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fusion_lab.demo import run_demo
from fusion_lab.errors import FusionLabError

if TYPE_CHECKING:
    from fusion_lab.reporting.scores import ScoreRow


def main(argv: list[str]) -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="fusion-lab demo", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("outputs/demo"), help="folder of all results")
    parser.add_argument("--steps", type=_positive, default=None, help="training steps, instead of the experiment's")
    args = parser.parse_args(argv)
    made = run_demo(args.output, args.steps, partial(print, flush=True))
    _closing_words(made.output, made.scores)
    return 0


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise FusionLabError(f"`--steps` should be a whole number of at least 1. Found {text}.")
    return int(text)


def _closing_words(output: Path, rows: "list[ScoreRow]") -> None:
    from rich.console import Console
    from rich.table import Table

    command = sys.argv[0] if Path(sys.argv[0]).name == "fusion-lab" else "fusion-lab"
    table = Table("task", "method", *rows[0].scores, title="Mean scores on the validation pairs")
    for row in rows:
        table.add_row(row.task, row.method, *(f"{value:.3f}" for value in row.scores.values()))
    Console().print(table)
    print(
        f"\nMade in {output}/\n"
        f"  fused/             what the packaged network makes of the validation pairs\n"
        f"  fine_tuned/        what the fine-tuned one makes of them\n"
        f"  tita.safetensors   the fine-tuned network\n"
        f"  scores.csv         all scores\n"
        f"  run/               the checkpoint, the log and the whole configuration\n"
        f"  report.html        open it in a browser: sources, fused images, zoom, scores\n\n"
        "Try next:\n"
        f"  {command} fuse A.png B.png -o fused.png --weights {output}/tita.safetensors\n"
        f"  {command} fit --config experiments/tita/embedded.yaml\n"
        f"  {command} --help"
    )
