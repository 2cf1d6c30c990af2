import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("av", reason="the extra video is not installed")

import fusion_lab
from fusion_lab.cli.main import main
from fusion_lab.data.images import Picture
from fusion_lab.inference.fuser import Fuser
from fusion_lab.networks import TITA, Average, Maximum
from tests.tiny import NETWORK
from tests.video_files import NTSC, TICK, av, frames, length, read_video, write_sound, write_video

NUMBER = 10
TIMES = [0, 3000, 4000, 9000, 12000, 15000, 18100, 21000, 24000, 27000]
KILLED = """
import os, signal, sys
import fusion_lab
from fusion_lab.networks import Maximum

calls = 0
forward = Maximum.forward

def dying(self, a, b):
    global calls
    calls += 1
    if calls == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(self, a, b)

Maximum.forward = dying
fusion_lab.fuse_video(*sys.argv[1:], Maximum(), segment=4)
"""


@pytest.fixture(scope="module")
def pair(data_root):
    folder = data_root / "embedded/ivf/train"
    return tuple(frames(folder / source / "street_0000.png", NUMBER) for source in "ab")


@pytest.fixture(scope="module")
def videos(pair, tmp_path_factory):
    """A visible video with times of its own, turned and with sound, and an infrared one."""
    folder = tmp_path_factory.mktemp("videos")
    a = write_video(folder / "a.mp4", pair[0], times=TIMES, rotation=90, sound=True)
    return a, write_video(folder / "b.mp4", pair[1], rotation=90)


def fused_one_by_one(pair, network):
    return np.stack([Fuser(network)(*map(Picture, both)).pixels for both in zip(*pair, strict=True)])


def test_frames_are_fused_as_images_are(pair, tmp_path):
    a, b = (
        write_video(tmp_path / f"{name}.mkv", each, codec="ffv1", kind="bgr0")
        for name, each in zip("ab", pair, strict=True)
    )
    done = fusion_lab.fuse_video(a, b, tmp_path / "fused.mkv", Maximum(), segment=4)
    assert (done.path, done.frames, done.kept, done.silent_because) == (tmp_path / "fused.mkv", NUMBER, 0, None)
    expected = fused_one_by_one(pair, Maximum())
    assert np.array_equal(read_video(done.path)[0], expected)

    fusion_lab.fuse_video(a, b, tmp_path / "fused.mp4", Maximum())
    difference = read_video(tmp_path / "fused.mp4")[0] - expected.astype(float)
    # Halved colours and the encoder cost some levels, but nothing is brighter or redder.
    assert np.abs(difference).mean() < 5
    assert np.abs(difference.mean((0, 1, 2))).max() < 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "b.mkv", "fused.mkv", "fused.mp4"]


@pytest.mark.parametrize("colorspace", [1, 6])
def test_colours_of_either_standard_stay(pair, colorspace, tmp_path):
    source = write_video(tmp_path / "a.mp4", pair[0], colorspace=colorspace)
    fusion_lab.fuse_video(source, source, tmp_path / "fused.mp4", Average())
    difference = read_video(tmp_path / "fused.mp4")[0] - np.stack(pair[0]).astype(float)
    assert np.abs(difference.mean((0, 1, 2))).max() < 1.5


def test_times_length_rotation_and_sound_are_kept(videos, tmp_path):
    a, b = videos
    fusion_lab.fuse_video(a, b, tmp_path / "fused.mp4", Average(), segment=3)
    assert read_video(tmp_path / "fused.mp4")[1] == [time * TICK for time in TIMES]
    with av.open(str(tmp_path / "fused.mp4")) as fused, av.open(str(a)) as source:
        heard, original = (
            [bytes(packet) for packet in file.demux(audio=0) if packet.dts is not None] for file in (fused, source)
        )
        assert heard == original
        fused.seek(0)
        assert next(fused.decode(video=0)).rotation == 90
    assert length(tmp_path / "fused.mp4") - TIMES[-1] * TICK > 0.01

    fusion_lab.fuse_video(b, a, tmp_path / "other.mov", Average(), segment=3)
    with av.open(str(tmp_path / "other.mov")) as container:
        [stream] = container.streams
        assert stream.average_rate == NTSC
    assert length(tmp_path / "other.mov") == NUMBER / NTSC
    assert read_video(tmp_path / "other.mov")[1] == [number / NTSC for number in range(NUMBER)]


def test_turned_videos_are_fused_as_they_are_seen(pair, tmp_path):
    a = write_video(tmp_path / "a.mkv", [np.rot90(each, -1).copy() for each in pair[0]], codec="ffv1", kind="bgr0")
    b = write_video(tmp_path / "b.mp4", pair[0], rotation=-90)
    fusion_lab.fuse_video(a, b, tmp_path / "fused.mkv", Average())
    difference = read_video(tmp_path / "fused.mkv")[0] - np.stack([np.rot90(each, -1) for each in pair[0]]).astype(int)
    assert np.abs(difference).mean() < 3


def test_a_killed_run_goes_on_and_the_result_is_the_same(videos, tmp_path):
    a, b = map(str, videos)
    fusion_lab.fuse_video(a, b, tmp_path / "whole.mp4", Maximum(), segment=4)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, a, b, str(tmp_path / "fused.mp4")], capture_output=True, check=False
    )
    assert killed.returncode == -9, killed.stderr
    assert not (tmp_path / "fused.mp4").exists()
    done = fusion_lab.fuse_video(a, b, tmp_path / "fused.mp4", Maximum(), segment=4)
    assert done.kept == 4
    assert (tmp_path / "fused.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fused.mp4", "whole.mp4"]


def test_segments_of_another_network_are_not_taken(videos, tmp_path):
    a, b = map(str, videos)
    subprocess.run([sys.executable, "-c", KILLED, a, b, str(tmp_path / "fused.mp4")], capture_output=True, check=False)
    assert len(list((tmp_path / "fused.mp4.segments").glob("0*.nut"))) == 1
    assert fusion_lab.fuse_video(a, b, tmp_path / "fused.mp4", Average(), segment=4).kept == 0


def test_odd_sides(pair, tmp_path):
    a = write_video(tmp_path / "a.mkv", [each[:45, :63].copy() for each in pair[0]], codec="ffv1", kind="bgr0")
    fusion_lab.fuse_video(a, a, tmp_path / "fused.mp4", Average())
    assert read_video(tmp_path / "fused.mp4")[0].shape == (NUMBER, 45, 63, 3)


def test_16_bits_are_kept_without_loss(tmp_path):
    levels = [np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20 + number for number in range(3)]
    a = write_video(tmp_path / "a.mkv", levels, codec="ffv1", kind="gray16le")
    fusion_lab.fuse_video(a, a, tmp_path / "fused.mkv", Average())
    with av.open(str(tmp_path / "fused.mkv")) as container:
        found = np.stack([frame.to_ndarray(format="rgb48le") for frame in container.decode(video=0)])
    assert np.array_equal(found, np.repeat(np.stack(levels)[..., None], 3, axis=-1))


def test_a_range_is_that_of_the_whole_video(tmp_path):
    counts = [np.linspace(7000, 8000 + 1000 * number, 48 * 64).astype(np.uint16).reshape(48, 64) for number in (0, 1)]
    a = str(write_video(tmp_path / "a.mkv", counts, codec="ffv1", kind="gray16le"))
    command = ["fuse", a, a, "-o", str(tmp_path / "fused.mkv"), "--weights", "fusion_lab.networks.Average"]
    assert main([*command, "--range-a", "minmax", "--range-b", "7000..9000"]) == 0
    with av.open(str(tmp_path / "fused.mkv")) as container:
        found = np.stack([frame.to_ndarray(format="rgb48le")[..., 0] for frame in container.decode(video=0)])
    assert np.abs(found - (np.stack(counts) - 7000.0) / 2000 * 65535).max() <= 1


def test_frames_do_not_change_their_order_in_a_network_that_sorts_its_sources(tmp_path):
    torch.manual_seed(0)
    network = TITA(**NETWORK, blend=True, brighter_first=True).eval()
    rng = np.random.default_rng(0)
    # From the third frame on the second video is the brighter one.
    levels = np.array([120, 110, 60, 40])[:, None, None, None]
    pair = [np.repeat(rng.integers(0, 80, (4, 16, 24, 1)) + base, 3, axis=-1) for base in (levels, 100)]
    a, b = (
        write_video(tmp_path / f"{name}.mkv", each.astype(np.uint8), codec="ffv1", kind="bgr0")
        for name, each in zip("ab", pair, strict=True)
    )
    fusion_lab.fuse_video(a, b, tmp_path / "fused.mkv", network, segment=3)
    network.brighter_first = False
    expected = fused_one_by_one([each.astype(np.uint8) for each in pair], network)
    assert np.array_equal(read_video(tmp_path / "fused.mkv")[0][..., 0], expected)


def test_the_command(videos, tmp_path):
    a, b = map(str, videos)
    command = [sys.executable, "-m", "fusion_lab.cli.main", "fuse", a, b, "-o", str(tmp_path), "--colours", "a"]
    done = subprocess.run(
        [*command, "--weights", "fusion_lab.networks.Average"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Fused {NUMBER} frames into {tmp_path / 'a.mp4'}.\n"
    assert "Fusing" in done.stderr
    assert len(read_video(tmp_path / "a.mp4")[0]) == NUMBER


def test_mistakes_in_one_sentence(pair, videos, tmp_path, capsys):
    a, b = map(str, videos)
    short = str(write_video(tmp_path / "short.mp4", pair[1][:7], rotation=90))
    small = str(write_video(tmp_path / "small.mp4", [each[:40].copy() for each in pair[1]]))
    sound = str(write_sound(tmp_path / "sound.mp4"))
    (tmp_path / "text.mp4").write_text("no video")

    def told(*arguments, output="fused.mp4"):
        out = tmp_path / output
        assert main(["fuse", *arguments, "-o", str(out), "--weights", "fusion_lab.networks.Average"]) == 2
        assert not (tmp_path / "fused.mp4").exists()
        return capsys.readouterr().err

    assert "has 10 frames and" in (text := told(a, short))
    assert "has 7: cut them" in text
    assert "64x40 pixels" in (text := told(a, small))
    assert "48x64 pixels" in text
    assert "sound alone" in told(a, sound)
    assert "is no video that can be read" in told(a, str(tmp_path / "text.mp4"))
    assert "does not exist" in told(a, str(tmp_path / "missing.mp4"))
    assert "should end in .mp4" in told(a, b, output="fused.png")
    assert "A video is fused with one other video" in told(a, b, short)
    assert "A video is fused with one other video" in told(a, str(tmp_path / "image.png"))
    assert "cannot be fused with --align: leave" in told(a, b, "--align", "affine", "--range-b", "minmax")
    assert "The input range 'most' should be full, minmax" in told(a, b, "--range-b", "most")
    assert "would replace a source" in told(a, short, output="short.mp4")


def test_the_extra_is_named_where_it_is_missing(videos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(["fuse", *map(str, videos), "-o", str(tmp_path / "fused.mp4")]) == 2
    assert "pip install 'fusion_lab[video]'" in capsys.readouterr().err


def test_a_segment_has_frames(videos, tmp_path):
    with pytest.raises(fusion_lab.FusionLabError, match="at least 1"):
        fusion_lab.fuse_video(*videos, tmp_path / "fused.mp4", Average(), segment=0)
