import subprocess
import sys

import numpy as np
import pytest
import torch

from fusion_lab.cli.enhance import main
from fusion_lab.data.images import Picture, read_picture, write_picture
from fusion_lab.errors import FusionLabError
from fusion_lab.inference import weights as weights_module
from fusion_lab.inference.fuser import Fuser
from fusion_lab.inference.weights import load_network, save_network
from fusion_lab.networks import Average, GIFNet


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    save_network(GIFNet(2, 2, 4), tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


@pytest.fixture
def images(tmp_path):
    generator = np.random.default_rng(0)
    for name, shape in (("grey", (9, 13)), ("colour", (9, 13, 3))):
        write_picture(Picture(generator.integers(60, 190, shape, np.uint8)), tmp_path / "in" / f"{name}.png")
    return tmp_path / "in"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_one_image_is_fused_with_itself(images, weights, tmp_path, capsys):
    assert run(images / "grey.png", "-o", tmp_path / "out.png", "--weights", weights) == 0
    picture = read_picture(images / "grey.png")
    expected = Fuser(load_network(weights))(picture, picture)
    assert np.array_equal(read_picture(tmp_path / "out.png").pixels, expected.pixels)
    assert capsys.readouterr().out == f"Enhanced 1 image into {tmp_path / 'out.png'}.\n"


def test_folder(images, weights, tmp_path, capsys):
    assert run(images, "-o", tmp_path / "out", "--weights", weights, "--suffix", "bmp") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["colour.bmp", "grey.bmp"]
    assert capsys.readouterr().out == f"Enhanced 2 images into {tmp_path / 'out'}.\n"


def test_colours_are_kept(images, tmp_path, monkeypatch):
    # The mean of an image with itself is the image, and the shipped network the default.
    save_network(Average(), tmp_path / "gifnet.safetensors")
    monkeypatch.setattr(weights_module, "SHIPPED_WEIGHTS", tmp_path)
    assert run(images / "colour.png", "-o", tmp_path / "out.png") == 0
    before, after = (read_picture(path).pixels.astype(int) for path in (images / "colour.png", tmp_path / "out.png"))
    assert abs(before - after).max() <= 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "required"),
        (["a.png"], "output"),
        (["a.png", "b.png", "-o", "out.png"], "b.png"),
        (["a.png", "-o", "out.png", "--memory-limit", "-1"], "memory_limit"),
        (["a.png", "-o", "out.png", "--weights", "absent.pth"], r"absent\.pth do not exist"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, told):
    with pytest.raises(FusionLabError, match=told) as error:
        main(arguments)
    assert "\n" not in str(error.value)


def test_mistakes_in_files(images, weights, tmp_path):
    write_picture(Picture(np.zeros((7, 9), np.uint8)), tmp_path / "small.png")
    (tmp_path / "broken.png").write_bytes((images / "grey.png").read_bytes()[:60])
    (tmp_path / "empty").mkdir()
    for arguments, told in (
        ((tmp_path / "absent.png", "-o", tmp_path / "out.png"), r"absent\.png does not exist"),
        ((images, "-o", tmp_path / "out.png"), "named like an image"),
        ((images, "-o", images), "would replace a source"),
        ((images / "grey.png", "-o", images / "grey.png"), "would replace a source"),
        ((images / "grey.png", "-o", tmp_path / "out.gif"), "no image suffix"),
        ((tmp_path / "empty", "-o", tmp_path / "out"), "No images"),
        ((tmp_path / "broken.png", "-o", tmp_path / "out.png"), r"broken\.png is broken"),
        ((tmp_path / "small.png", "-o", tmp_path / "out.png"), r"small\.png cannot be fused: .*too small"),
    ):
        with pytest.raises(FusionLabError, match=told) as error:
            run(*arguments, "--weights", weights)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "out.png").exists()
    assert not (tmp_path / "out").exists()


def test_the_program_tells_a_mistake_in_one_line():
    command = [sys.executable, "-m", "fusion_lab.cli.main", "enhance", "a.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("fusion-lab enhance: error: ")
    assert done.stderr.count("\n") == 1


def test_help_does_not_load_pytorch():
    code = (
        "import sys\nfrom fusion_lab.cli.enhance import main\n"
        "try: main(['--help'])\nexcept SystemExit as stop: assert not stop.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "IMG" in done.stdout
