import numpy as np
import pytest
from PIL import Image

from fusion_lab.data.checking import check, compare_sums, sums_of
from fusion_lab.data.recognition import recognise
from fusion_lab.files import sha256


def picture(path, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, 90, np.uint8)).save(path)


@pytest.fixture
def root(tmp_path):
    for number in range(21):
        for side in ("VI", "IR"):
            picture(tmp_path / "VIFB" / "input" / side / f"{number:02}.png")
    return tmp_path


def looked(root):
    base, found = recognise(root)
    results, sums = check(found, base, progress=True)
    return results[0], sums


def test_a_whole_set(root):
    result, sums = looked(root)
    assert (result.pairs, result.state, result.problems) == ({"test": 21}, "whole", [])
    assert len(sums) == 42
    assert sums["VIFB/input/IR/07.png"] == sha256(root / "VIFB/input/IR/07.png")
    assert sums_of([*sums, "absent.png"], root) == sums


def test_a_part_is_no_problem_and_more_is_told(root):
    picture(root / "VIFB/input/VI/more.png")
    picture(root / "VIFB/input/IR/MORE.jpg")
    result, _ = looked(root)
    assert (result.pairs, result.state, result.problems) == ({"test": 22}, "more than stated", [])
    for number in range(2, 21):
        for side in ("VI", "IR"):
            (root / "VIFB" / "input" / side / f"{number:02}.png").unlink()
    result, _ = looked(root)
    assert (result.pairs, result.state, result.problems) == ({"test": 3}, "a part", [])


def test_everything_that_can_be_wrong(root):
    folder = root / "VIFB" / "input"
    (folder / "VI" / "00.png").unlink()
    picture(folder / "VI" / "01.png", (12, 11))
    (folder / "IR" / "02.png").write_bytes((folder / "IR" / "02.png").read_bytes()[:40])
    (folder / "IR" / "03.png").write_bytes(b"")
    (folder / "IR" / "Thumbs.db").write_bytes(b"no image")
    result, sums = looked(root)
    assert result.pairs == {"test": 20}
    assert result.state == "a part"
    alone, size, broken, empty = result.problems
    assert alone.startswith("1 images have no partner")
    assert alone.endswith("IR/00.png.")
    assert "01.png" in size
    assert "differ in size" in size
    assert "02.png" in broken
    assert "03.png is empty" in empty
    # What cannot be shown still has a checksum.
    assert len(sums) == 41


def test_a_missing_side(root):
    (root / "VIFB/input/IR").rename(root / "elsewhere")
    result, sums = looked(root)
    assert (result.pairs, result.state, sums) == ({}, "a part", {})
    (problem,) = result.problems
    assert "IR does not exist" in problem


def test_a_split_that_is_not_there(tmp_path):
    for side in ("visible", "infrared"):
        picture(tmp_path / "LLVIP" / side / "test" / "190001.jpg")
    base, found = recognise(tmp_path)
    train, test = check(found, base)[0]
    assert (train.state, train.problems) == ("not there", [])
    assert (test.state, test.pairs) == ("a part", {"test": 1})


def test_checksums_of_a_renamed_set_are_compared(root, tmp_path):
    (root / "VIFB").rename(tmp_path / "mine")
    base, found = recognise(tmp_path / "mine", "vifb")
    _, sums = check(found, base)
    manifest = tmp_path / "sums"
    assert "Wrote" in str(compare_sums(manifest, sums, base, found))
    compared = compare_sums(manifest, sums, base, found)
    assert (compared.number, compared.differences) == (len(sums), [])
