"""Every kind of file gives `fuse`, `evaluate` and training what the plain file with the same picture gives."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from fusion_lab.cli.main import main
from fusion_lab.data import PairDataset

# LittleCMS without its shortcuts.
EXACT = ImageCms.Flags.NOOPTIMIZE
SIZE = (24, 32)
AVERAGE = "fusion_lab.networks.Average"


def smooth(*shape, seed):
    """A picture with details: flat noise has no score that would tell it from its negative."""
    values = np.random.default_rng(seed).random((*SIZE, *shape), np.float32)
    values = cv2.GaussianBlur(values, (0, 0), 2)
    return (values - values.min()) / np.ptp(values)


RGB = np.rint(smooth(3, seed=0) * 65535).astype(np.uint16)
GREY = np.rint(smooth(seed=1) * 65535).astype(np.uint16)
RGB_8, GREY_8 = (RGB // 257).astype(np.uint8), (GREY // 257).astype(np.uint8)
FEW = np.rint(smooth(seed=1) * 4095).astype(np.uint16)
COUNTS = (7000 + FEW // 4).astype(np.uint16)
FROM_FEW = np.rint(FEW / 4095 * 65535).astype(np.uint16)
GAMMA = imagecodecs.cms_profile("gray", gamma=1.4)
PALETTE = np.random.default_rng(2).integers(0, 256, (3, 256)).astype(np.uint16) * 257


def plain(path, pixels):
    cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    return path


def stretched(counts):
    low, high = int(counts.min()), int(counts.max())
    return np.rint((counts - low) / (high - low) * 65535).astype(np.uint16)


def tiff(values, **options):
    return lambda path: tifffile.imwrite(path.with_suffix(".tif"), values, metadata=None, **options)


def netpbm(path):
    path.with_suffix(".pgm").write_bytes(b"P5\n%d %d\n4095\n" % SIZE[::-1] + FEW.astype(">u2").tobytes())


def jpeg_2000(path):
    encoded = imagecodecs.jpeg2k_encode(GREY, level=0, reversible=True, codecformat="jp2")
    path.with_suffix(".jp2").write_bytes(encoded)


def animated(path):
    frames = [Image.fromarray(pixels) for pixels in (RGB_8, RGB_8[::-1])]
    frames[0].save(path.with_suffix(".png"), save_all=True, append_images=frames[1:])


def profiled(path):
    Image.fromarray(GREY_8).save(path.with_suffix(".png"), icc_profile=GAMMA)


def in_srgb(levels):
    """Convert by LittleCMS, as Pillow has it."""
    given = ImageCms.ImageCmsProfile(io.BytesIO(GAMMA))
    image = ImageCms.profileToProfile(
        Image.fromarray(levels), given, ImageCms.createProfile("sRGB"), outputMode="RGB", flags=EXACT
    )
    return np.asarray(image)[..., 1]


# How the second source is written, the same picture in a plain file, and the options that the kind needs.
KINDS = {
    "planes": (tiff(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"), RGB, []),
    "zero is white": (tiff(65535 - GREY, photometric="miniswhite"), GREY, []),
    "zero is white, 8 bits": (tiff(255 - GREY_8, photometric="miniswhite"), GREY_8, []),
    "zero is white, big-endian": (tiff(65535 - GREY, photometric="miniswhite", byteorder=">"), GREY, []),
    "palette": (tiff(GREY_8, photometric="palette", colormap=PALETTE), (PALETTE.T[GREY_8] // 257).astype(np.uint8), []),
    "12 bits": (tiff(FEW, photometric="minisblack", bitspersample=12), FROM_FEW, []),
    "12 bits, PGM": (netpbm, FROM_FEW, []),
    "big-endian tiles in LZW": (
        tiff(RGB, photometric="rgb", byteorder=">", tile=(16, 16), compression="lzw", predictor=True), RGB, [],
    ),
    "BigTIFF in Zstandard": (tiff(GREY, bigtiff=True, compression="zstd"), GREY, []),
    "turned": (tiff(np.rot90(RGB), photometric="rgb", extratags=[(274, 3, 1, 6, True)]), RGB, []),
    "JPEG 2000": (jpeg_2000, GREY, []),
    "animated": (animated, RGB_8, []),
    "profile": (profiled, in_srgb(GREY_8), []),
    "thermal counts": (tiff(COUNTS), stretched(COUNTS), ["--range-b", "minmax"]),
    "degrees": (tiff((COUNTS / 100 - 50).astype(np.float32)), stretched(COUNTS), ["--range-b=minmax"]),
    "degrees in half precision": (
        tiff((FEW % 64).astype(np.float16)), stretched(FEW % 64), ["--range-b", "0..63"],
    ),
    "degrees in double precision": (tiff(COUNTS / 100 - 50), stretched(COUNTS), ["--range-b=0%..100%"]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*frames")
@pytest.mark.parametrize("kind", KINDS)
def test_file_kinds(tmp_path, kind, capsys):
    write, picture, options = KINDS[kind]
    results = []
    for folder, given in (("plain", []), ("odd", options)):
        for role in ("a", "b"):
            (tmp_path / folder / role).mkdir(parents=True)
        plain(tmp_path / folder / "a" / "1.png", RGB_8[::-1])
        if folder == "plain":
            plain(tmp_path / folder / "b" / "1.png", picture)
        else:
            write(tmp_path / folder / "b" / "1")
        a, b, out = (str(tmp_path / folder / name) for name in ("a", "b", "out"))
        assert main(["fuse", a, b, "-o", out, "--weights", AVERAGE, *given]) == 0
        scores = str(tmp_path / f"{folder}.csv")
        told = ["--a", a, "--b", b, "--fused", out, "-o", scores, "--metrics", "SCD", "CC", "EN", *given]
        assert main(["evaluate", *told]) == 0
        row = next(csv.DictReader(io.StringIO(Path(scores).read_text())))
        ranges = {"range_b": " ".join(given).replace("=", " ").split()[1]} if given else {}
        sample = PairDataset(tmp_path / folder, **ranges)[0]
        fused = cv2.imread(f"{out}/1.png", cv2.IMREAD_UNCHANGED)
        results.append((sample["source_a"], sample["source_b"], fused, {k: float(row[k]) for k in ("SCD", "CC", "EN")}))
    (a, b, fused, scores), (odd_a, odd_b, odd_fused, odd_scores) = results
    # 16-bit levels from floating-point values are rounded once more.
    last = 1 / 65535 if options else 0
    assert torch.equal(a, odd_a)
    assert (b - odd_b).abs().max() <= last * 1.01
    assert fused.dtype == odd_fused.dtype
    assert abs(fused.astype(int) - odd_fused).max() <= (2 if options else 0)
    assert odd_scores == pytest.approx(scores, abs=2e-3 if options else 1e-9)
    # A negative, or an infrared that is gone, would be far below.
    assert scores["SCD"] > 0.5


def test_frames_and_counts_are_told_by_the_command(tmp_path, capsys):
    animated(tmp_path / "a")
    tifffile.imwrite(tmp_path / "b.tif", COUNTS)
    out = str(tmp_path / "out.png")
    assert main(["fuse", str(tmp_path / "a.png"), str(tmp_path / "b.tif"), "-o", out, "--weights", AVERAGE]) == 0
    told = capsys.readouterr().err
    assert f"fusion-lab fuse: warning: The image {tmp_path / 'a.png'} holds 2 frames: the first is used" in told
    assert (
        f"fusion-lab fuse: warning: The image {tmp_path / 'b.tif'} has 16 bits, but its values reach from 7000" in told
    )
    assert "--range-b" not in told


def test_scenes_behind_links_are_scored(tmp_path):
    for scene in ("data/s1", "elsewhere/s2", "data/s3"):
        for role in ("vi", "ir", "fused"):
            (tmp_path / scene / role).mkdir(parents=True)
            plain(tmp_path / scene / role / "1.png", GREY_8 if role == "ir" else GREY_8[::-1])
    (tmp_path / "data" / "s2").symlink_to(tmp_path / "elsewhere" / "s2")
    (tmp_path / "data" / "s1" / "loop").symlink_to(tmp_path / "data")
    roles = {
        name: f"{tmp_path}/data/{{name}}/{role}/1" for name, role in (("a", "vi"), ("b", "ir"), ("fused", "fused"))
    }
    told = [text for name, pattern in roles.items() for text in (f"--{name}", pattern)]
    assert main(["evaluate", *told, "-o", str(tmp_path / "s.csv"), "--metrics", "EN"]) == 0
    rows = csv.DictReader(io.StringIO((tmp_path / "s.csv").read_text()))
    assert [row["name"] for row in rows] == ["s1", "s2", "s3", "mean"]
    fused = [*(roles[name] for name in "ab"), "-o", str(tmp_path / "out"), "--weights", AVERAGE]
    assert main(["fuse", *fused]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["s1.png", "s2.png", "s3.png"]


def test_a_broken_pair_ends_with_1_and_is_named(tmp_path, capsys):
    for name in ("1", "2"):
        for role in "ab":
            (tmp_path / role).mkdir(exist_ok=True)
            plain(tmp_path / role / f"{name}.png", GREY_8)
    (tmp_path / "a" / "1.png").write_bytes(b"broken")
    command = ["fuse", str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(tmp_path / "out"), "--weights", AVERAGE]
    assert main(command) == 1
    told = capsys.readouterr()
    assert f"Not fused: The file {tmp_path / 'a' / '1.png'} is not an image" in told.err
    assert told.out == f"Fused 1 pair into {tmp_path / 'out'}.\n"
    plain(tmp_path / "a" / "1.png", GREY_8)
    assert main(command) == 0
    assert capsys.readouterr().out == f"Fused 1 pair into {tmp_path / 'out'}; 1 done before.\n"
    assert main(command) == 0
    assert "All 2 pairs" in capsys.readouterr().out
    assert main([*command, "--overwrite"]) == 0
    assert capsys.readouterr().out == f"Fused 2 pairs into {tmp_path / 'out'}.\n"


def test_colours_of_one_source(tmp_path):
    heat = cv2.applyColorMap(GREY_8, cv2.COLORMAP_JET)[..., ::-1]
    a, b, out = plain(tmp_path / "a.png", GREY_8[::-1]), plain(tmp_path / "b.png", heat), tmp_path / "out.png"
    for colours, channels in (("both", 3), ("b", 3), ("a", 2), ("grey", 2)):
        told = ["fuse", str(a), str(b), "-o", str(out), "--weights", AVERAGE, "--colours", colours]
        assert main(told) == 0
        assert cv2.imread(str(out), cv2.IMREAD_UNCHANGED).ndim == channels


def test_the_program_ends_with_1_after_a_broken_pair_and_warns_in_a_line(tmp_path):
    for name in ("1", "2"):
        for role in "ab":
            (tmp_path / role).mkdir(exist_ok=True)
            KINDS["planes"][0](tmp_path / role / name)
    tifffile.imwrite(tmp_path / "b" / "2.tif", COUNTS)
    (tmp_path / "a" / "1.tif").write_bytes(b"II*\0broken")
    command = [sys.executable, "-m", "fusion_lab.cli.main", "fuse", "a", "b", "-o", "out", "--weights", AVERAGE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == "Fused 1 pair into out.\n"
    told = [line for line in done.stderr.splitlines() if "━" not in line and line.strip()]
    assert len(told) == 2
    assert told[0].startswith("fusion-lab fuse: warning: The image b/2.tif has 16 bits, but its values reach from 7000")
    assert told[1].startswith("Not fused: The image a/1.tif is broken (")
