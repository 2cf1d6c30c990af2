import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_lab.data import embedded
from fusion_lab.data.embedded import CROPS, Crop, write_embedded_pairs
from fusion_lab.errors import FusionLabError


@pytest.fixture
def few_pairs(monkeypatch):
    """One scene for each split and task, for the tests that write more than once."""
    monkeypatch.setattr(embedded, "STREETS", {"train": range(1), "val": range(1000, 1001)})
    crops = {
        "train": (Crop("camera.png", 9, 9, 50, 61),),
        "val": (Crop("motorcycle_left.png", 99, 9, 60, 50),),
    }
    monkeypatch.setattr(embedded, "CROPS", crops)


@pytest.fixture(scope="module")
def pairs(data_root):
    return data_root / "embedded"


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_every_pair_is_there_and_aligned(pairs):
    counts = {}
    for task, roles in {"ivf": "ab", "mff": ("a", "b", "target"), "mef": "ab"}.items():
        for split in ("train", "val"):
            folder = pairs / task / split
            names = {path.name for path in (folder / "a").iterdir()}
            counts[task, split] = len(names)
            assert {path.name for path in folder.iterdir()} == set(roles)
            for role in roles:
                assert {path.name for path in (folder / role).iterdir()} == names
            for name in names:
                shapes = {cv2.imread(str(folder / role / name)).shape for role in roles}
                assert len(shapes) == 1
                assert all(200 <= side <= 400 for side in shapes.pop()[:2])
    assert counts == {
        ("ivf", "train"): 24, ("ivf", "val"): 4, ("mff", "train"): 20, ("mff", "val"): 4,
        ("mef", "train"): 20, ("mef", "val"): 4,
    }  # fmt: skip


def test_infrared_is_grey_and_visible_is_colour(pairs):
    read = [cv2.imread(str(pairs / f"ivf/val/{role}/street_1000.png"), cv2.IMREAD_UNCHANGED) for role in "ab"]
    assert [image.ndim for image in read] == [3, 2]


def test_near_focus_exposure_and_colour_are_in_the_usual_order(pairs):
    under, over = (cv2.imread(str(next((pairs / "mef/val" / role).iterdir()))) for role in "ab")
    assert under.mean() < over.mean()
    name = "motorcycle_left_00.png"
    near, far, target = (cv2.imread(str(pairs / "mff/val" / role / name)) for role in ("a", "b", "target"))
    # The lamp in front, and the shelf behind it.
    lamp, shelf = (slice(80, 120), slice(190, 235)), (slice(5, 40), slice(80, 130))
    errors = {
        place: [cv2.absdiff(image[window], target[window]).mean() for image in (near, far)]
        for place, window in {"lamp": lamp, "shelf": shelf}.items()
    }
    assert 3 * errors["lamp"][0] < errors["lamp"][1]
    assert 3 * errors["shelf"][1] < errors["shelf"][0]
    # The motorcycle is red, and OpenCV reads blue first.
    assert target[..., 2].mean() > target[..., 0].mean()


def test_manifest_tells_every_file_and_every_origin(pairs):
    manifest = json.loads((pairs / "manifest.json").read_text())
    found = {name: data for name, data in contents(pairs).items() if name != "manifest.json"}
    assert manifest["version"] == embedded.VERSION
    assert manifest["files"] == {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}
    assert sum(map(len, found.values())) < 25e6
    assert {f"{pair['folder']}/a/{pair['name']}.png" for pair in manifest["pairs"]} == {
        name for name in found if "/a/" in name
    }
    for pair in manifest["pairs"]:
        assert ("nothing in it is measured" in pair["provenance"]) == pair["folder"].startswith("ivf")
        if pair["folder"].startswith("mff"):
            measured = "measured depth" in pair["provenance"]
            assert measured == pair["name"].startswith("motorcycle")


def test_training_and_validation_share_no_photograph_and_no_street():
    train, val = ({crop.photograph for crop in CROPS[split]} for split in ("train", "val"))
    assert not train & val
    assert not set(embedded.STREETS["train"]) & set(embedded.STREETS["val"])


def test_crops_lie_inside_their_photographs():
    for crop in (*CROPS["train"], *CROPS["val"]):
        height, width = embedded._photograph(crop.photograph).shape[:2]
        assert crop.top + crop.height <= height, crop
        assert crop.left + crop.width <= width, crop


def test_same_bytes_each_time(tmp_path, few_pairs):
    first, second = (write_embedded_pairs(tmp_path / name) for name in ("one", "two"))
    assert contents(first) == contents(second)


def test_complete_folder_is_left_alone(tmp_path, few_pairs, monkeypatch):
    root = write_embedded_pairs(tmp_path / "pairs")
    monkeypatch.setattr(embedded, "_pairs", lambda: pytest.fail("written anew"))
    assert write_embedded_pairs(root) == root


@pytest.mark.parametrize("harm", ["delete", "change", "older version"])
def test_incomplete_folder_is_made_whole(tmp_path, few_pairs, harm, monkeypatch):
    root = write_embedded_pairs(tmp_path / "pairs")
    before = contents(root)
    file = root / "mef/train/a/camera_00.png"
    if harm == "delete":
        file.unlink()
    elif harm == "change":
        file.write_bytes(b"nothing")
    else:
        manifest = json.loads(before["manifest.json"])
        manifest["version"] = 0
        (root / "manifest.json").write_text(json.dumps(manifest))
    write_embedded_pairs(root)
    assert contents(root) == before
    assert [path.name for path in tmp_path.iterdir()] == ["pairs"]


def test_interruption_leaves_nothing_behind(tmp_path, few_pairs, monkeypatch):
    encode, calls = embedded._png, []

    def stop_at_third(image):
        calls.append(image)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(image)

    monkeypatch.setattr(embedded, "_png", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        write_embedded_pairs(tmp_path / "pairs")
    assert list(tmp_path.iterdir()) == []


def test_files_of_others_are_never_deleted(tmp_path, few_pairs):
    root = tmp_path / "pairs"
    root.mkdir()
    (root / "thesis.txt").write_text("years of work")
    with pytest.raises(FusionLabError, match=r"thesis\.txt"):
        write_embedded_pairs(root)
    assert (root / "thesis.txt").read_text() == "years of work"


def test_file_in_place_of_the_folder_is_told(tmp_path, few_pairs):
    (tmp_path / "pairs").write_text("a file")
    with pytest.raises(FusionLabError, match="pairs"):
        write_embedded_pairs(tmp_path / "pairs")


def test_missing_photograph_is_told(tmp_path, few_pairs, monkeypatch):
    monkeypatch.setattr(embedded, "CROPS", {"train": (Crop("absent.png", 0, 0, 9, 9),)})
    with pytest.raises(FusionLabError, match=r"absent\.png"):
        write_embedded_pairs(tmp_path / "pairs")
    assert list(tmp_path.iterdir()) == []


def test_images_are_those_of_version_1(pairs):
    """What the simulator made when it was here, by mean, contrast and sharpness of every file.

    NumPy and OpenCV choose their instructions by the processor, by which single values round to the next level.
    """
    assert embedded.VERSION == 1
    expected = json.loads((Path(__file__).parent / "embedded_version_1.json").read_text())
    assert {path.relative_to(pairs).as_posix() for path in pairs.rglob("*.png")} == set(expected)
    for name, numbers in expected.items():
        image = cv2.imread(str(pairs / name), cv2.IMREAD_UNCHANGED).astype(float)
        sharpness = [np.abs(np.diff(image, axis=axis)).mean() for axis in (0, 1)]
        found = [image.mean(), image.std(), *sharpness]
        assert found == pytest.approx(numbers, abs=1e-3), name
