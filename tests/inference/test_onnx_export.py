import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import camera

from fusion_lab.cli.main import main
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.onnx_export import OnnxNetwork, export_onnx
from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.inference.weights import load_network, save_network
from fusion_lab.networks import IFCNN, TITA, GIFNet, GuidedFilter

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# Two blocks, of which one is shifted, are all that differs.
SMALL = {"num_extraction_blocks": 0, "num_interaction_blocks": 2, "num_reconstruction_blocks": 0}


@pytest.mark.parametrize(
    "network", [TITA(12, 2, **SMALL, blend=True), GIFNet(2, 2, 4), IFCNN()], ids=["TITA", "GIFNet", "IFCNN"]
)
def test_files_give_what_pytorch_gives_for_any_size(network, tmp_path):
    network.eval()
    assert export_onnx(network, tmp_path / "net.onnx") < 1e-5
    loaded = load_network(tmp_path / "net.onnx")
    assert loaded.colour_rule == network.colour_rule
    assert loaded.made_from == json.loads(json.dumps(network.description))
    for height, width in ((16, 16), (33, 50), (64, 24)):
        a, b = torch.rand(2, 1, 1, height, width)
        torch.testing.assert_close(fuse_luminance(loaded, a, b), fuse_luminance(network, a, b), rtol=0, atol=1e-5)


def test_the_commands_write_and_fuse_with_it(tmp_path):
    save_network(IFCNN().eval(), tmp_path / "net.safetensors")
    for name, image in (("a", camera()[:64, :80]), ("b", camera()[100:164, :80])):
        Image.fromarray(image).save(tmp_path / f"{name}.png")

    def run(*words):
        command = [sys.executable, "-m", "fusion_lab.cli.main", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "images of any size" in run("export", "--weights", "net.safetensors", "-o", "net.onnx")
    fused = []
    for weights in ("net.onnx", "net.safetensors"):
        run("fuse", "a.png", "b.png", "-o", f"{weights}.png", "--weights", weights)
        fused.append(np.asarray(Image.open(tmp_path / f"{weights}.png")).astype(int))
    assert abs(fused[0] - fused[1]).max() <= 1


def test_what_cannot_be_exported_is_told_and_nothing_is_written(tmp_path):
    with pytest.raises(FusionLabError, match="GuidedFilter cannot be exported"):
        export_onnx(GuidedFilter(), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["export", "-o", "net.pth"], "should end in .onnx"),
        (["fuse", "a.png", "b.png", "-o", "c.png", "--weights", "missing.onnx"], "cannot be read"),
        (["fuse", "a.png", "b.png", "-o", "c.png", "--weights", "broken.onnx"], "no ONNX file"),
    ],
)
def test_mistakes_in_one_sentence(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.onnx").write_bytes(b"none")
    assert main(words) == 2
    assert told in capsys.readouterr().err


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(FusionLabError, match=r"fusion_lab\[onnx\]"):
        OnnxNetwork(str(tmp_path / "net.onnx"))
