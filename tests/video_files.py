"""Small videos, made by PyAV from a pair of the embedded data."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

av = pytest.importorskip("av", reason="the extra video is not installed")

NTSC = Fraction(30000, 1001)
TICK = Fraction(1, 90000)
SIZE = (48, 64)


def frames(image: Path, number: int, size=SIZE) -> list[np.ndarray]:
    """A camera that moves over an image: ``(H, W, 3)`` uint8 each."""
    pixels = np.asarray(Image.open(image).convert("RGB"))
    height, width = size
    return [np.ascontiguousarray(pixels[i : i + height, 2 * i : 2 * i + width]) for i in range(number)]


def write_video(
    path: Path, pictures, rate=NTSC, codec="libx264", kind="yuv420p", times=None, rotation=0, sound=False, **colours
) -> Path:
    """Write pictures ``(H, W, 3)`` or ``(H, W)``; ``times`` are in units of 1/90000 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"crf": "12"} if codec == "libx264" else {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = kind
        stream.codec_context.time_base = stream.time_base = TICK
        if rotation:
            stream.set_display_rotation(rotation)
        for name, value in colours.items():
            setattr(stream.codec_context, name, value)
        track = container.add_stream("aac", rate=8000, layout="mono") if sound else None
        for number, pixels in enumerate(pictures):
            deep, grey = pixels.dtype == np.uint16, pixels.ndim == 2
            stored = ("gray16le" if deep else "gray") if grey else ("rgb48le" if deep else "rgb24")
            frame = av.VideoFrame.from_ndarray(pixels, format=stored)
            frame = frame.reformat(format=kind, interpolation=0x46004, dst_colorspace=colours.get("colorspace"))
            frame.pts = times[number] if times else round(number / rate / TICK)
            frame.time_base = TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track:
            for start in range(0, round(8000 * len(pictures) / rate), 1024):
                wave = np.sin(np.arange(start, start + 1024) / 3).astype(np.float32)[None]
                heard = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                heard.sample_rate, heard.pts = 8000, start
                container.mux(track.encode(heard))
            container.mux(track.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """Write a file with sound alone."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=8000, layout="mono")
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        heard.sample_rate = 8000
        container.mux(track.encode(heard))
        container.mux(track.encode(None))
    return path


def read_video(path: Path):
    """The frames as stored, ``(N, H, W, 3)`` uint8, and their times in seconds."""
    with av.open(str(path)) as container:
        found = list(container.decode(video=0))
    pixels = np.stack([frame.to_ndarray(format="rgb24", interpolation=0x46004) for frame in found])
    return pixels, [frame.pts * frame.time_base for frame in found]


def length(path: Path) -> Fraction:
    """How long the pictures last, in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.duration * stream.time_base
