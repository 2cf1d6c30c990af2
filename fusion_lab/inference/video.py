"""Fusing two videos frame by frame, in segments, so that a killed run can go on."""

import hashlib
import json
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from fusion_lab import __version__
from fusion_lab.data.input_range import FULL, InputRange
from fusion_lab.data.picture import Picture
from fusion_lab.data.video.reading import Video, look_through
from fusion_lab.data.video.writing import SEGMENT_SUFFIX, check_video_suffix, join, write_segment
from fusion_lab.errors import FusionLabError
from fusion_lab.files import in_use, remove_leftovers, write_text
from fusion_lab.inference.fused_record import fingerprint
from fusion_lab.inference.fuser import Colours, Fuser, sources_of
from fusion_lab.inference.weights import load_network
from fusion_lab.networks.base import FusionNetwork

_PLAN = "plan.json"


@dataclass(frozen=True)
class FusedVideo:
    """What came of fusing two videos.

    Attributes:
        path: The result.
        frames: How many frames it has.
        kept: How many of them a run before had fused.
        silent_because: Why sound of the first video is missing; None where it is there, or there was none.
    """

    path: Path
    frames: int
    kept: int
    silent_because: str | None


def fuse_video(
    a: Path | str,
    b: Path | str,
    output: Path | str,
    network: FusionNetwork | None = None,
    memory_limit: float = 6.0,
    colours: Colours = "both",
    segment: int = 32,
    *,
    range_a: InputRange | str = FULL,
    range_b: InputRange | str = FULL,
    overwrite: bool = False,
    progress: bool = False,
) -> FusedVideo:
    """Fuse two videos of as many frames, the first of one with the first of the other, and so on.

    The result has the times, orientation, shape of pixels and sound of the first. Whole segments are kept in
    ``OUTPUT.segments`` until the end, and a run of the same videos and network goes on with them; what comes out is
    the same, byte for byte on one machine.

    Args:
        a: The first video.
        b: The second video.
        output: The result: ``.mp4``, ``.m4v`` or ``.mov`` as H.264, ``.mkv`` as FFV1, without loss. Of a folder, a
            file named as the first video.
        network: The network; None for the one that comes with the package.
        memory_limit: The memory that the network may take, in GiB; what needs more is fused in tiles.
        colours: Whose colours the result has, as of `Fuser`.
        segment: How many frames a segment has, which is what a killed run loses at most.
        range_a: Which values of the first video are black and white (`InputRange`); ``minmax`` and percentiles are
            those of all its frames, so that nothing flickers.
        range_b: The same of the second video.
        overwrite: Forget the segments of a run before.
        progress: Show bars on stderr.

    Raises:
        FusionLabError: A range is none, PyAV is missing, a video cannot be read or has less than two frames, numbers
            of frames or sizes differ, or the result would replace a source or cannot be written.
    """
    a, b, output = Path(a), Path(b), Path(output)
    target = output / f"{a.stem}.mp4" if output.is_dir() else output
    check_video_suffix(target)
    if segment < 1:
        raise FusionLabError(f"`segment` should be at least 1. Found `segment = {segment}`.")
    if target.resolve() in (a.resolve(), b.resolve()):
        raise FusionLabError(f"The result {target} would replace a source: choose another output.")
    ranges = InputRange.of(range_a), InputRange.of(range_b)
    fuser = Fuser(network or load_network(), memory_limit, colours=colours)
    with Console(stderr=True).status("Looking through both videos") if progress else nullcontext():
        videos = look_through(a), look_through(b)
        levels = _levels(videos[0], ranges[0]), _levels(videos[1], ranges[1])
    _check_alike(*videos)
    folder = target.with_name(f"{target.name}.segments")
    segments = [folder / f"{start:08d}{SEGMENT_SUFFIX}" for start in range(0, len(videos[0]), segment)]
    with in_use(folder):
        _begin(folder, _how(fuser, videos, levels, target.suffix.lower(), segment), overwrite)
        with fuser.network.ordered_by(*_first_pair(fuser, videos, levels)):
            kept = _fuse_segments(segments, segment, fuser, videos, levels, target.suffix.lower(), progress)
        silent_because = join(segments, target, videos[0])
        shutil.rmtree(folder)
    return FusedVideo(target, len(videos[0]), kept, silent_because)


def _check_alike(a: Video, b: Video) -> None:
    if len(a) != len(b):
        raise FusionLabError(f"{a.path} has {len(a)} frames and {b.path} has {len(b)}: cut them to the same ones.")
    if a.size != b.size:
        sizes = " and ".join(f"{video.path} has {video.size[1]}x{video.size[0]} pixels" for video in (a, b))
        raise FusionLabError(f"The videos differ in size, {sizes}: bring them to one size first.")


def _levels(video: Video, input_range: InputRange) -> InputRange:
    """Return the levels that a range means for all frames of a video; the full range as it is."""
    if input_range.kind in ("full", "levels"):
        return input_range
    return input_range.of_all(video.picture(frame).pixels for frame in video.frames())


def _within(picture: Picture, levels: InputRange) -> Picture:
    """Return a frame whose levels are black and white, of the same type."""
    if levels.kind == "full":
        return picture
    return Picture(np.rint(levels.scale(picture.pixels) * picture.levels).astype(picture.pixels.dtype))


def _first_pair(fuser: Fuser, videos: tuple[Video, Video], levels: tuple[InputRange, InputRange]) -> list[Tensor]:
    """Return the first frames as the network sees them."""
    pictures = [
        _within(video.picture(next(video.frames())), of_video) for video, of_video in zip(videos, levels, strict=True)
    ]
    return sources_of(fuser.network, *pictures)


def _how(
    fuser: Fuser, videos: tuple[Video, Video], levels: tuple[InputRange, InputRange], suffix: str, segment: int
) -> str:
    """Tell what segments depend on."""
    stats = [video.path.stat() for video in videos]
    how = {
        "fusion_lab": __version__,
        "network": fingerprint(fuser.network),
        "colours": fuser.colours,
        "memory_limit": fuser.memory_limit,
        "ranges": [str(each) for each in levels],
        "format": suffix,
        "segment": segment,
        "sources": [[stat.st_size, stat.st_mtime_ns] for stat in stats],
    }
    return hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()


def _begin(folder: Path, how: str, overwrite: bool) -> None:
    """Leave segments where they were made of the same videos in the same way, and delete others."""
    remove_leftovers(folder, SEGMENT_SUFFIX)
    plan = folder / _PLAN
    if overwrite or not plan.exists() or plan.read_text(encoding="utf-8") != how:
        for path in folder.glob(f"*{SEGMENT_SUFFIX}"):
            path.unlink()
        write_text(plan, how)


def _fuse_segments(
    segments: list[Path],
    length: int,
    fuser: Fuser,
    videos: tuple[Video, Video],
    levels: tuple[InputRange, InputRange],
    suffix: str,
    progress: bool,
) -> int:
    """Fuse the segments that are missing; returns how many frames are in the others."""
    a, b = videos
    is_deep = a.is_deep or b.is_deep
    missing = [number for number, path in enumerate(segments) if not path.exists()]
    kept = len(a) - sum(min(length, len(a) - number * length) for number in missing)
    with Progress(console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task("Fusing", total=len(a), completed=kept)

        def fused(pairs: Iterator[tuple[int, tuple[Any, Any]]]) -> Iterator[tuple[int, Picture]]:
            for number, (first, second) in pairs:
                yield number, fuser(_within(a.picture(first), levels[0]), _within(b.picture(second), levels[1]))
                bar.advance(task)

        frames = enumerate(zip(a.frames(), b.frames(), strict=False))
        for number in range(missing[-1] + 1 if missing else 0):
            pairs = islice(frames, length)
            if number in missing:
                write_segment(segments[number], fused(pairs), a, suffix, is_deep)
            else:
                # Decoding up to the place is exact where seeking is not, and costs little beside fusing.
                deque(pairs, maxlen=0)
    return kept
