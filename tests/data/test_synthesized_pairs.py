"""Pairs whose two sources are made from one image."""

import numpy as np
import pytest
import torch
from PIL import Image

from fusion_lab.data import Augmentation, MultiTaskDataModule, PairDataset, SynthesizedPairs
from fusion_lab.data.auxiliary import ExposureSynthesis, FocusSynthesis
from fusion_lab.data.embedded import write_embedded_pairs
from fusion_lab.data.focus_maps import DepthMap
from fusion_lab.errors import FusionLabError


@pytest.fixture
def photographs(tmp_path):
    generator = np.random.default_rng(0)
    for name in ("one", "two"):
        Image.fromarray(generator.integers(0, 256, (48, 56, 3), np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize("augmentation", [None, Augmentation(patch=32)])
def test_each_pixel_of_the_image_is_sharp_in_one_of_two_focuses(photographs, augmentation):
    pairs = SynthesizedPairs(photographs, ".", FocusSynthesis())
    assert [pair.name for pair in pairs.pairs] == ["one", "two"]
    sample = pairs.sample(0, augmentation, seed=3)
    a, b, target = sample["source_a"], sample["source_b"], sample["target"]
    assert a.shape == b.shape == target.shape == ((1, 32, 32) if augmentation else (1, 48, 56))
    assert not torch.equal(a, b)
    nearest = torch.minimum((a - target).abs(), (b - target).abs())
    assert nearest.mean() < 0.5 * torch.maximum((a - target).abs(), (b - target).abs()).mean()


def test_what_is_random_comes_from_the_seed(photographs):
    pairs = SynthesizedPairs(photographs, ".", FocusSynthesis())
    first, again, other = (pairs.sample(1, None, seed)["source_a"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(FusionLabError, match="does not exist"):
        SynthesizedPairs(tmp_path / "none", "visible", ExposureSynthesis())[0]


def test_they_mix_with_real_pairs_in_one_batch(photographs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded")
    write_embedded_pairs(folder)
    root = next(path.parent for path in sorted(folder.rglob("a")) if path.is_dir())
    data = MultiTaskDataModule(
        train={"mff": [PairDataset(root, limit=2), SynthesizedPairs(photographs, ".", FocusSynthesis())]},
        augmentation=Augmentation(patch=32),
        batch_size=4,
        num_workers=0,
    )
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["mff"]["source_a"].shape == (4, 1, 32, 32)
    assert len(set(batch["mff"]["name"])) == 4
    assert "target" not in batch["mff"]


def test_a_depth_of_another_size_is_told(tmp_path):
    for folder, size in (("visible", (32, 40)), ("disparity", (16, 20))):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / folder / "one.png")
    synthesis = FocusSynthesis(DepthMap("disparity"))
    with pytest.raises(FusionLabError, match="differ in size"):
        SynthesizedPairs(tmp_path, "visible", synthesis)[0]
