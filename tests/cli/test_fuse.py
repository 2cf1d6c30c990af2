import subprocess
import sys

import cv2
import numpy as np
import pytest
import tifffile

from fusion_lab.cli.fuse import main
from fusion_lab.data.images import Picture, read_picture, write_picture
from fusion_lab.data.rasters import Raster, read_raster
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.fuser import Fuser
from fusion_lab.inference.weights import load_network, save_network
from fusion_lab.networks import TITA


def write(path, *shape, seed):
    write_picture(Picture(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)), path)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "small.safetensors"
    network = TITA(12, 2, num_extraction_blocks=1, num_interaction_blocks=2, num_reconstruction_blocks=1)
    save_network(network, path)
    return path


@pytest.fixture
def folders(tmp_path):
    for i in range(2):
        write(tmp_path / "a" / f"{i}.png", 9, 13, 3, seed=i)
        write(tmp_path / "b" / f"{i}.png", 9, 13, seed=i + 9)
    return tmp_path / "a", tmp_path / "b"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_folders(folders, weights, tmp_path, capsys):
    assert run(*folders, "-o", tmp_path / "out", "--weights", weights, "--suffix", ".bmp") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.bmp", "1.bmp"]
    captured = capsys.readouterr()
    assert captured.out == f"Fused 2 pairs into {tmp_path / 'out'}.\n"
    assert "Fusing" in captured.err


def test_images(folders, weights, tmp_path, capsys):
    a, b = folders[0] / "0.png", folders[1] / "0.png"
    assert run(a, b, "--output", tmp_path / "fused.png", "--weights", weights, "--memory-limit", 0.5) == 0
    expected = Fuser(load_network(weights))(read_picture(a), read_picture(b))
    assert np.array_equal(read_picture(tmp_path / "fused.png").pixels, expected.pixels)
    assert cv2.imread(str(tmp_path / "fused.png")) is not None
    assert capsys.readouterr().out == f"Fused 1 pair into {tmp_path / 'fused.png'}.\n"


def test_bands(folders, weights, tmp_path, capsys):
    pan = read_picture(folders[1] / "0.png").pixels
    bands = np.dstack([pan[::-1], pan, pan // 2, pan // 3])
    tifffile.imwrite(tmp_path / "ms.tif", bands, photometric="minisblack", planarconfig="contig")
    out = tmp_path / "out.tif"
    assert run(folders[1] / "0.png", tmp_path / "ms.tif", "-o", out, "--weights", weights, "--white", 300) == 0
    fuser = Fuser(load_network(weights), white=300)
    expected = fuser.fuse_bands(Raster(pan[..., None]), Raster(bands)).values
    assert np.array_equal(read_raster(out).values, expected)
    assert run(folders[1] / "0.png", folders[0] / "0.png", "-o", out, "--weights", weights, "--bands") == 0
    assert read_raster(out).values.shape == (9, 13, 3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "required"),
        (["a", "b"], "output"),
        (["a", "b", "-o", "out", "--memory-limit", "0"], "memory_limit"),
        (["a", "b", "-o", "out", "--memory-limit", "much"], "memory_limit"),
        (["a", "b", "-o", "out", "--white", "0"], "white"),
        (["a", "b", "-o", "out", "--colour"], "colour"),
        (["a", "b", "-o", "out", "--weights", "absent.pth"], r"absent\.pth do not exist"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, told):
    with pytest.raises(FusionLabError, match=told) as error:
        main(arguments)
    assert "\n" not in str(error.value)


def test_unknown_device_is_told(weights):
    with pytest.raises(FusionLabError, match="no device 'abacus'"):
        run("a", "b", "-o", "out", "--weights", weights, "--device", "abacus")


def test_the_program_tells_a_mistake_in_one_line():
    command = [sys.executable, "-m", "fusion_lab.cli.main", "fuse", "a", "b", "-o", "out", "--white", "-3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert not done.stdout
    assert done.stderr.startswith("fusion-lab fuse: error: ")
    assert done.stderr.count("\n") == 1


def test_help_does_not_load_pytorch():
    code = (
        "import sys\nfrom fusion_lab.cli.fuse import main\n"
        "try: main(['--help'])\nexcept SystemExit as stop: assert not stop.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--memory-limit" in done.stdout
