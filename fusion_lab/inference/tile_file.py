"""A temporary file for what tiles computed in an earlier pass over an image."""

import errno
import os
import shutil
import tempfile
from io import FileIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_SPARE = 2**30
"""Bytes of the disk that are left free."""


class TileFile:
    """Keeps float32 maps of tiles on a disk, in a file without a name, which goes when the program does.

    Where the disk has no room for all tiles, or takes no file, nothing is kept.

    Args:
        tiles: How many tiles there are.
        folder: Where the file is; unless given, ``TMPDIR`` or else ``/var/tmp``, as ``/tmp`` is often in memory.
    """

    def __init__(self, tiles: int, folder: Path | None = None) -> None:
        self._tiles = tiles
        self._folder = folder
        self._file: FileIO | None = None
        self._places: dict[tuple[int, int], list[tuple[int, torch.Size]]] = {}
        self._full = False

    def close(self) -> None:
        """Give the room on the disk back."""
        if self._file is not None:
            self._file.close()

    def put(self, place: tuple[int, int], maps: tuple[Tensor, ...]) -> None:
        """Keep the maps of a place, unless the disk has no room for those of all tiles."""
        if self._full or any(one.dtype != torch.float32 or one.device.type != "cpu" for one in maps):
            return
        written = []
        try:
            # Asked once: other programs use the disk too.
            file = self._file = self._file or self._opened(self._tiles * sum(one.nbytes for one in maps))
            for one in maps:
                written.append((file.seek(0, os.SEEK_END), one.shape))
                one.contiguous().numpy().tofile(file)
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
        assert self._file is not None
        self._file.seek(start)
        return torch.from_numpy(np.fromfile(self._file, np.float32, shape.numel())).view(shape)

    def _opened(self, needed: int) -> FileIO:
        folder = self._folder or _disk()
        if shutil.disk_usage(folder).free < needed + _SPARE:
            raise OSError(errno.ENOSPC, "The disk has no room for all tiles.")
        return tempfile.TemporaryFile(dir=folder, buffering=0)


def _disk() -> Path:
    kept = Path("/var/tmp")
    return kept if "TMPDIR" not in os.environ and os.access(kept, os.W_OK) else Path(tempfile.gettempdir())
