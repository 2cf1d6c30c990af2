"""Train, fuse, score and show on the embedded data, in minutes."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
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

EXPERIMENT = Path(__file__).parent / "experiments" / "demo.yaml"
_SOURCE_NAMES = {
    "ivf": ("Visible (simulated)", "Infrared (simulated)"),
    "mff": ("Far focus", "Near focus"),
    "mef": ("Over-exposed", "Under-exposed"),
}
_INTRO = (
    "A TITA network, trained for a few minutes on small crops of the embedded training pairs, against the plain "
    "average of the two sources, on validation pairs that it has never seen. The focus and exposure pairs are "
    "photographs whose second exposure or focus was synthesised; the infrared and visible pairs are simulated "
    "scenes, no measurements. The short training shows that everything works; it is no result to be quoted."
)


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Attributes:
        output: The folder of all results.
        scores: The mean scores of each task and method.
    """

    output: Path
    scores: "list[ScoreRow]"


def run_demo(output: Path, steps: int | None = None, tell: Callable[[str], None] = print) -> Demo:
    """Train a small TITA on the embedded data, fuse and score the validation pairs, and write a page that shows them.

    Args:
        output: The folder of all results; a run of the demo in it is replaced.
        steps: Training steps, instead of the experiment's.
        tell: Is given a line at the beginning of each part.

    Raises:
        FusionLabError: ``output`` holds a run that is not one of ours.
    """
    make_folder(output)

    from fusion_lab.runs.run import Run

    _remove_old_run(output / "run")
    place = {"exp.output": str(output), "exp.name": "run", "exp.data_root": str(output / "data")}
    tell("1/3  Training TITA on the embedded data")
    network = Run.load(EXPERIMENT, {**place, **({} if steps is None else {"trainer.max_steps": steps})}).fit().network

    from fusion_lab.inference.weights import save_network
    from fusion_lab.networks import Average
    from fusion_lab.reporting.scores import means, write_scores

    save_network(network, output / "tita.safetensors")
    tell("2/3  Fusing and scoring the validation pairs")
    rows, shown = _fuse_and_score(output, {"TITA": network, "Average": Average()})
    write_scores(output / "scores.csv", [*rows, *means(rows)])
    tell("3/3  Writing the report")
    _report(output / "report.html", shown)
    return Demo(output, means(rows))


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
        shown.append(ReportPair(pair.name, task, sources[0].pixels, sources[1].pixels, images, *_SOURCE_NAMES[task]))
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
    write_page(path, "fusion_lab demo", _INTRO, shown, columns)


def _in_words(class_name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", class_name).capitalize()
