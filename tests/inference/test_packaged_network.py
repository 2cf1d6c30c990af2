from itertools import islice

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from fusion_lab.cli.main import main
from fusion_lab.data.pairs import load_pairs
from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.inference.weights import load_network
from fusion_lab.networks import TITA, GIFNet
from tests.tiny import REPOSITORY


def small_tita():
    config = yaml.safe_load((REPOSITORY / "configs/model/tita_small.yaml").read_text())
    return TITA(**config["model"]["init_args"]["network"]["init_args"])


@pytest.mark.parametrize(("name", "network"), [(None, small_tita), ("tita", small_tita), ("gifnet", GIFNet)])
def test_the_packaged_networks_are_built_as_configured(name, network):
    found = load_network(name)
    assert found.description == network().description
    assert not found.training


def test_the_order_of_the_sources_changes_nothing(data_root):
    """Exposures come in any order."""
    network, folder = load_network(), data_root / "embedded/mef/val"
    for _, a, b in islice(load_pairs(folder / "a", folder / "b"), 2):
        a, b = a[..., :96, :128], b[..., :96, :128]
        fused = fuse_luminance(network, a, b)
        assert torch.equal(fuse_luminance(network, b, a), fused)
        # Of the best exposed parts there is more than in either source.
        assert fused.std() > min(a.std(), b.std())


def test_fusing_needs_no_weights_to_be_named(tmp_path):
    """The result keeps both what is bright in one source and the edges of the other."""
    a = np.full((40, 48), 60, np.uint8)
    a[::8] = 120
    b = np.full((40, 48), 30, np.uint8)
    b[12:28, 16:32] = 200
    for name, levels in (("a", a), ("b", b)):
        Image.fromarray(levels).save(tmp_path / f"{name}.png")
    assert main(["fuse", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "-o", str(tmp_path / "fused.png")]) == 0
    fused = np.asarray(Image.open(tmp_path / "fused.png")).astype(float)
    assert fused[14:26, 18:30].mean() > fused[2:10, 2:12].mean() + 20
    assert fused.std(axis=0)[4] > 3


def test_the_packaged_gifnet_brings_out_details(tmp_path):
    """Edges of a blurred image are steeper afterwards; its dark side stays dark, its bright side below white."""
    edge = 60 + 120 / (1 + np.exp(-(np.arange(48) - 24) / 2))
    Image.fromarray(np.tile(edge, (40, 1)).astype(np.uint8)).save(tmp_path / "blurred.png")
    assert main(["enhance", str(tmp_path / "blurred.png"), "-o", str(tmp_path / "sharp.png")]) == 0
    sharp = np.asarray(Image.open(tmp_path / "sharp.png")).astype(float)[10:30]
    assert np.diff(sharp).max() > np.diff(edge).max()
    assert abs(sharp[:, 4:14].mean() - 60) < 20
    assert 180 < sharp[:, -14:-4].mean() < 250
