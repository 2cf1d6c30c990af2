from pathlib import Path

import pytest

from fusion_lab.data.recognition import recognise
from fusion_lab.errors import FusionLabError


def make(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"")


def told(folder, name=None):
    """The base, and name, folder and number stated of what is found."""
    base, found = recognise(folder, name)
    return base, [(group.name, group.folder, group.stated) for group in found]


def test_all_sets_in_the_folder_of_all(tmp_path):
    make(tmp_path, "MEFB/input/x/x_A.png", "MEFB/input/x/x_B.png", "TNO/vi/1.png", "TNO/ir/1.png", "notes/read.me")
    make(tmp_path, "sice_gray/train/a/1.png", "sice_gray/train/b/1.png", "mine/val/a/1.png", "mine/val/b/1.png")
    base, found = told(tmp_path)
    assert base == tmp_path
    assert found == [
        ("tno", "TNO", 42),
        ("mefb", "MEFB/input", 100),
        (None, "mine", None),
        ("sice", "sice_gray", None),
    ]
    assert told(tmp_path, "mefb")[1] == found[1:2]
    assert told(tmp_path, "sice")[1] == found[3:]


def test_the_folder_of_one_by_its_name(tmp_path):
    make(tmp_path, "MEFB/input/x/x_A.png", "MEFB/input/x/x_B.png")
    # Paths are told from the folder above, as in the manifest that `get` writes.
    assert told(tmp_path / "MEFB") == (tmp_path, [("mefb", "MEFB/input", 100)])
    assert told(tmp_path / "MEFB", "mefb") == (tmp_path, [("mefb", "MEFB/input", 100)])


def test_the_folder_of_one_under_another_name(tmp_path):
    make(tmp_path, "other/train/vi/1.png", "other/train/ir/1.png")
    found = [("msrs", ".", 1083), ("msrs", ".", 361)]
    assert told(tmp_path / "other") == told(tmp_path / "other", "msrs") == (tmp_path / "other", found)
    with pytest.raises(FusionLabError, match="the layout of tno"):
        recognise(tmp_path / "other", "tno")


def test_what_could_be_several_has_to_be_named(tmp_path):
    make(tmp_path, "other/input/x/x_A.png", "other/input/x/x_B.png")
    with pytest.raises(FusionLabError, match=r"any of mffw, mfifb, mefb: say which with --as"):
        recognise(tmp_path / "other")
    assert told(tmp_path / "other", "mfifb")[1] == [("mfifb", "input", 105)]


@pytest.mark.parametrize("where", [".", "vifb", "vifb/test"])
def test_the_common_layout_from_any_of_its_folders(tmp_path, where):
    make(tmp_path, "vifb/test/a/1.png", "vifb/test/b/1.png")
    _, (group,) = recognise(tmp_path / where)
    assert (group.name, group.task, group.stated) == ("vifb", "ivf", 21)
    assert [(place.root, place.split) for place in group.places] == [(tmp_path / "vifb" / "test", "test")]


def test_a_set_of_which_a_part_is_missing(tmp_path):
    make(tmp_path, "LLVIP/visible/test/1.jpg", "LLVIP/infrared/test/1.jpg")
    _, found = recognise(tmp_path)
    assert [[place.is_there for place in group.places] for group in found] == [[False], [True]]


def test_nothing_to_recognise(tmp_path):
    with pytest.raises(FusionLabError, match="does not exist"):
        recognise(tmp_path / "absent")
    with pytest.raises(FusionLabError, match="the layout of a public data set"):
        recognise(tmp_path)
    with pytest.raises(FusionLabError, match="no data set 'x'"):
        recognise(tmp_path, "x")


def test_a_relative_folder(tmp_path, monkeypatch):
    make(tmp_path, "TNO/vi/1.png", "TNO/ir/1.png")
    monkeypatch.chdir(tmp_path / "TNO")
    assert told(Path())[1] == [("tno", "TNO", 42)]
