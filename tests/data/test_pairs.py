import numpy as np
import pytest
import torch
from PIL import Image

from fusion_lab.data import Augmentation, PairDataset
from fusion_lab.data import pairs as pairs_module
from fusion_lab.data.images import read_picture
from fusion_lab.data.pairs import load_pairs
from fusion_lab.errors import FusionLabError


@pytest.fixture
def write(tmp_path):
    """Write a flat grey image of a level (or any pixels) to a path below the folder of the test."""

    def write_one(path, pixels=100, size=(6, 9)):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full(size, pixels, np.uint8) if np.isscalar(pixels) else pixels
        Image.fromarray(pixels).save(target)
        return target

    return write_one


def files(dataset):
    return {
        pair.name: tuple(str(path.relative_to(dataset.root)) for path in (pair.a, pair.b)) for pair in dataset.pairs
    }


def test_two_folders_are_paired_by_name_in_order(tmp_path, write):
    for name in ("b2", "a10", "B1"):
        write(f"vi/{name}.png")
        write(f"ir/{name}.png")
    dataset = PairDataset(tmp_path, "vi", "ir")
    assert [pair.name for pair in dataset.pairs] == ["a10", "B1", "b2"]
    assert len(dataset) == 3
    assert files(dataset)["B1"] == ("vi/B1.png", "ir/B1.png")


def test_suffixes_and_letter_case_may_differ_in_a_pair(tmp_path, write):
    write("a/One.JPG")
    write("b/one.png")
    write("a/two.tif")
    write("b/TWO.bmp")
    assert files(PairDataset(tmp_path)) == {"One": ("a/One.JPG", "b/one.png"), "two": ("a/two.tif", "b/TWO.bmp")}


def test_names_with_dots_keep_them(tmp_path, write):
    for name in ("shot.1.png", "shot.2.png"):
        write(f"a/{name}")
        write(f"b/{name}")
    assert list(files(PairDataset(tmp_path))) == ["shot.1", "shot.2"]


def test_plain_folders_are_not_searched_below(tmp_path, write):
    for folder in ("a", "b"):
        write(f"{folder}/one.png")
    write("a/deeper/two.png")
    assert list(files(PairDataset(tmp_path))) == ["one"]


def test_folders_may_be_nested_and_end_in_a_slash(tmp_path, write):
    write("visible/train/1.png")
    write("infrared/train/1.png")
    dataset = PairDataset(tmp_path, "visible/train/", "infrared/train")
    assert files(dataset) == {"1": ("visible/train/1.png", "infrared/train/1.png")}


def test_names_that_differ_at_the_end(tmp_path, write):
    """As RealMFF: imageB/001_B.png with imageA/001_A.png."""
    for number in ("001", "002"):
        write(f"imageA/{number}_A.png")
        write(f"imageB/{number}_B.png")
    dataset = PairDataset(tmp_path, "imageB/{name}_B", "imageA/{name}_A")
    assert files(dataset)["001"] == ("imageB/001_B.png", "imageA/001_A.png")
    assert len(dataset) == 2


def test_both_sources_in_one_folder(tmp_path, write):
    """As Lytro: lytro-01-A.jpg beside lytro-01-B.jpg."""
    for number in ("01", "02"):
        for letter in "AB":
            write(f"lytro-{number}-{letter}.jpg")
    dataset = PairDataset(tmp_path, "{name}-A", "{name}-B")
    assert files(dataset)["lytro-01"] == ("lytro-01-A.jpg", "lytro-01-B.jpg")
    assert len(dataset) == 2


def test_a_folder_for_each_scene_with_irregular_names(tmp_path, write):
    """As MEFB: names in any case, with any suffix, in folders or beside them."""
    write("Lighthouse_a.png")
    write("Lighthouse_B.png")
    write("garage/Garage_A.jpg")
    write("garage/Garage_b.png")
    write("Studio/set/studio_A.png")
    write("studio/Set/Studio_B.png")
    dataset = PairDataset(tmp_path, "{name}_A", "{name}_B")
    assert files(dataset) == {
        "garage/Garage": ("garage/Garage_A.jpg", "garage/Garage_b.png"),
        "Lighthouse": ("Lighthouse_a.png", "Lighthouse_B.png"),
        "Studio/set/studio": ("Studio/set/studio_A.png", "studio/Set/Studio_B.png"),
    }


def test_name_may_stand_for_the_folder(tmp_path, write):
    for scene in ("one", "two"):
        write(f"scenes/{scene}/near.png")
        write(f"scenes/{scene}/far.png")
        write(f"scenes/{scene}/notes.png")
    dataset = PairDataset(tmp_path, "scenes/{name}/near", "scenes/{name}/far")
    assert files(dataset)["two"] == ("scenes/two/near.png", "scenes/two/far.png")
    assert len(dataset) == 2


def test_signs_with_a_meaning_in_patterns_are_plain_text(tmp_path, write):
    write("set (1)+[x]/a.b/1_A.png")
    write("set (1)+[x]/aXb/1_A.png")
    write("set (1)+[x]/c/1 (B)+.png")
    dataset = PairDataset(tmp_path / "set (1)+[x]", "a.b/{name}_A", "c/{name} (B)+")
    assert files(dataset) == {"1": ("a.b/1_A.png", "c/1 (B)+.png")}


@pytest.mark.parametrize("pattern", ["{folder}", "{folder}/{{name}}"])
def test_what_is_no_image_of_the_pair_is_passed_over(tmp_path, write, pattern):
    for folder in ("a", "b"):
        write(f"{folder}/one.png")
    for junk in (".one.png", "._two.png", "Thumbs.db", ".DS_Store", "notes.txt", "scores.csv", "three.npy"):
        (tmp_path / "a" / junk).write_bytes(b"junk")
    (tmp_path / "a" / ".cache").mkdir()
    (tmp_path / "a" / ".cache" / "four.png").write_bytes(b"junk")
    dataset = PairDataset(tmp_path, pattern.format(folder="a"), pattern.format(folder="b"))
    assert list(files(dataset)) == ["one"]


def test_nothing_is_looked_for_before_the_first_use(tmp_path):
    dataset = PairDataset(tmp_path / "later")
    with pytest.raises(FusionLabError, match="does not exist"):
        len(dataset)


@pytest.mark.parametrize(("a", "b"), [("a", "nowhere"), ("nowhere/deep", "a"), ("nowhere/{name}_A", "a")])
def test_missing_folder_is_named(tmp_path, write, a, b):
    write("a/one.png")
    with pytest.raises(FusionLabError, match=r"The folder .*nowhere.* does not exist"):
        PairDataset(tmp_path, a, b).pairs  # noqa: B018


def test_folder_without_images_is_named(tmp_path, write):
    write("a/one.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.txt").write_text("no image")
    with pytest.raises(FusionLabError, match=r"No images of the form .*b/\{name\} were found"):
        PairDataset(tmp_path).pairs  # noqa: B018


def test_images_without_a_partner_are_counted_and_the_first_named(tmp_path, write):
    for i in range(8):
        write(f"a/{i}.png")
    write("b/0.png")
    write("b/other.png")
    with pytest.raises(FusionLabError, match=r"8 images .* have no partner") as raised:
        PairDataset(tmp_path).pairs  # noqa: B018
    message = str(raised.value)
    assert [str(i) for i in range(8) if f"a/{i}.png" in message] == ["1", "2", "3", "4", "5"]
    assert "and 3 more" in message


def test_one_name_twice_is_told(tmp_path, write):
    write("a/one.png")
    write("a/one.jpg")
    write("b/one.png")
    with pytest.raises(FusionLabError, match=r"one\.jpg and .*one\.png have the same name"):
        PairDataset(tmp_path).pairs  # noqa: B018


def test_sources_of_different_sizes_are_told_when_read(tmp_path, write):
    write("a/one.png", size=(6, 9))
    write("b/one.png", size=(7, 9))
    dataset = PairDataset(tmp_path)
    assert len(dataset) == 1
    with pytest.raises(FusionLabError, match=r"a/one\.png \(9x6\) and .*b/one\.png \(9x7\) differ in size"):
        dataset[0]


def test_broken_file_is_told_by_its_path(tmp_path, write):
    write("a/one.png")
    path = write("b/one.png", np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FusionLabError, match=r"b/one\.png"):
        PairDataset(tmp_path)[0]


def test_targets_are_found_and_handed_out(tmp_path, write):
    for name in ("one", "two"):
        write(f"a/{name}_A.png", 10)
        write(f"b/{name}_B.png", 20)
        write(f"all/{name}.png", 30)
    write("all/unused.png", 40)
    dataset = PairDataset(tmp_path, "a/{name}_A", "b/{name}_B", "all")
    sample = dataset[1]
    assert {"source_a", "source_b", "target", "name"} <= set(sample)
    assert [round(sample[key].mean().item() * 255) for key in ("source_a", "source_b", "target")] == [10, 20, 30]
    assert "target" not in PairDataset(tmp_path, "a/{name}_A", "b/{name}_B")[0]


def test_missing_targets_are_told(tmp_path, write):
    for folder in ("a", "b"):
        for name in ("one", "two"):
            write(f"{folder}/{name}.png")
    write("target/one.png")
    with pytest.raises(FusionLabError, match=r"1 pairs .* have no target of the same name \(two\)"):
        PairDataset(tmp_path, target="target").pairs  # noqa: B018


def test_target_of_another_size_is_told(tmp_path, write):
    write("a/one.png")
    write("b/one.png")
    path = write("target/one.png", size=(9, 9))
    with pytest.raises(FusionLabError, match=rf"{path}.*differ"):
        PairDataset(tmp_path, target="target")[0]


def test_limit_takes_the_first_pairs_by_name(tmp_path, write):
    for name in ("c", "a", "b"):
        write(f"a/{name}.png")
        write(f"b/{name}.png")
    assert [pair.name for pair in PairDataset(tmp_path, limit=2).pairs] == ["a", "b"]
    assert len(PairDataset(tmp_path, limit=7)) == 3


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_must_leave_something(limit):
    with pytest.raises(FusionLabError, match=f"Found `limit = {limit}`"):
        PairDataset(limit=limit)


def test_sample_is_luminance_from_zero_to_one(tmp_path, write):
    colour = np.zeros((4, 5, 3), np.uint8)
    colour[..., 0], colour[0, 0] = 255, 255
    write("a/one.png", colour)
    deep = np.full((4, 5), 65535, np.uint16)
    deep[0, 0] = 0
    write("b/one.png", deep)
    sample = PairDataset(tmp_path)[0]
    assert sample["name"] == "one"
    assert [sample["file_a"], sample["file_b"]] == [str(tmp_path / role / "one.png") for role in "ab"]
    for source in (sample["source_a"], sample["source_b"]):
        assert source.shape == (1, 4, 5)
        assert source.dtype == torch.float32
    # Red is 76 of 255 by Pillow's fixed-point ITU-R 601.
    assert sample["source_a"][0, 1, 1].item() == pytest.approx(76 / 255)
    assert sample["source_a"][0, 0, 0] == 1
    assert sample["source_b"][0, 0, 0] == 0
    assert sample["source_b"][0, 1, 1] == 1


def test_sample_is_augmented_from_its_seed(tmp_path, write):
    ramp = np.arange(12 * 14, dtype=np.uint8).reshape(12, 14)
    write("a/one.png", ramp)
    write("b/one.png", 255 - ramp)
    write("target/one.png", ramp)
    dataset = PairDataset(tmp_path, target="target")
    augmentation = Augmentation(5, flips=True)
    crops = []
    for seed in range(6):
        sample = dataset.sample(0, augmentation, seed)
        assert sample["source_a"].shape == (1, 5, 5)
        torch.testing.assert_close(sample["source_a"], 1 - sample["source_b"])
        assert torch.equal(sample["source_a"], sample["target"])
        assert torch.equal(sample["source_a"], dataset.sample(0, augmentation, seed)["source_a"])
        crops.append(sample["source_a"].numpy().tobytes())
    assert len(set(crops)) > 1


def test_load_pairs_yields_names_and_batches_of_one(tmp_path, write):
    write("a/one.png", 51)
    write("a/two.png", 102)
    write("b/one.png", 204)
    write("b/two.png", 255)
    found = list(load_pairs(tmp_path / "a", str(tmp_path / "b")))
    assert [name for name, *_ in found] == ["one", "two"]
    for (_, a, b), (level_a, level_b) in zip(found, [(0.2, 0.8), (0.4, 1.0)], strict=True):
        assert a.shape == b.shape == (1, 1, 6, 9)
        assert a.mean().item() == pytest.approx(level_a)
        assert b.mean().item() == pytest.approx(level_b)


def test_load_pairs_takes_patterns(tmp_path, write):
    write("x-A.png")
    write("x-B.png")
    (found,) = load_pairs(f"{tmp_path}/{{name}}-A", f"{tmp_path}/{{name}}-B")
    assert found[0] == "x"


def test_relative_folders_are_below_the_working_folder(tmp_path, write, monkeypatch):
    write("x-A.png")
    write("x-B.png")
    monkeypatch.chdir(tmp_path)
    assert [name for name, *_ in load_pairs("{name}-A", "{name}-B")] == ["x"]
    assert [name for name, *_ in load_pairs("./{name}-A", "./{name}-B")] == ["x"]


@pytest.mark.parametrize("role", ["a", "b", "target"])
@pytest.mark.parametrize("path", ["", "  "])
def test_empty_paths_are_told(role, path):
    with pytest.raises(FusionLabError, match=f"`{role}` is empty: name a folder below `root`, or `.`"):
        PairDataset(**{role: path})


def test_root_itself_may_be_named(tmp_path, write):
    write("one.png")
    write("near/one.png")
    assert files(PairDataset(tmp_path, ".", "near")) == {"one": ("one.png", "near/one.png")}


@pytest.mark.parametrize("pattern", ["x" * 300, "x" * 300 + "/{name}_A", "a\0b"])
def test_names_that_no_folder_can_have_are_told(tmp_path, pattern):
    with pytest.raises(FusionLabError, match=r"The folder .* (cannot be looked through|does not exist)"):
        PairDataset(tmp_path, pattern).pairs  # noqa: B018


def test_names_are_the_texts_that_the_pattern_leaves_open(tmp_path, write):
    # The small form of the first letter has two signs.
    for name in ("01", "11"):
        write(f"İrem/a/{name}.png")
        write(f"İrem/b/{name}.png")
    assert [pair.name for pair in PairDataset(tmp_path / "İrem").pairs] == ["01", "11"]
    write("a_A.png")
    write("a_B.png")
    assert [pair.name for pair in PairDataset(tmp_path, "{name}_A", "{name}_B").pairs] == ["a"]


def test_one_image_that_is_both_sources_is_read_once(tmp_path, write, monkeypatch):
    write("a/one.png")
    [pair] = PairDataset(tmp_path, "a", "a").pairs
    read = []
    monkeypatch.setattr(
        pairs_module, "read_picture", lambda path, given: read.append(path) or read_picture(path, given)
    )
    first, second = pair.read()
    assert first is second
    assert read == [pair.a]
