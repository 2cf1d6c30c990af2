import subprocess
import sys

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from skimage.data import astronaut, camera

from fusion_lab.cli.main import main
from fusion_lab.data.video.frames import read_frames
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.fuser import Fuser
from fusion_lab.inference.stack_files import find_stacks, fuse_stacks
from fusion_lab.inference.tiling import fuse_many
from fusion_lab.inference.weights import load_network
from fusion_lab.networks import Average, FusionNetwork, GuidedFilter, LaplacianPyramid, Maximum


def focus_stack(image, number=5):
    """Frames that are each sharp in one of so many vertical stripes: the sharp image is the answer."""
    blurred = cv2.GaussianBlur(image, (0, 0), 3)
    width = image.shape[1]
    frames = []
    for i in range(number):
        sharp = np.zeros(image.shape[:2], np.float32)
        sharp[:, width * i // number : width * (i + 1) // number] = 1
        sharp = cv2.GaussianBlur(sharp, (0, 0), 2)
        sharp = sharp[..., None] if image.ndim == 3 else sharp
        frames.append(np.rint(sharp * image + (1 - sharp) * blurred).astype(np.uint8))
    return frames


def psnr(fused, truth):
    return 10 * np.log10(255**2 / np.mean((fused.astype(float) - truth) ** 2))


@pytest.fixture
def stack(tmp_path):
    folder = tmp_path / "stack"
    folder.mkdir()
    for i, frame in enumerate(focus_stack(camera()[100:260, 100:292])):
        Image.fromarray(frame).save(folder / f"{i}.png")
    return folder


TRUTH = camera()[100:260, 100:292]


@pytest.mark.parametrize("order", ["fold", "tree"])
@pytest.mark.parametrize(
    ("network", "least"),
    [(GuidedFilter, 33), (LaplacianPyramid, 33), ("tita", 30)],
    ids=["guided", "laplacian", "tita"],
)
def test_a_focus_stack_of_five_gives_the_sharp_image(stack, network, least, order, tmp_path):
    fuser = Fuser(load_network(network) if isinstance(network, str) else network())
    fuse_stacks([stack], tmp_path / "fused.png", fuser, order)
    average = psnr(np.mean([np.asarray(Image.open(path)) for path in stack.iterdir()], axis=0), TRUTH)
    fused = psnr(np.asarray(Image.open(tmp_path / "fused.png")), TRUTH)
    assert fused > least
    assert fused > average + 3


def test_nothing_is_rounded_on_the_way():
    class Half(FusionNetwork):
        def forward(self, source_a, source_b):
            return (source_a + source_b) / 2

    levels = [torch.full((1, 1, 8, 8), value) for value in (0.0, 1 / 255, 0.0)]
    assert fuse_many(Half(), levels).unique().item() == pytest.approx(1 / 4 / 255)
    # Three are a pair and one left over.
    assert fuse_many(Half(), levels, order="tree").unique().item() == pytest.approx(1 / 4 / 255)
    five = [torch.full((1, 1, 8, 8), float(value)) for value in (0, 0, 0, 0, 1)]
    assert fuse_many(Half(), five).unique().item() == 1 / 2
    assert fuse_many(Half(), five, order="tree").unique().item() == 1 / 2
    eight = [torch.full((1, 1, 8, 8), float(value)) for value in (1, 0, 0, 0, 0, 0, 0, 1)]
    assert fuse_many(Half(), eight, order="tree").unique().item() == 1 / 4
    assert fuse_many(Average(), eight).unique().item() == 1 / 4


def test_many_sources_in_tiles():
    sources = list(torch.rand(3, 1, 1, 96, 80, generator=torch.Generator().manual_seed(0)))
    network = Maximum()
    limit = 1.5 * network.bytes_per_pixel * 40 * 40 / 2**30
    torch.testing.assert_close(fuse_many(network, sources, limit), torch.stack(sources).amax(dim=0))


def test_colours_of_all_sources_count():
    red, green, grey = (np.full((16, 16, 3), 90, np.uint8) for _ in range(3))
    red[..., 0], green[..., 1] = 200, 200
    from fusion_lab.data.images import Picture

    fused = Fuser(Average()).fuse_many([Picture(red), Picture(grey), Picture(green)])
    assert fused.pixels.ndim == 3
    assert Fuser(Average(), colours="grey").fuse_many([Picture(red), Picture(green), Picture(grey)]).pixels.ndim == 2
    only = Fuser(Average(), colours="a").fuse_many([Picture(grey), Picture(red), Picture(green)])
    assert only.is_grey


def test_pages_of_a_tiff_and_frames_of_an_animation(tmp_path):
    frames = focus_stack(TRUTH, 3)
    tifffile.imwrite(tmp_path / "pages.tif", np.stack(frames), photometric="minisblack", metadata=None)
    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save(tmp_path / "frames.png", save_all=True, append_images=others)
    for name in ("pages.tif", "frames.png"):
        found = read_frames(tmp_path / name)
        assert [np.array_equal(picture.luminance(), frame) for picture, frame in zip(found, frames, strict=True)] == [
            True
        ] * 3, name


def test_a_folder_for_each_scene(tmp_path):
    for scene, number in (("one", 3), ("deep/two", 2), ("single", 1)):
        (tmp_path / "in" / scene).mkdir(parents=True)
        for i in range(number):
            Image.fromarray(astronaut()[:64, : 64 + i * (scene == "none")]).save(tmp_path / "in" / scene / f"{i}.png")
    assert [(stack.name, len(stack.files)) for stack in find_stacks([tmp_path / "in"])] == [
        ("deep/two", 2),
        ("one", 3),
        ("single", 1),
    ]
    done = fuse_stacks([tmp_path / "in"], tmp_path / "out", Fuser(Average()))
    assert [path.relative_to(tmp_path / "out").as_posix() for path in done.written] == ["deep/two.png", "one.png"]
    assert "holds a single image" in done.failed[tmp_path / "out" / "single.png"]


def test_the_command_fuses_three_images(stack, tmp_path):
    files = sorted(map(str, stack.iterdir()))
    command = [sys.executable, "-m", "fusion_lab.cli.main", "fuse", *files, "-o", str(tmp_path / "fused.png")]
    done = subprocess.run(
        [*command, "--weights", "fusion_lab.networks.GuidedFilter"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Fused 1 stack into" in done.stdout
    assert psnr(np.asarray(Image.open(tmp_path / "fused.png")), TRUTH) > 33


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["0.png"], "holds a single image"),
        (["0.png", "1.png", "missing.png"], "does not exist"),
        (["0.png", "1.png", "."], "is a folder: give several files"),
        (["0.png", "1.png", "wide.png"], "differ in size (192x160 and 200x160)"),
        (["0.png", "1.png", "2.png", "--align", "affine", "--bands"], "cannot be fused with --align, --bands"),
        (["."], "differ in size"),
    ],
)
def test_mistakes_in_one_sentence(stack, arguments, told, capsys, tmp_path):
    Image.fromarray(np.zeros((160, 200), np.uint8)).save(stack / "wide.png")
    words = [word if word.startswith("--") or word == "affine" else str(stack / word) for word in arguments]
    assert main(["fuse", *words, "-o", str(tmp_path / "out.png"), "--weights", "fusion_lab.networks.Average"]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_other_numbers_and_orders():
    with pytest.raises(FusionLabError, match="two sources or more"):
        fuse_many(Average(), [torch.zeros(1, 1, 8, 8)])
    with pytest.raises(FusionLabError, match="fold, tree"):
        fuse_many(Average(), [torch.zeros(1, 1, 8, 8)] * 2, order="random")


def test_hidden_images_beside_the_folders_of_scenes_do_not_count(tmp_path):
    for name in ("._x.png", "one/a.png", "one/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (16, 16)).save(tmp_path / name)
    assert [stack.name for stack in find_stacks([tmp_path])] == ["one"]
