import csv

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.data import camera

from fusion_lab.errors import FusionLabError
from fusion_lab.registration.files import align_files


@pytest.fixture
def folders(tmp_path):
    """One pair shifted by (6, 4), one that does not belong together."""
    for side in "ab":
        (tmp_path / side).mkdir()
    Image.fromarray(camera()[20:340, 30:450]).save(tmp_path / "a" / "shifted.png")
    Image.fromarray(camera()[16:336, 24:444]).save(tmp_path / "b" / "shifted.png")
    Image.fromarray(camera()[:320, :420]).save(tmp_path / "a" / "other.png")
    noise = np.random.default_rng(0).integers(0, 256, (320, 420), np.uint8)
    Image.fromarray(noise).save(tmp_path / "b" / "other.png")
    return tmp_path


def test_what_can_be_trusted_is_written_and_the_rest_told(folders):
    done = align_files(folders / "a", folders / "b", folders / "out")
    assert done.written == [folders / "out" / "shifted.png"]
    assert list(done.failed) == ["other"]
    assert "cannot be aligned" in done.failed["other"]
    moved = np.asarray(Image.open(done.written[0])).astype(int)
    assert abs(moved - camera()[20:340, 30:450])[20:-20, 20:-20].mean() < 2
    rows = {row["name"]: row for row in csv.DictReader((folders / "out" / "alignment.csv").open())}
    assert rows["shifted"]["trusted"] == "yes"
    assert rows["other"]["trusted"] == "no"
    assert float(rows["shifted"]["m02"]) == pytest.approx(6, abs=0.3)


def test_two_files_of_other_sizes(folders):
    small = cv2.resize(camera(), (300, 300), interpolation=cv2.INTER_AREA)
    Image.fromarray(small).save(folders / "small.png")
    Image.fromarray(camera()).save(folders / "large.png")
    done = align_files(folders / "large.png", folders / "small.png", folders / "out")
    assert Image.open(done.written[0]).size == (512, 512)


def test_a_broken_image_is_left_out(folders):
    (folders / "b" / "other.png").write_bytes(b"none")
    done = align_files(folders / "a", folders / "b", folders / "out")
    assert len(done.written) == 1
    assert "other.png" in done.failed["other"]


def test_sources_are_never_replaced(folders):
    with pytest.raises(FusionLabError, match="would replace a source"):
        align_files(folders / "a", folders / "b", folders / "b")
