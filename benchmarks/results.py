"""``make results``: score the shipped networks, their official weights, IFCNN and the classical methods on real pairs.

    python benchmarks/results.py --data ../shared/data --official gifnet.model --ifcnn IFCNN-MAX.pth IFCNN-MEAN.pth

The folder of data holds ``DATASET/SPLIT/a|b/NAME``. What is scored is kept in ``outputs/results`` and scored again only
where the weights change. Writes docs/RESULTS.md.
"""

import argparse
import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import bootstrap
from torch import nn

from fusion_lab.data.augmentation import CentreCrop
from fusion_lab.data.pairs import PairDataset
from fusion_lab.files import atomic_path, write_text
from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.inference.weights import load_network
from fusion_lab.metrics.base import quantise
from fusion_lab.metrics.protocols import PROTOCOLS
from fusion_lab.networks import Average, GuidedFilter, LaplacianPyramid, Maximum, Wavelet
from fusion_lab.reporting.methods import MethodTable, Rows, grid, method_table

ROOT = Path(__file__).parents[1]
OURS = {"tita": "TITA (ours)", "gifnet": "GIFNet (ours)"}
LEAST_SIDE = 136
"""Pixels of a side that every metric of both protocols can take."""
RESAMPLES = 9_999


@dataclass(frozen=True)
class Part:
    """A part of a data set that is scored: folders in the order of TITA's paper, and what it was used for."""

    folder: str
    a: str
    b: str
    note: str


VALIDATION = "weights and recipe were chosen on it"
TASKS: dict[str, tuple[str, list[Part]]] = {
    "ivf": (
        "Infrared and visible (IVF)",
        [
            Part("roadscene/val", "a", "b", VALIDATION),
            Part("msrs/test", "a", "b", "not seen"),
            Part("vifb/test", "a", "b", "not seen"),
            Part("llvip/test", "a", "b", "not seen; the camera's place was trained on"),
            Part("m3fd_sample/test", "a", "b", "not seen"),
        ],
    ),
    "mff": (
        "Multi-focus (MFF)",
        [Part("mfifb/val", "b", "a", VALIDATION), Part("roadmf_sample/test", "b", "a", "not seen")],
    ),
    "mef": ("Multi-exposure (MEF)", [Part("mefb/val", "b", "a", VALIDATION)]),
    "mif": (
        "Medical (MIF), a task never trained",
        [
            Part("harvard_ct_mri/test", "a", "b", "not seen"),
            Part("harvard_spect_mri/test", "a", "b", "not seen"),
        ],
    ),
    "nir": ("Near infrared and visible, a task never trained", [Part("nir/test", "a", "b", "not seen")]),
    "pan": ("Remote sensing (PAN), a task never trained", [Part("pan/test", "a", "b", "not seen")]),
}


@dataclass(frozen=True)
class Method:
    """A network by the name of its row; ``key`` changes when its weights do."""

    name: str
    load: Callable[[], nn.Module]
    key: str
    visible_first: bool = False
    """Whether the under-exposed image of an exposure pair is its first source, as GIFNet's."""


def methods(official: Path | None, ifcnn: list[Path]) -> list[Method]:
    """List the rows of the tables, ours first."""
    found = [Method(row, partial(load_network, name), _key(name), name == "gifnet") for name, row in OURS.items()]
    if official:
        found.append(Method("GIFNet (official)", partial(load_network, official), _digest(official), True))
    found += [Method(path.stem, partial(load_network, path), _digest(path)) for path in ifcnn]
    classical = {
        "Average": Average,
        "Maximum": Maximum,
        "Laplacian pyramid": LaplacianPyramid,
        "Guided filter": GuidedFilter,
        "Wavelet": Wavelet,
    }
    return found + [Method(name, network, "1") for name, network in classical.items()]


def _key(name: str) -> str:
    return _digest(ROOT / "fusion_lab" / "weights" / f"{name}.safetensors")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def score(method: Method, task: str, part: Part, data: Path, crop: int, store: Path) -> dict[str, dict[str, float]]:
    """Return the scores of each pair under both protocols, ``tita.MI`` and so on, kept in ``store``."""
    file = store / f"{part.folder.replace('/', '-')}-{crop}-{method.name}-{method.key}.json"
    if file.exists():
        known: dict[str, dict[str, float]] = json.loads(file.read_text())
        return known
    network = method.load()
    dataset = PairDataset(str(data / part.folder), part.a, part.b)
    rows: dict[str, dict[str, float]] = {}
    for index, pair in enumerate(dataset.pairs):
        sample = dataset.sample(index, CentreCrop(crop) if crop else None, 0)
        a, b = sample["source_a"][None], sample["source_b"][None]
        if min(a.shape[-2:]) < LEAST_SIDE:
            continue
        sources = (b, a) if task == "mef" and method.visible_first else (a, b)
        fused = fuse_luminance(network, *sources)
        images = [np.rint(quantise(image)[0, 0].numpy()).astype(np.uint8) for image in (fused, a, b)]
        rows[pair.name] = {
            f"{name}.{label}": value
            for name in ("tita", "gifnet")
            for label, value in PROTOCOLS[name].scores(*images).items()
        }
    store.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(rows))
    return rows


def of_protocol(results: Mapping[str, Rows], name: str) -> dict[str, Rows]:
    """Keep the metrics of one protocol, under their own labels."""
    head = f"{name}."
    return {
        method: {
            image: {label.removeprefix(head): v for label, v in row.items() if label.startswith(head)}
            for image, row in rows.items()
        }
        for method, rows in results.items()
    }


def differences(table: MethodTable, ours: str) -> str:
    """Tell how much higher each method scores than ours: the mean, and its 95 % bootstrap interval over the pairs."""
    base = table.values[table.methods.index(ours)]
    lines = [["minus " + ours, *table.labels], ["---", *["---:"] * len(table.labels)]]
    for row, method in enumerate(table.methods):
        if method == ours:
            continue
        cells = []
        for column in range(len(table.labels)):
            values = table.values[row, :, column] - base[:, column]
            if not np.ptp(values):
                cells.append(f"{values.mean():+.3f}")
                continue
            found = bootstrap((values,), np.mean, n_resamples=RESAMPLES, rng=np.random.default_rng(0), method="basic")
            interval = found.confidence_interval
            cells.append(f"{values.mean():+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]")
        lines.append([method, *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def extremes(table: MethodTable, images: list[str], ours: str) -> str:
    """Name the pairs where ours does best and worst against all methods, in units of their deviation on the pair."""
    signs = np.where(table.higher_is_better, 1, -1)
    centred = table.values - table.values.mean(axis=0)
    gain = (centred[table.methods.index(ours)] / (table.values.std(axis=0) + 1e-12) * signs).mean(axis=1)
    return f"{ours}: best on `{images[int(gain.argmax())]}`, worst on `{images[int(gain.argmin())]}`."


def section(title: str, results: dict[str, dict[str, Rows]]) -> str:
    """Write what is told of one task: all its pairs together under both protocols, then each part.

    Args:
        title: The heading.
        results: The scores of each method, by the folder of the part.
    """
    methods = list(next(iter(results.values())))
    pooled = {
        method: {f"{folder}/{image}": row for folder, part in results.items() for image, row in part[method].items()}
        for method in methods
    }
    text = [f"## {title}\n"]
    for name in ("tita", "gifnet"):
        table = method_table(of_protocol(pooled, name), PROTOCOLS[name].higher_is_better, OURS["tita"])
        text += [f"Protocol `{name}`, all parts:\n", grid(table).markdown()]
        ours = OURS[name]
        text += [f"Differences to {ours}, 95 % bootstrap intervals over the pairs:\n", differences(table, ours)]
        text.append(extremes(table, list(pooled[methods[0]]), ours) + "\n")
    if len(results) > 1:
        for folder, part in results.items():
            table = method_table(of_protocol(part, "tita"), PROTOCOLS["tita"].higher_is_better)
            text += [f"`{folder}`, protocol `tita`:\n", grid(table).markdown()]
    return "\n".join(text)


def main() -> None:
    """Score what has not been scored yet and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with DATASET/SPLIT/a and b")
    parser.add_argument("--official", type=Path, help="official GIFNet weights; left out unless given")
    parser.add_argument("--ifcnn", type=Path, nargs="*", default=[], help="official IFCNN weights")
    parser.add_argument("--crop", type=int, default=224, help="score centres of so many pixels a side; 0: whole pairs")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--store", type=Path, default=ROOT / "outputs" / "results", help="where scores are kept")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "RESULTS.md")
    args = parser.parse_args()
    rows = methods(args.official, args.ifcnn)
    sections = []
    for task in args.tasks:
        title, parts = TASKS[task]
        results: dict[str, dict[str, Rows]] = {}
        for part in parts:
            print(f"{task}: {part.folder}", flush=True)
            results[part.folder] = {one.name: score(one, task, part, args.data, args.crop, args.store) for one in rows}
        used = "".join(f"- `{p.folder}`: {len(results[p.folder][rows[0].name])} pairs, {p.note}\n" for p in parts)
        sections.append(section(title, results).replace("\n", f"\n\n{used}", 1))
    write_text(args.output, "\n".join([header(args.crop), *sections]))
    print(f"The tables are in {args.output}.")


def header(crop: int) -> str:
    """Say how the numbers were made."""
    what = f"the {crop}-pixel centres of the pairs" if crop else "whole pairs"
    version = torch.__version__.split("+")[0]
    return f"""# Results

Made by `make results` on {date.today():%d %B %Y} with PyTorch {version} on {platform.machine()}:
luminance of {what}, fused and scored as 8-bit images.
"Place" is the mean place over the metrics of a table, the best 1.

Rows of the papers are not here: they score other pairs of these sets, or whole images, and do not compare.
The sets are research data: mind their terms.
"""


if __name__ == "__main__":
    main()
