"""A temporary file for what tiles computed in an earlier pass over an image."""

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

_SPARE = 2**30
"""Bytes of the disk that are left free."""


class TileFile:
    """Keeps float32 maps of tiles on a disk, in a file without a name, which goes when the program does.

    Where the disk has no room for all tiles, nothing is kept.

    Args:
        tiles: How many tiles there are.
        folder: Where the file is; unless given, ``TMPDIR`` or else ``/var/tmp``, as ``/tmp`` is often in memory.
    """

    def __init__(self, tiles: int, folder: Path | None = None) -> None:
        self._tiles = tiles
        self._folder = folder or _disk()
        self._places: dict[tuple[int, int], list[tuple[int, torch.Size]]] = {}
        self._full = False

    def __enter__(self) -> Self:
        self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, place: tuple[int, int], maps: tuple[Tensor, ...]) -> None:
        """Keep the maps of a place, unless the disk has no room for those of all tiles."""
        if self._full or not self._has_room(maps):
            return
        written = []
        try:
            for one in maps:
                written.append((self._file.seek(0, os.SEEK_END), one.shape))
                one.contiguous().numpy().tofile(self._file)
        except OSError:
            self._full = True
            return
        self._places[place] = written

    def get(self, place: tuple[int, int]) -> tuple[Tensor, ...] | None:
        """Read the maps of a place; None if none were kept."""
        if place not in self._places:
            return None
        return tuple(self._read(start, shape) for start, shape in self._places[place])

    def _read(self, start: int, shape: torch.Size) -> Tensor:
        self._file.seek(start)
        return torch.from_numpy(np.fromfile(self._file, np.float32, shape.numel())).view(shape)

    def _has_room(self, maps: tuple[Tensor, ...]) -> bool:
        if any(one.dtype != torch.float32 or one.device.type != "cpu" for one in maps):
            return False
        # Asked once: other programs use the disk too.
        if not self._places:
            needed = self._tiles * sum(one.nbytes for one in maps)
            self._full = shutil.disk_usage(self._folder).free < needed + _SPARE
        return not self._full


def _disk() -> Path:
    kept = Path("/var/tmp")
    return kept if "TMPDIR" not in os.environ and os.access(kept, os.W_OK) else Path(tempfile.gettempdir())
