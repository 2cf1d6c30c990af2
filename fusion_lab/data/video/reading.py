"""Reading videos frame by frame."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fusion_lab.data.picture import Picture, Pixels
from fusion_lab.errors import FusionLabError

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".ogv",
     ".3gp", ".mxf", ".y4m", ".h264", ".h265", ".nut"}
)  # fmt: skip
"""What is taken for a video; what is inside tells how it is read."""
_MATROSKA = Fraction(1, 1000)
_HDR = (16, 18)
"""PQ and HLG, as FFmpeg counts transfer functions."""
_ONE = 1 << 16
_COVER = 1 << 10
"""The disposition of an attached picture."""
EXACT = 0x4 | 0x2000 | 0x4000 | 0x40000
"""Flags of FFmpeg's scaler: bicubic colours, in full, accurately rounded. Without them greys turn red by two levels."""
_NO_FRAMES = "The video {} holds no frames: check how it was made."
UPRIGHT = (_ONE, 0, 0, 0, _ONE, 0, 0, 0, 1 << 30)


@dataclass(frozen=True)
class Orientation:
    """How the stored pixels of a video are turned to be shown.

    Attributes:
        matrix: The display matrix of the file, nine numbers as FFmpeg has them.
    """

    matrix: tuple[int, ...] = UPRIGHT

    @property
    def is_whole(self) -> bool:
        """Whether it turns by whole quarters."""
        a, b, c, d = (round(self.matrix[i] / _ONE) for i in (0, 1, 3, 4))
        return (abs(a), abs(b), abs(c), abs(d)) in ((1, 0, 0, 1), (0, 1, 1, 0))

    def upright(self, pixels: Pixels) -> Pixels:
        """Turn stored pixels ``(H, W)`` or ``(H, W, 3)`` as they are shown."""
        turned = pixels.swapaxes(0, 1) if self._is_quarter else pixels
        return np.ascontiguousarray(turned[self._flips])

    def stored(self, pixels: Pixels) -> Pixels:
        """Turn pixels as they are shown back to how they are stored."""
        turned = pixels[self._flips]
        return np.ascontiguousarray(turned.swapaxes(0, 1) if self._is_quarter else turned)

    @property
    def _is_quarter(self) -> bool:
        return abs(self.matrix[1]) > abs(self.matrix[0])

    @property
    def _flips(self) -> tuple[slice, slice]:
        a, b, c, d = (self.matrix[i] for i in (0, 1, 3, 4))
        across, down = (c, b) if self._is_quarter else (a, d)
        return slice(None, None, -1 if down < 0 else 1), slice(None, None, -1 if across < 0 else 1)


@dataclass(frozen=True)
class Video:
    """What a video holds, every frame decoded once to know it.

    Attributes:
        path: The file.
        size: Height and width of the frames in pixels, upright.
        times: When each frame is shown, in units of ``time_base``.
        durations: How long each frame is shown, in the same units.
        time_base: The unit of time in seconds.
        rate: Frames a second on average.
        orientation: How frames are turned to be shown.
        aspect: Width to height of a pixel, as stored.
        is_deep: Whether the levels have more than 8 bits.
    """

    path: Path
    size: tuple[int, int]
    times: list[int]
    durations: list[int]
    time_base: Fraction
    rate: Fraction
    orientation: Orientation
    aspect: Fraction
    is_deep: bool

    def __len__(self) -> int:
        return len(self.times)

    def frames(self) -> Iterator[Any]:
        """Decode the frames of PyAV, one after the other.

        Raises:
            FusionLabError: The file has changed or breaks off.
        """
        return _decoded(self.path)

    def picture(self, frame: Any) -> Picture:
        """Return a frame upright: grey where its format is, sRGB otherwise, uint8, or uint16 where ``is_deep``."""
        grey = frame.format.name.startswith("gray")
        kind = ("gray16le" if grey else "rgb48le") if self.is_deep else ("gray" if grey else "rgb24")
        return Picture(self.orientation.upright(frame.to_ndarray(format=kind, interpolation=EXACT)))


def look_through(path: Path) -> Video:
    """Decode a video once and tell what it holds; its first stream of video counts.

    Raises:
        FusionLabError: PyAV is missing, the file is missing, no video, broken, holds no or a single frame, HDR, or
            frames that change in size or are turned by other angles than quarters.
    """
    seen: list[tuple[int | None, int]] = []
    first = None
    sizes: dict[tuple[int, int], None] = {}
    for frame in _decoded(path):
        first = first or frame
        seen.append((frame.pts, frame.duration or 0))
        sizes.setdefault((frame.height, frame.width))
    if first is None:
        raise FusionLabError(_NO_FRAMES.format(path))
    if len(seen) == 1:
        raise FusionLabError(f"The video {path} holds a single frame: save it as an image and fuse that.")
    if len(sizes) > 1:
        told = " and ".join(f"{width}x{height}" for height, width in sizes)
        raise FusionLabError(f"The frames of {path} differ in size ({told}): bring them to one size first.")
    if first.color_trc in _HDR:
        raise FusionLabError(f"The video {path} is HDR (PQ or HLG), whose levels mean other light: make it SDR first.")
    orientation = _orientation(first)
    if not orientation.is_whole:
        raise FusionLabError(f"The video {path} is turned by {first.rotation} degrees: turn it by quarters alone.")
    with _opened(path) as stream:
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        times, durations, time_base = _times(seen, stream.time_base, rate)
    height, width = orientation.upright(np.empty((first.height, first.width), np.bool_)).shape
    is_deep = max(component.bits for component in first.format.components) > 8
    return Video(path, (height, width), times, durations, time_base, rate, orientation, aspect, is_deep)


def _times(
    seen: list[tuple[int | None, int]], time_base: Fraction, rate: Fraction
) -> tuple[list[int], list[int], Fraction]:
    """Return the times and durations of frames, and their unit."""
    times = [time for time, _ in seen if time is not None]
    steps = [later - sooner for sooner, later in pairwise(times)]
    regular = 1 / Fraction(rate.numerator)
    if len(times) < len(seen) or min(steps) <= 0:
        # A bare stream has no times, or none that follow each other.
        first = 0
    elif time_base == _MATROSKA and all(
        abs((time - times[0]) * time_base - number / rate) <= time_base for number, time in enumerate(times)
    ):
        # Matroska rounds the times of a regular video.
        first = round(times[0] * time_base / regular)
    else:
        return times, [*steps, seen[-1][1] or steps[-1]], time_base
    step = rate.denominator
    return [first + step * number for number in range(len(seen))], [step] * len(seen), regular


def pyav() -> Any:
    """Return PyAV.

    Raises:
        FusionLabError: It is not installed.
    """
    try:
        import av
    except ImportError:
        raise FusionLabError("Videos need the extra video: `pip install 'fusion_lab[video]'`.") from None
    return av


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file and return its first stream of video; the cover of a piece of music is none."""
    av = pyav()
    if not path.is_file():
        what = "is a folder: name a file" if path.is_dir() else "does not exist: check the path"
        raise FusionLabError(f"The video {path} {what}.")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or type(error).__name__
        raise FusionLabError(f"The file {path} is no video that can be read ({reason}).") from None
    with container:
        shown = [stream for stream in container.streams.video if not stream.disposition & _COVER]
        if not shown:
            if container.streams.audio:
                raise FusionLabError(f"The file {path} holds sound alone: give a video.")
            raise FusionLabError(_NO_FRAMES.format(path))
        shown[0].thread_type = "AUTO"
        yield shown[0]


def _decoded(path: Path) -> Iterator[Any]:
    av = pyav()
    number = 0
    with _opened(path) as stream:
        try:
            for frame in stream.container.decode(stream):
                yield frame
                number += 1
        except av.FFmpegError as error:
            raise FusionLabError(
                f"The video {path} is broken after frame {number} ({error.strerror}): repair it, or cut it there."
            ) from None


def _orientation(frame: Any) -> Orientation:
    from av.sidedata.sidedata import Type

    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    return Orientation(struct.unpack("=9i", bytes(matrix))) if matrix is not None else Orientation()
