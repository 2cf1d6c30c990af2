import numpy as np
import pytest
import tifffile
from PIL import Image

from fusion_lab.data import PairDataset
from fusion_lab.data.bad_samples import BadSamples
from fusion_lab.data.sizes import refuse_small, size_of
from fusion_lab.errors import FusionLabError


def test_size_of(tmp_path):
    for suffix in ("png", "jpg", "bmp", "webp", "ppm"):
        Image.new("RGB", (13, 9)).save(tmp_path / f"a.{suffix}")
        assert size_of(tmp_path / f"a.{suffix}") == (9, 13)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 9, 13), np.uint16), photometric="rgb", planarconfig="separate")
    assert size_of(tmp_path / "a.tif") == (9, 13)
    (tmp_path / "b.tif").write_bytes(b"II*\0nothing")
    assert size_of(tmp_path / "b.tif") is None
    assert size_of(tmp_path / "absent.png") is None


@pytest.fixture
def datasets(tmp_path):
    for name, side in (("x/1", 20), ("x/2", 12), ("y/1", 20), ("y/2", 15)):
        for role in "ab":
            path = tmp_path / name.split("/")[0] / role / f"{name.split('/')[1]}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (side, 30)).save(path)
    return {"ivf": [PairDataset(tmp_path / "x"), PairDataset(tmp_path / "y")]}


def test_small_pairs_end_the_run(datasets):
    refuse_small(datasets, 12, None)
    with pytest.raises(
        FusionLabError, match=r"'2' \(15x30\) .*crop of 16|'2' \(12x30\) .*crop of 16 .*2 of the 4 pairs"
    ):
        refuse_small(datasets, 16, None)
    with pytest.raises(FusionLabError, match=r"'2' \(12x30\) is smaller than the crop of 13 .*smaller `patch`\.$"):
        refuse_small(datasets, 13, None)


def test_small_pairs_are_noted(datasets):
    bad = BadSamples({"ivf": 4}, 2)
    with pytest.warns(UserWarning, match="is smaller than the crop") as told:
        refuse_small(datasets, 16, bad)
    assert (len(told), bad.count()) == (2, 2)
    refuse_small(datasets, 16, bad)
    with pytest.raises(FusionLabError, match="3 training pairs cannot be read, more than"):
        refuse_small(datasets, 25, bad)
