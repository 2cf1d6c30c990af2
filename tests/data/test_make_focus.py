import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from fusion_lab.data import make_focus as module
from fusion_lab.data.auxiliary import FocusSynthesis
from fusion_lab.data.focus_maps import DepthMap, SmoothMap
from fusion_lab.data.images import read_picture
from fusion_lab.data.make_focus import ROLES, make_focus
from fusion_lab.data.pairs import PairDataset
from fusion_lab.errors import FusionLabError

SYNTHESIS = FocusSynthesis(SmoothMap(), "disc", (2.0, 3.0), linear_light=True, occlusion=True)
SETTINGS = {"seed": 0}


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def source(tmp_path):
    generator = np.random.default_rng(0)
    for number in range(3):
        write(tmp_path / "src" / "vi" / f"{number}.png", generator.integers(0, 256, (40, 50 + number, 3), np.uint8))
        write(tmp_path / "src" / "ir" / f"{number}.png", generator.integers(0, 256, (40, 50 + number), np.uint8))
    return PairDataset(tmp_path / "src", "vi", "ir")


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def picture(folder, role, name, split="train"):
    return read_picture(folder / role / split / f"{name}.png").pixels


def test_folder_has_the_layout_of_the_release_and_a_manifest(source, tmp_path):
    out = tmp_path / "out"
    assert make_focus(source, out, SYNTHESIS, SETTINGS) == (3, 0)
    files = {f"{role}/train/{number}.png" for role in ROLES for number in range(3)}
    assert set(contents(out)) == {*files, "manifest.json"}
    for number in range(3):
        clear = picture(out, "visible", number)
        np.testing.assert_array_equal(clear, read_picture(source.pairs[number].a).pixels)
        np.testing.assert_array_equal(picture(out, "infrared", number), read_picture(source.pairs[number].b).pixels)
        near, far = (picture(out, f"visible_focus_{focus}", number) for focus in ("near", "far"))
        same_near, same_far = ((image == clear).all(axis=-1) for image in (near, far))
        assert 0.1 < same_near.mean() < 0.9
        assert 0.1 < same_far.mean() < 0.9
        # Off the edges every pixel is sharp in one of the two.
        assert (same_near | same_far).mean() > 0.6
    told = manifest(out)
    assert told["settings"] == SETTINGS
    [entry] = told["pairs"]["1"]
    assert (entry["name"], entry["visible"], entry["infrared"]) == ("1", "vi/1.png", "ir/1.png")
    assert 2 <= entry["radius"] <= 3
    for role, checksum in entry["sha256"].items():
        assert checksum == hashlib.sha256((out / role / "train" / "1.png").read_bytes()).hexdigest()


def test_patches_lie_on_a_grid_around_the_centre_and_are_drawn_apart(source, tmp_path):
    make_focus(source, tmp_path / "out", SYNTHESIS, SETTINGS, patch=16, split="val")
    entries = manifest(tmp_path / "out")["pairs"]["2"]
    assert [(entry["top"], entry["left"]) for entry in entries] == [(t, c) for t in (4, 20) for c in (2, 18, 34)]
    whole = read_picture(source.pairs[2].a).pixels
    for entry in entries:
        clear = picture(tmp_path / "out", "visible", entry["name"], "val")
        top, left = entry["top"], entry["left"]
        np.testing.assert_array_equal(clear, whole[top : top + 16, left : left + 16])
    assert len({entry["radius"] for entry in entries}) == len(entries)


def test_seed_decides_and_no_pair_depends_on_another(source, tmp_path):
    for name, options in {"one": {}, "again": {}, "other": {"seed": 1}}.items():
        make_focus(source, tmp_path / name, SYNTHESIS, SETTINGS, **options)
    make_focus(PairDataset(source.root, "vi", "ir", limit=1), tmp_path / "alone", SYNTHESIS, SETTINGS)
    one = contents(tmp_path / "one")
    assert contents(tmp_path / "again") == one
    path = "visible_focus_near/train/0.png"
    assert contents(tmp_path / "other")[path] != one[path] == contents(tmp_path / "alone")[path]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, FusionLabError("disk full")])
@pytest.mark.parametrize("after", [0, 1, 5, 6])
def test_interrupted_run_is_gone_on_with_and_ends_the_same(source, tmp_path, monkeypatch, stop, after):
    make_focus(source, tmp_path / "whole", SYNTHESIS, SETTINGS)
    write_picture = module.write_picture
    written = []

    def fail(picture, path):
        if len(written) == after:
            raise stop
        written.append(path)
        write_picture(picture, path)

    monkeypatch.setattr(module, "write_picture", fail)
    with pytest.raises(type(stop) if isinstance(stop, Exception) else stop):
        make_focus(source, tmp_path / "out", SYNTHESIS, SETTINGS)
    assert len(manifest(tmp_path / "out")["pairs"]) == after // 4
    monkeypatch.setattr(module, "write_picture", write_picture)
    assert make_focus(source, tmp_path / "out", SYNTHESIS, SETTINGS) == (3 - after // 4, after // 4)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_is_there_is_left_alone_and_what_was_deleted_is_made_again(source, tmp_path):
    make_focus(source, tmp_path / "out", SYNTHESIS, SETTINGS)
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "infrared" / "train" / "1.png").unlink()
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("[02].png")}
    assert make_focus(source, tmp_path / "out", SYNTHESIS, SETTINGS) == (1, 2)
    assert contents(tmp_path / "out") == before
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert make_focus(source, tmp_path / "out", SYNTHESIS, SETTINGS) == (0, 3)


def test_other_settings_are_refused_before_anything_is_written(source, tmp_path):
    make_focus(source, tmp_path / "out", SYNTHESIS, {"seed": 0, "patch": None})
    before = contents(tmp_path / "out")
    with pytest.raises(FusionLabError, match=r"was made with other settings \(patch: null, now 64\)") as error:
        make_focus(source, tmp_path / "out", SYNTHESIS, {"seed": 0, "patch": 64})
    assert "\n" not in str(error.value)
    assert contents(tmp_path / "out") == before


def test_foreign_folders_are_refused(source, tmp_path):
    with pytest.raises(FusionLabError, match=r"src holds something else \(ir\)"):
        make_focus(source, source.root, SYNTHESIS, SETTINGS)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text("[1]")
    with pytest.raises(FusionLabError, match="no manifest of `make-focus`"):
        make_focus(source, tmp_path / "out", SYNTHESIS, SETTINGS)


def test_depth_is_16_bit_and_grey_becomes_colour(tmp_path):
    generator = np.random.default_rng(0)
    write(tmp_path / "vi" / "deep.png", generator.integers(0, 65536, (20, 20)).astype(np.uint16))
    write(tmp_path / "ir" / "deep.png", generator.integers(0, 256, (20, 20), np.uint8))
    write(tmp_path / "depth" / "deep.png", np.tile(np.arange(20, dtype=np.uint8), (20, 1)))
    synthesis = FocusSynthesis(DepthMap("depth"))
    make_focus(PairDataset(tmp_path, "vi", "ir"), tmp_path / "out", synthesis, SETTINGS)
    clear, near = (picture(tmp_path / "out", role, "deep") for role in ("visible", "visible_focus_near"))
    assert clear.shape == near.shape == (20, 20, 3)
    assert clear.dtype == near.dtype == np.uint16
    np.testing.assert_array_equal(clear[..., 0], read_picture(tmp_path / "vi" / "deep.png").pixels)
    # Disparity grows to the right, where the near-focused image is sharp.
    np.testing.assert_allclose(near[:, -4:].astype(int), clear[:, -4:].astype(int), atol=1)


def test_patch_larger_than_a_pair_is_told_by_name(source, tmp_path):
    with pytest.raises(FusionLabError, match=r"'0' \(50x40\) is smaller than a patch of 41 pixels"):
        make_focus(source, tmp_path / "out", SYNTHESIS, SETTINGS, patch=41)


def test_pairs_that_would_be_one_file_are_told(tmp_path):
    for name in ("a/b", "a_b"):
        for role in ("vi", "ir"):
            write(tmp_path / role / f"{name}.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(FusionLabError, match=r"'a/b' and 'a_b' would be written to one file"):
        make_focus(PairDataset(tmp_path, "vi/{name}", "ir/{name}"), tmp_path / "out", SYNTHESIS, SETTINGS)
