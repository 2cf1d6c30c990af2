"""Decoded pictures kept in memory."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from fusion_lab.data.images import Picture
from fusion_lab.data.input_range import InputRange

Reader = Callable[[Path, InputRange], Picture]


class PictureCache:
    """Keeps pictures as they were read, the least recently used leaving first; each process has its own.

    Args:
        limit: The bytes that all pictures together may take; 0 keeps nothing.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self._size = 0
        self._kept: OrderedDict[tuple[Path, InputRange], Picture] = OrderedDict()

    def read(self, reader: Reader, path: Path, input_range: InputRange) -> Picture:
        """Return a picture in a range, read by ``reader`` unless it is kept; its pixels are not to be written to."""
        key = (path, input_range)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        picture = reader(path, input_range)
        if _size(picture) <= self.limit:
            self._kept[key] = picture
            self._size += _size(picture)
        while self._size > self.limit:
            self._size -= _size(self._kept.popitem(last=False)[1])
        return picture


NO_CACHE = PictureCache()
"""Keeps nothing."""


def _size(picture: Picture) -> int:
    return picture.pixels.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)
