"""What is kept is what was read, within the limit; crops of a picture are those of its luminance."""

import numpy as np
import pytest
import torch
from PIL import Image

from fusion_lab.data import Augmentation, MultiTaskDataModule, PairDataset
from fusion_lab.data.picture_cache import PictureCache
from fusion_lab.errors import FusionLabError
from tests.tiny import make_pairs


@pytest.fixture
def coloured(tmp_path):
    generator = np.random.default_rng(0)
    for role in ("a", "b"):
        (tmp_path / role).mkdir()
        for name in ("x", "y"):
            Image.fromarray(generator.integers(0, 256, (20, 24, 3), np.uint8)).save(tmp_path / role / f"{name}.png")
    return PairDataset(tmp_path)


def test_a_crop_is_that_of_the_converted_picture(coloured):
    whole = coloured[0]["source_a"][0].numpy()
    crop = coloured.sample(0, Augmentation(8, flips=True), 5)["source_a"][0].numpy()
    expected = Augmentation(8, flips=True)({"source_a": whole}, 5, "x")["source_a"]
    assert np.array_equal(crop, expected)


def test_a_picture_is_decoded_once(coloured, monkeypatch):
    opened = []
    decode = Image.open
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: opened.append(1) or decode(*args, **kwargs))
    coloured.cache = PictureCache(2**20)
    first, second = coloured.sample(0, None, 0), coloured.sample(0, None, 0)
    assert torch.equal(first["source_a"], second["source_a"])
    once = len(opened)
    coloured.sample(0, Augmentation(8), 1)
    assert len(opened) == once > 0


def test_the_limit_holds(coloured):
    one = 20 * 24 * 3
    coloured.cache = PictureCache(2 * one)
    for index in (0, 1, 0, 1):
        coloured.sample(index, None, 0)
        assert coloured.cache._size <= 2 * one
        assert len(coloured.cache._kept) == 2


def test_workers_share_the_limit(tmp_path):
    root = make_pairs(tmp_path, ivf=1)
    module = MultiTaskDataModule({"ivf": [PairDataset(root / "ivf")]}, num_workers=4, cache_gib=1)
    assert module.splits["train"]["ivf"][0].cache.limit == 2**28


def test_a_negative_limit_is_refused():
    with pytest.raises(FusionLabError, match="cache_gib"):
        MultiTaskDataModule(cache_gib=-1)
