"""What the results in a folder were made from and how, so that what is done need not be done again."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from fusion_lab import __version__
from fusion_lab.data.pairs import Pair
from fusion_lab.errors import FusionLabError
from fusion_lab.files import write_text
from fusion_lab.inference.fuser import Fuser
from fusion_lab.networks.base import FusionNetwork

_SAVE_EVERY = 5.0
"""Seconds after which it is saved while the work goes on."""


class FusedRecord:
    """The record of a folder of results, kept beside it, in ``FOLDER.fused.json``.

    Args:
        folder: The folder.
        fuser: What fuses.
        options: What else results depend on.
    """

    def __init__(self, folder: Path, fuser: Fuser, options: Mapping[str, Any]) -> None:
        place = folder.resolve()
        self._file = place.with_name(f"{place.name}.fused.json")
        self._folder = folder
        how = {
            "fusion_lab": __version__,
            "network": fingerprint(fuser.network),
            "white": fuser.white,
            "colours": fuser.colours,
            "memory_limit": fuser.memory_limit,
            **options,
        }
        self._how = hashlib.sha256(json.dumps(how, sort_keys=True, default=str).encode()).hexdigest()
        self._rows = self._read()
        self._saved = monotonic()

    def is_done(self, pair: Pair, target: Path) -> bool:
        """Tell whether a result was made of these very files in the same way, and is as it was left."""
        try:
            return self._rows.get(self._key(target)) == self._row(pair, target)
        except OSError:
            return False

    def note(self, pair: Pair, target: Path) -> None:
        """Remember a result that has just been written."""
        self._rows[self._key(target)] = self._row(pair, target)
        if monotonic() - self._saved > _SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write the record; where nothing can be written, the results are made anew the next time."""
        self._saved = monotonic()
        with suppress(FusionLabError, OSError):
            write_text(self._file, json.dumps(self._rows, indent=0) + "\n")

    def _key(self, target: Path) -> str:
        return target.relative_to(self._folder).as_posix()

    def _row(self, pair: Pair, target: Path) -> list[Any]:
        stats = [path.stat() for path in (pair.a, pair.b, target)]
        ranges = [str(pair.range_a), str(pair.range_b)]
        return [self._how, ranges, [[stat.st_size, stat.st_mtime_ns] for stat in stats]]

    def _read(self) -> dict[str, Any]:
        # A record that cannot be read makes all results be made anew.
        try:
            return dict(json.loads(self._file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return {}


def fingerprint(network: FusionNetwork) -> str:
    """Return a checksum of how a network is built and of its weights."""
    told = hashlib.sha256(f"{type(network).__module__}.{type(network).__qualname__}".encode())
    told.update(json.dumps(network.description, sort_keys=True, default=str).encode())
    for name, tensor in network.state_dict().items():
        told.update(name.encode())
        told.update(tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().tobytes())
    return told.hexdigest()
