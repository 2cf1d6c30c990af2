import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from skimage.data import camera


@pytest.fixture
def pair(tmp_path):
    Image.fromarray(camera()[20:340, 30:450]).save(tmp_path / "a.png")
    Image.fromarray(255 - camera()[16:336, 24:444]).save(tmp_path / "b.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (320, 420), np.uint8)).save(tmp_path / "noise.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 420), np.uint8)).save(tmp_path / "lower.png")
    return tmp_path


def run(*arguments):
    command = [sys.executable, "-m", "fusion_lab.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_align_and_fuse_aligned(pair):
    done = run("align", pair / "a.png", pair / "b.png", "-o", pair / "out")
    assert done.returncode == 0, done.stderr
    assert "moved by 7.2 pixels" in done.stdout
    assert "Aligned 1 of 1 pairs" in done.stdout
    moved = 255 - np.asarray(Image.open(pair / "out" / "b.png")).astype(int)
    assert abs(moved - camera()[20:340, 30:450])[20:-20, 20:-20].mean() < 2

    average = ["--weights", "fusion_lab.networks.Average"]
    done = run("fuse", pair / "a.png", pair / "b.png", "-o", pair / "fused.png", "--align", "homography", *average)
    assert done.returncode == 0, done.stderr
    assert "B moved by 7.2 pixels" in done.stdout
    # An image and its negative: grey, if they lie on each other.
    fused = np.asarray(Image.open(pair / "fused.png"))[20:-20, 20:-20]
    assert fused.std() < 3


def test_what_cannot_be_trusted_is_told(pair):
    done = run("align", pair / "a.png", pair / "noise.png", "-o", pair / "out")
    assert done.returncode == 1
    assert "cannot be aligned" in done.stderr
    assert not (pair / "out" / "noise.png").exists()

    options = ["--align", "affine", "--weights", "fusion_lab.networks.Average"]
    done = run("fuse", pair / "a.png", pair / "noise.png", "-o", pair / "fused.png", *options)
    assert done.returncode == 0
    assert "fused as it lies" in done.stderr
    done = run("fuse", pair / "a.png", pair / "lower.png", "-o", pair / "lower_fused.png", *options)
    assert done.returncode == 2
    assert "differ in size and cannot be aligned" in done.stderr
    assert "Traceback" not in done.stderr
