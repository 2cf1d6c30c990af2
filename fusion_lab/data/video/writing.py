"""Writing videos in segments, and joining these."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from heapq import merge
from pathlib import Path
from typing import Any

from fusion_lab.data.picture import Picture
from fusion_lab.data.video.reading import EXACT, UPRIGHT, Video, pyav
from fusion_lab.errors import FusionLabError, one_line
from fusion_lab.files import atomic_path

_WRITABLE_VIDEOS = {".mp4": "libx264", ".m4v": "libx264", ".mov": "libx264", ".mkv": "ffv1"}
"""What videos are written as: H.264 for looking at, FFV1 without loss."""
SEGMENT_SUFFIX = ".nut"
"""The container that keeps times in any unit."""
_QUALITY = {"crf": "18"}
_BT709 = 1
_LIMITED = 1


def check_video_suffix(path: Path) -> None:
    """Refuse names that no video is written as.

    Raises:
        FusionLabError: The name ends otherwise.
    """
    if path.suffix.lower() not in _WRITABLE_VIDEOS:
        raise FusionLabError(f"The output {path} should end in .mp4, .m4v, .mov (H.264) or .mkv (FFV1, without loss).")


def write_segment(path: Path, pictures: Iterable[tuple[int, Picture]], like: Video, suffix: str, is_deep: bool) -> None:
    """Encode some frames of a video, none of which needs another segment.

    Args:
        path: The file, which ends in `SEGMENT_SUFFIX`.
        pictures: The frames, upright, each with its place in the video.
        like: The video whose times, orientation and shape of pixels they take.
        suffix: The suffix of the video that the segments become.
        is_deep: Whether 16 bits are kept where the format can.
    """
    av = pyav()
    codec = _WRITABLE_VIDEOS[suffix]
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="nut") as container:
        stream: Any = None
        for number, picture in pictures:
            frame = _frame(av, picture, like, codec, is_deep)
            if stream is None:
                stream = _stream(container, codec, frame, like)
            frame.pts, frame.time_base, frame.duration = like.times[number], like.time_base, like.durations[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def join(segments: list[Path], target: Path, like: Video) -> str | None:
    """Join segments to one video, with the sound of another copied as it is.

    Args:
        segments: The segments, in order.
        target: The video.
        like: The video whose durations, orientation and sound it takes.

    Returns:
        Why there is sound that could not be copied, or None.
    """
    av = pyav()
    try:
        _join(segments, target, like, with_sound=True)
    except (av.FFmpegError, ValueError, NotImplementedError) as error:
        _join(segments, target, like, with_sound=False)
        return f"the sound of {like.path} cannot be copied into {target.suffix} ({one_line(error, 100)})"
    return None


def _join(segments: list[Path], target: Path, like: Video, with_sound: bool) -> None:
    av = pyav()
    with atomic_path(target) as temporary, ExitStack() as stack:
        output = stack.enter_context(av.open(str(temporary), "w"))
        first = stack.enter_context(av.open(str(segments[0])))
        shown = output.add_stream_from_template(first.streams.video[0])
        shown.time_base = like.time_base
        if like.orientation.matrix != UPRIGHT:
            shown.set_display_matrix(like.orientation.matrix)
        streams = [_pictures(segments, shown, like)]
        if with_sound:
            source = stack.enter_context(av.open(str(like.path)))
            if source.streams.audio:
                heard = output.add_stream_from_template(source.streams.audio[0])
                # Matroska knows no times before 0 and would move the pictures instead.
                streams.append(_sound(source, heard, from_zero=target.suffix.lower() == ".mkv"))
        for packet in merge(*streams, key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)


def _pictures(segments: list[Path], stream: Any, like: Video) -> Iterator[Any]:
    av = pyav()
    durations = dict(zip(like.times, like.durations, strict=True))
    for segment in segments:
        with av.open(str(segment)) as container:
            for packet in container.demux(video=0):
                # The last one only tells the end.
                if packet.dts is not None:
                    packet.pts = packet.dts = round(packet.pts * packet.time_base / like.time_base)
                    packet.time_base = like.time_base
                    packet.duration = durations[packet.pts]
                    packet.stream = stream
                    yield packet


def _sound(source: Any, stream: Any, from_zero: bool) -> Iterator[Any]:
    for packet in source.demux(audio=0):
        if packet.dts is not None and not (from_zero and packet.dts < 0):
            packet.stream = stream
            yield packet


def _stream(container: Any, codec: str, frame: Any, like: Video) -> Any:
    stream = container.add_stream(codec, rate=like.rate, options=_QUALITY if codec == "libx264" else {})
    context = stream.codec_context
    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base = stream.time_base = like.time_base
    context.sample_aspect_ratio = like.aspect
    # Frames in their order, so that segments follow on each other; one thread, so that machines agree.
    context.max_b_frames = 0
    context.thread_count = 1
    if codec == "libx264":
        context.color_range = _LIMITED
        context.colorspace = context.color_primaries = context.color_trc = _BT709
    return stream


def _frame(av: Any, picture: Picture, like: Video, codec: str, is_deep: bool) -> Any:
    """Return the frame that is encoded, as it is stored."""
    picture = picture.deepen() if is_deep and codec == "ffv1" else picture.flatten()
    pixels = like.orientation.stored(picture.pixels)
    deep = picture.levels > 255
    kind = ("gray16le" if deep else "gray") if pixels.ndim == 2 else ("rgb48le" if deep else "rgb24")
    frame = av.VideoFrame.from_ndarray(pixels, format=kind)
    if codec == "ffv1":
        return frame.reformat(format="gbrp16le" if deep else "bgr0", interpolation=EXACT)
    # H.264 halves the colours of sides that are even.
    shape = "yuv444p" if pixels.shape[0] % 2 or pixels.shape[1] % 2 else "yuv420p"
    return frame.reformat(format=shape, dst_colorspace=_BT709, dst_color_range=_LIMITED, interpolation=EXACT)
