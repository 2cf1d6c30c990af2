import numpy as np
from PIL import Image

from fusion_lab.cli.main import main
from fusion_lab.inference.weights import SHIPPED_WEIGHTS, load_network
from fusion_lab.networks import TITA


def test_the_packaged_network_is_the_official_tita():
    assert SHIPPED_WEIGHTS.is_file()
    network = load_network()
    assert isinstance(network, TITA)
    assert network.init_args["embed_dim"] == 60
    assert not network.training


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
