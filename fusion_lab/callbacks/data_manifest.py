"""Which files a run was trained on, by their checksums."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from fusion_lab.files import sha256
from fusion_lab.public.manifest import read_manifest, write_manifest

_THREADS = 8


class DataManifest(Callback):
    """Write the SHA-256 of every training and validation file to ``FOLDER/data.sha256``, for ``sha256sum -c``.

    Where a run goes on, the files are compared with what it began with, and a difference is told.

    Args:
        folder: Where the file goes.
    """

    def __init__(self, folder: Path | str) -> None:
        self.file = Path(folder) / "data.sha256"

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read all files once, on the first rank."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if not trainer.is_global_zero or not hasattr(data, "files"):
            return
        files = sorted(data.files)
        with ThreadPoolExecutor(_THREADS) as pool:
            sums = dict(zip(map(str, files), pool.map(sha256, files), strict=True))
        if not self.file.is_file():
            write_manifest(self.file, sums, "The files that this run was trained and validated on.")
        elif (before := read_manifest(self.file)) != sums:
            changed = sorted(path for path in before.keys() | sums.keys() if before.get(path) != sums.get(path))
            rank_zero_warn(
                f"The data is not what the run began with: {len(changed)} files differ from {self.file}, such as "
                f"{changed[0]}."
            )
