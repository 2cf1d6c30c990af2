"""What a network decides inside, for pairs of files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from fusion_lab.data.pairs import Pair, PairDataset
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.features import feature_maps
from fusion_lab.inference.fuser import Fuser, sources_of
from fusion_lab.inference.operation_weights import OperationWeightsReader, operation_weights
from fusion_lab.inference.weights import load_network
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.reporting.pictures import picture_grid
from fusion_lab.reporting.plots import (
    TaskWeights,
    check_figure_suffix,
    operation_bars,
    write_figure,
    write_operation_weights,
)


def draw_operation_weights(
    chart: Path,
    pairs: Sequence[tuple[str, str, str]],
    weights: Path | str,
    device: str = "cpu",
    memory_limit: float = 6.0,
    progress: bool = False,
) -> tuple[list[str], list[TaskWeights]]:
    """Draw the weights that OAF gives its operations for each task, and write them as CSV beside.

    Args:
        chart: The picture, ``.png``, ``.svg`` or ``.pdf``.
        pairs: Tasks and the folders, or patterns with ``{name}``, of their sources.
        weights: The network, as of `load_network`.
        device: Where it runs.
        memory_limit: The memory that it may take, in GiB.
        progress: Show a bar on stderr.

    Returns:
        The labels of the operations, and what is drawn.
    """
    check_figure_suffix(chart)
    network = load_network(weights, device)
    operations = OperationWeightsReader(network).operations
    datasets = [(task, PairDataset(".", a, b)) for task, a, b in pairs]
    rows = mean_operation_weights(network, datasets, memory_limit, progress)
    write_figure(operation_bars("OAF weights", operations, rows), chart)
    write_operation_weights(chart.with_suffix(".csv"), operations, rows)
    return operations, rows


def draw_features(
    picture: Path, a: Path, b: Path, weights: Path | str = "gifnet", device: str = "cpu", memory_limit: float = 6.0
) -> None:
    """Draw what GIFNet's encoder and branches see in a pair of image files, as `feature_pictures` returns it."""
    check_figure_suffix(picture)
    write_figure(picture_grid([feature_pictures(load_network(weights, device), a, b, memory_limit)]), picture)


def mean_operation_weights(
    network: FusionNetwork,
    datasets: Sequence[tuple[str, PairDataset]],
    memory_limit: float = 6.0,
    progress: bool = False,
) -> list[TaskWeights]:
    """Fuse all pairs, and average the weights of OAF over those of each task.

    Args:
        network: The network; it runs on its own device.
        datasets: The pairs, by their task; a task may come again.
        memory_limit: The memory that the network may take, in GiB.
        progress: Show a bar on stderr.

    Raises:
        FusionLabError: The network has no OAF, or a pair cannot be fused.
    """
    # All folders are looked at before the first pair is fused.
    jobs = [(task, dataset, index) for task, dataset in datasets for index in range(len(dataset))]
    found: dict[str, list[NDArray[np.float64]]] = {}
    for task, dataset, index in track(jobs, "Fusing", console=Console(stderr=True), disable=not progress):
        sample = dataset[index]
        try:
            weights = operation_weights(network, sample["source_a"][None], sample["source_b"][None], memory_limit)
        except FusionLabError as error:
            pair = f"{sample['file_a']} and {sample['file_b']}"
            raise FusionLabError(f"{pair} cannot be fused: {error}") from None
        found.setdefault(task, []).append(torch.stack(list(weights.values()), dim=-1).numpy())
    return [TaskWeights(t, len(own), np.mean(own, axis=0), np.std(own, axis=0)) for t, own in found.items()]


def feature_pictures(
    network: FusionNetwork, path_a: Path, path_b: Path, memory_limit: float = 6.0
) -> dict[str, NDArray[Any]]:
    """Return a pair of image files, what GIFNet's encoder and branches see in it, and the fused image, by their titles.

    Raises:
        FusionLabError: A file cannot be read, or the network is no GIFNet.
    """
    a, b = Pair(path_a.stem, path_a, path_b).read()
    try:
        source_a, source_b = sources_of(network, a, b)
        maps = feature_maps(network, source_a, source_b, memory_limit)
        fused = Fuser(network, memory_limit)(a, b)
    except FusionLabError as error:
        raise FusionLabError(f"{path_a} and {path_b} cannot be shown: {error}") from None
    return {
        "source a": a.pixels,
        "source b": b.pixels,
        "shared encoder": maps["encoder"].numpy(),
        "MM branch": maps["multi_modal"].numpy(),
        "DP branch": maps["digital_photography"].numpy(),
        "fused": fused.pixels,
    }
