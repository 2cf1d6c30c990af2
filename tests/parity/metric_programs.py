"""Golden values of the metrics: which program reads images how, and how its values are compared."""

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

Score = Callable[[Tensor, Tensor, Tensor], Tensor]


def channels(image: np.ndarray) -> Tensor:
    """Each colour channel, a grey image three times: ``(3, 1, H, W)``."""
    planes = image if image.ndim == 3 else np.stack([image] * 3, axis=-1)
    return torch.from_numpy(planes).permute(2, 0, 1)[:, None].double()


def colour(image: np.ndarray) -> Tensor:
    """As the metrics take it: ``(1, 3, H, W)``, a grey image ``(1, 1, H, W)``."""
    planes = image if image.ndim == 3 else image[..., None]
    return torch.from_numpy(planes).permute(2, 0, 1)[None].double()


def grey_of_matlab(image: np.ndarray) -> Tensor:
    """``rgb2gray`` of 8-bit images: ``(1, 1, H, W)``."""
    if image.ndim == 3:
        image = np.floor(image @ [0.298936021293775, 0.587043074451121, 0.114020904255103] + 0.5)
    return torch.from_numpy(image)[None, None].double()


def grey_of_opencv(image: np.ndarray) -> Tensor:
    """OpenCV's conversion in float32, rounded half to even: ``(1, 1, H, W)``."""
    if image.ndim == 3:
        image = np.round(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY))
    return torch.from_numpy(image)[None, None].double()


def of_fused(function: Callable[..., Tensor], **options: object) -> Score:
    return lambda fused, source_a, source_b: function(fused, **options)


def of_all(function: Callable[..., Tensor], **options: object) -> Score:
    return lambda fused, source_a, source_b: function(fused, source_a, source_b, **options)


class Program(NamedTuple):
    """How a program reads images, and its metrics."""

    read: Callable[[np.ndarray], Tensor]
    scores: dict[str, Score]


@cache
def golden_cases(folder: Path) -> dict[str, dict[str, Any]]:
    """The triples with their files and values, by name."""
    return json.loads((folder / "golden.json").read_text())["cases"]


@cache
def decoded(path: Path) -> np.ndarray:
    """An image of a triple; all of them together take 21 MB."""
    return np.array(Image.open(path))


def check_golden_values(shared: Path, program: str, metric: str, entry: Program) -> None:
    """Compare a metric of a program with all of its golden values, to the tolerance beside each."""
    folder = shared / "golden" / "metrics"
    compared = 0
    for case, golden in golden_cases(folder).items():
        values = [value for value in golden["values"] if value["metric"] == f"{program}.{metric}"]
        if not values:
            continue
        images = [entry.read(decoded(folder / "images" / golden[role])) for role in "fab"]
        found = entry.scores[metric](*images).mean().item()
        for value in values:
            if value["value"] is None:
                assert math.isfinite(found), case
                continue
            tolerance = {"rel": value["rtol"], "abs": value.get("atol", 0)}
            assert found == pytest.approx(value["value"], **tolerance), (case, value["source"])
            compared += 1
    assert compared
