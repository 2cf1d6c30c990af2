import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

pytest.importorskip("av", reason="the extra video is not installed")

from fusion_lab.data.video.reading import Orientation, look_through
from fusion_lab.errors import FusionLabError
from tests.video_files import NTSC, TICK, av, frames, write_sound, write_video


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "astronaut.png"
    Image.fromarray(astronaut()).save(path)
    return frames(path, 4)


def whole(a, b, c, d):
    return Orientation((a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30))


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), [[1, 2, 3], [4, 5, 6]]),
        ((0, 1, -1, 0), [[4, 1], [5, 2], [6, 3]]),
        ((-1, 0, 0, -1), [[6, 5, 4], [3, 2, 1]]),
        ((0, -1, 1, 0), [[3, 6], [2, 5], [1, 4]]),
        ((-1, 0, 0, 1), [[3, 2, 1], [6, 5, 4]]),
        ((1, 0, 0, -1), [[4, 5, 6], [1, 2, 3]]),
        ((0, 1, 1, 0), [[1, 4], [2, 5], [3, 6]]),
        ((0, -1, -1, 0), [[6, 3], [5, 2], [4, 1]]),
    ],
)
def test_the_eight_ways_to_turn_an_image(matrix, expected):
    stored = np.array([[1, 2, 3], [4, 5, 6]])
    orientation = whole(*matrix)
    assert orientation.is_whole
    assert orientation.upright(stored).tolist() == expected
    assert orientation.stored(orientation.upright(stored)).tolist() == stored.tolist()
    assert not Orientation((46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30)).is_whole


def test_what_a_video_holds(pictures, tmp_path):
    times = [0, 3000, 4500, 9000]
    video = look_through(write_video(tmp_path / "turned.mp4", pictures, times=times, rotation=90))
    assert (len(video), video.size, video.times, video.time_base) == (4, (64, 48), times, TICK)
    assert video.durations[:3] == [3000, 1500, 4500]
    assert not video.is_deep
    for frame, pixels in zip(video.frames(), pictures, strict=True):
        # FFmpeg counts against the clock.
        assert np.abs(video.picture(frame).pixels.astype(int) - np.rot90(pixels)).mean() < 4


def test_matroska_rounds_the_times_of_a_regular_video_and_they_are_exact_again(pictures, tmp_path):
    video = look_through(write_video(tmp_path / "a.mkv", pictures))
    assert [time * video.time_base for time in video.times] == [number / NTSC for number in range(4)]
    irregular = look_through(write_video(tmp_path / "b.mkv", pictures, times=[0, 900, 9000, 9900]))
    assert [time * video.time_base for time in irregular.times] != [number / NTSC for number in range(4)]
    assert [time * irregular.time_base * 1000 for time in irregular.times] == [0, 10, 100, 110]


def test_a_bare_stream_has_no_times(pictures, tmp_path):
    video = look_through(write_video(tmp_path / "a.h264", pictures))
    assert [time * video.time_base for time in video.times] == [number / video.rate for number in range(4)]


def test_levels_of_16_bits(tmp_path):
    levels = [np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20 + number for number in range(2)]
    video = look_through(write_video(tmp_path / "a.mkv", levels, codec="ffv1", kind="gray16le"))
    assert video.is_deep
    assert [np.array_equal(video.picture(f).pixels, p) for f, p in zip(video.frames(), levels, strict=True)] == [
        True,
        True,
    ]


def test_mistakes_in_one_sentence(pictures, tmp_path):
    def told(path):
        with pytest.raises(FusionLabError) as error:
            look_through(path)
        return str(error.value)

    assert "does not exist" in told(tmp_path / "missing.mp4")
    assert "is a folder" in told(tmp_path)
    (tmp_path / "text.mp4").write_text("no video at all")
    assert "is no video that can be read" in told(tmp_path / "text.mp4")
    assert "holds sound alone" in told(write_sound(tmp_path / "sound.mp4"))
    assert "holds a single frame" in told(write_video(tmp_path / "one.mp4", pictures[:1]))
    assert "HDR" in told(write_video(tmp_path / "hdr.mp4", pictures, color_trc=16))
    assert "turned by 45 degrees" in told(write_video(tmp_path / "odd.mp4", pictures, rotation=45))
    (tmp_path / "none.y4m").write_text("YUV4MPEG2 W64 H48 F25:1\n")
    assert "holds no frames" in told(tmp_path / "none.y4m")
    with av.open(str(tmp_path / "none.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert "holds no frames" in told(tmp_path / "none.mp4")


def test_a_video_that_breaks_off_is_told(pictures, tmp_path):
    path = write_video(tmp_path / "whole.mp4", pictures * 5)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat")
    middle = len(data) // 2
    assert start < middle < data.index(b"moov") - 400
    data[middle : middle + 400] = bytes(400)
    (tmp_path / "broken.mp4").write_bytes(data)
    with pytest.raises(FusionLabError, match="broken after frame"):
        look_through(tmp_path / "broken.mp4")
