"""Fuse with the packaged network, fine-tune it, score and show both, on the embedded data, in minutes."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder

if TYPE_CHECKING:
    from fusion_lab.data.images import Picture
    from fusion_lab.data.pairs import Pair, PairDataset
    from fusion_lab.metrics import FusionMetric
    from fusion_lab.networks.base import FusionNetwork
    from fusion_lab.reporting.page import ReportPair
    from fusion_lab.reporting.scores import ScoreRow

EXPERIMENT = Path(__file__).parent / "experiments" / "demo.yaml"
WEIGHTS: Path | str = "tita"
"""What is shown first, and training begins with."""
_SOURCE_NAMES = {
    "ivf": ("Visible (simulated)", "Infrared (simulated)"),
    "mff": ("Far focus", "Near focus"),
    "mef": ("Over-exposed", "Under-exposed"),
}
_INTRO = (
    "The TITA that comes with the package, which learnt from real pairs; the same, fine-tuned for a minute or two on "
    "the embedded training pairs; and the plain average of the two sources: on validation pairs that neither has seen. "
    "The focus and exposure pairs are photographs whose second exposure or focus was synthesised; the infrared and "
    "visible pairs are simulated scenes, no measurements. The short training shows that everything works; it is no "
    "result to be quoted."
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
    """Fuse the embedded validation pairs with the packaged TITA, then fine-tune it, and write a page that shows both.

    Args:
        output: The folder of all results; a run of the demo in it is replaced.
        steps: Training steps, instead of the experiment's.
        tell: Is given a line at the beginning of each part.

    Raises:
        FusionLabError: ``output`` holds a run that is not one of ours.
    """
    make_folder(output)
    _remove_old_run(output / "run")

    from fusion_lab.data.embedded import write_embedded_pairs
    from fusion_lab.inference.weights import load_network, save_network

    tell("1/3  Fusing the validation pairs with the packaged TITA")
    data = output / "data"
    write_embedded_pairs(data / "embedded")
    packaged = _fuse(output / "fused", data, load_network(WEIGHTS))
    tell(f"     The images are in {output / 'fused'}.")

    from fusion_lab.runs.run import Run

    tell("2/3  Fine-tuning it on the embedded data")
    place = {"exp.output": str(output), "exp.name": "run", "exp.data_root": str(data)}
    steps_given = {} if steps is None else {"trainer.max_steps": steps}
    network = Run.load(EXPERIMENT, {**place, **steps_given}, weights=WEIGHTS).fit().network

    from fusion_lab.networks import Average
    from fusion_lab.reporting.scores import means, write_scores

    save_network(network, output / "tita.safetensors")
    tell("3/3  Fusing again, scoring and writing the report")
    tuned = _fuse(output / "fine_tuned", data, network)
    average = _fuse(None, data, Average())
    rows, shown = _score(data, {"TITA": packaged, "TITA, fine-tuned": tuned, "Average": average})
    write_scores(output / "scores.csv", [*rows, *means(rows)])
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


def _jobs(data: Path) -> "list[tuple[str, Pair]]":
    return [(task, pair) for task, pairs in _validation_pairs(data / "embedded").items() for pair in pairs.pairs]


def _fuse(folder: Path | None, data: Path, network: "FusionNetwork") -> "list[Picture]":
    """Fuse every validation pair; the images are kept as files where a folder is given."""
    from rich.progress import track

    from fusion_lab.data.images import write_picture
    from fusion_lab.inference.fuser import Fuser

    fuser = Fuser(network)
    pictures = []
    for task, pair in track(_jobs(data), "Fusing"):
        pictures.append(fuser(*pair.read()))
        if folder:
            write_picture(pictures[-1], folder / task / f"{pair.name}.png")
    return pictures


def _score(data: Path, fused: "dict[str, list[Picture]]") -> "tuple[list[ScoreRow], list[ReportPair]]":
    """Score what each method made of every validation pair."""
    import torch

    from fusion_lab.metrics import scores
    from fusion_lab.reporting.page import FusedImage, ReportPair
    from fusion_lab.reporting.scores import ScoreRow

    metrics = _metrics()
    rows, shown = [], []
    for index, (task, pair) in enumerate(_jobs(data)):
        sources = pair.read()
        images = []
        for method, pictures in fused.items():
            a, b, result = (torch.tensor(p.luminance())[None, None] for p in (*sources, pictures[index]))
            values = scores(result, a, b, metrics)
            rows.append(ScoreRow(task, pair.name, method, values))
            images.append(FusedImage(method, pictures[index].pixels, values))
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
