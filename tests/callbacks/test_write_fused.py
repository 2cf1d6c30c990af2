import numpy as np
import pytest
import torch

from fusion_lab.callbacks import WriteFused
from fusion_lab.data.images import Picture, read_picture, write_picture
from fusion_lab.inference.colour import colour_rule
from fusion_lab.modules import FusionModule
from fusion_lab.networks import Average, GIFNet


@pytest.mark.parametrize("network", [Average(), GIFNet(2, 2, 4)])
def test_colours_follow_the_rule_of_the_network(tmp_path, network):
    generator = np.random.default_rng(0)
    sources = [Picture(generator.integers(0, 256, (9, 13, 3), np.uint8)) for _ in range(2)]
    for role, picture in zip("ab", sources, strict=True):
        write_picture(picture, tmp_path / f"{role}.png")
    fused = torch.rand(1, 1, 9, 13, generator=torch.Generator().manual_seed(0))
    batch = {"mff": {"name": ["one"], "file_a": [str(tmp_path / "a.png")], "file_b": [str(tmp_path / "b.png")]}}
    WriteFused(tmp_path / "out").write_on_batch_end(None, FusionModule(network, {}), {"mff": fused}, None, batch, 0, 0)
    written = read_picture(tmp_path / "out" / "mff" / "one.png").pixels
    expected = colour_rule(network).merge(*sources, fused[0, 0].double().numpy())
    assert np.array_equal(written, expected.pixels)


def test_whose_colours(tmp_path):
    generator = np.random.default_rng(0)
    for role in "ab":
        write_picture(Picture(generator.integers(0, 256, (9, 13, 3), np.uint8)), tmp_path / f"{role}.png")
    fused = torch.rand(1, 1, 9, 13)
    batch = {"ivf": {"name": ["one"], "file_a": [str(tmp_path / "a.png")], "file_b": [str(tmp_path / "b.png")]}}
    written = {}
    for colours in ("a", "b", "both", "grey"):
        writer = WriteFused(tmp_path / colours, colours)
        writer.write_on_batch_end(None, FusionModule(Average(), {}), {"ivf": fused}, None, batch, 0, 0)
        written[colours] = read_picture(tmp_path / colours / "ivf" / "one.png").pixels.tobytes()
    assert len(set(written.values())) == 4
    assert read_picture(tmp_path / "grey" / "ivf" / "one.png").pixels.ndim == 2
