"""``fusion-lab demo``: train, fuse, score and show on the embedded data, in minutes."""

import argparse
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder

if TYPE_CHECKING:
    from fusion_lab.data.pairs import PairDataset
    from fusion_lab.metrics import FusionMetric
    from fusion_lab.networks.base import FusionNetwork
    from fusion_lab.reporting.page import ReportPair
    from fusion_lab.reporting.scores import ScoreRow

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "demo.yaml"
SOURCE_NAMES = {
    "ivf": ("Visible (simulated)", "Infrared (simulated)"),
    "mff": ("Far focus", "Near focus"),
    "mef": ("Over-exposed", "Under-exposed"),
}
INTRO = (
    "A TITA network, trained for a few minutes on small crops of the embedded training pairs, against the plain "
    "average of the two sources, on validation pairs that it has never seen. The focus and exposure pairs are "
    "photographs whose second exposure or focus was synthesised; the infrared and visible pairs are simulated "
    "scenes, no measurements. The short training shows that everything works; it is no result to be quoted."
)


def main(argv: list[str]) -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="fusion-lab demo", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("outputs/demo"), help="folder of all results")
    parser.add_argument("--steps", type=_positive, default=None, help="training steps, instead of the experiment's")
    args = parser.parse_args(argv)
    if not EXPERIMENT.is_file():
        raise FusionLabError("The demo needs the folder `experiments` beside the package: run it from a clone.")
    output = make_folder(args.output)

    from fusion_lab.cli import trainer

    _remove_old_run(output / "run")
    options = [f"--exp.output={output}", "--exp.name=run", f"--exp.data_root={output / 'data'}"]
    if args.steps is not None:
        options.append(f"--trainer.max_steps={args.steps}")
    print("1/3  Training TITA on the embedded data", flush=True)
    trainer.main("fit", ["--config", str(EXPERIMENT), *options])

    from fusion_lab.inference.weights import load_network, save_network
    from fusion_lab.networks import Average
    from fusion_lab.reporting.scores import means, write_scores

    weights = output / "tita.safetensors"
    network = load_network(output / "run" / "checkpoints" / "last.ckpt")
    save_network(network, weights)
    print("2/3  Fusing and scoring the validation pairs", flush=True)
    rows, shown = _fuse_and_score(output, {"TITA": network, "Average": Average()})
    write_scores(output / "scores.csv", [*rows, *means(rows)])
    print("3/3  Writing the report")
    _report(output / "report.html", shown)
    _closing_words(output, means(rows))
    return 0


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise FusionLabError(f"`--steps` should be a whole number of at least 1. Found {text}.")
    return int(text)


def _remove_old_run(run: Path) -> None:
    """Make room for a new run, but only where an old one was."""
    if not run.exists():
        return
    if not (run / "environment.json").is_file():
        raise FusionLabError(f"The folder {run} is no run of ours: name another --output.")
    shutil.rmtree(run)


def _validation_pairs(root: Path) -> "dict[str, PairDataset]":
    from fusion_lab.data import EmbeddedPairs

    return {
        "ivf": EmbeddedPairs("ivf", "val", root),
        "mff": EmbeddedPairs("mff", "val", root, a="b", b="a"),
        "mef": EmbeddedPairs("mef", "val", root, a="b", b="a"),
    }


def _fuse_and_score(output: Path, networks: "dict[str, FusionNetwork]") -> "tuple[list[ScoreRow], list[ReportPair]]":
    """Fuse every validation pair with every network; the first network's images are kept as files."""
    import torch
    from rich.progress import track

    from fusion_lab.data.images import write_picture
    from fusion_lab.inference.fuser import Fuser
    from fusion_lab.metrics import scores
    from fusion_lab.reporting.page import FusedImage, ReportPair
    from fusion_lab.reporting.scores import ScoreRow

    metrics = _metrics()
    fusers = {name: Fuser(network) for name, network in networks.items()}
    datasets = _validation_pairs(output / "data" / "embedded")
    jobs = [(task, pair) for task, dataset in datasets.items() for pair in dataset.pairs]
    rows, shown = [], []
    for task, pair in track(jobs, "Fusing"):
        sources = pair.read()
        fused = {name: fuser(*sources) for name, fuser in fusers.items()}
        write_picture(next(iter(fused.values())), output / "fused" / task / f"{pair.name}.png")
        images = []
        for name, picture in fused.items():
            a, b, result = (torch.tensor(p.luminance())[None, None] for p in (*sources, picture))
            values = scores(result, a, b, metrics)
            rows.append(ScoreRow(task, pair.name, name, values))
            images.append(FusedImage(name, picture.pixels, values))
        shown.append(ReportPair(pair.name, task, sources[0].pixels, sources[1].pixels, images, *SOURCE_NAMES[task]))
    return rows, shown


def _metrics() -> "list[FusionMetric]":
    from fusion_lab import metrics as m

    return [
        m.Entropy(),
        m.SpatialFrequency(),
        m.AverageGradient(),
        m.FusionMutualInformation(),
        m.EdgePreservation(),
        m.VisualInformationFidelitySum(),
        m.SumCorrelationDifferences(),
    ]


def _report(path: Path, shown: "list[ReportPair]") -> None:
    from fusion_lab.reporting.page import MetricColumn, write_page

    columns = [
        MetricColumn(metric.label, bool(metric.higher_is_better), _in_words(type(metric).__name__))
        for metric in _metrics()
    ]
    write_page(path, "fusion_lab demo", INTRO, shown, columns)


def _in_words(class_name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", class_name).capitalize()


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
        f"  tita.safetensors   the network\n"
        f"  fused/             the fused validation pairs\n"
        f"  scores.csv         all scores\n"
        f"  run/               the checkpoint, the log and the whole configuration\n"
        f"  report.html        open it in a browser: sources, fused images, zoom, scores\n\n"
        "Try next:\n"
        f"  {command} fuse A.png B.png -o fused.png --weights {output}/tita.safetensors\n"
        f"  {command} fit --config experiments/tita/embedded.yaml\n"
        f"  {command} --help"
    )
