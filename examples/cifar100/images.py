"""CIFAR-100 as its home offers it (Krizhevsky, "Learning multiple layers of features from tiny images", 2009)."""

import io
import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray
from torch.hub import download_url_to_file

from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
FOLDER = "cifar-100-python"
CLASSES = 100
SIDE = 32
"""Pixels of either side of an image."""

Split = Literal["train", "test"]
# All that the pickled dictionaries of the archive need; anything else in a file is no data.
_HARMLESS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


@dataclass(frozen=True)
class LabelledImages:
    """Images with their classes.

    Attributes:
        images: RGB, uint8 ``(N, 32, 32, 3)``.
        labels: Classes 0 to 99, int64 ``(N,)``.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read_cifar100(path: Path, split: Split) -> LabelledImages:
    """Read one split of the archive ``cifar-100-python.tar.gz``, or of the folder that it unpacks to.

    Args:
        path: The archive, the folder ``cifar-100-python``, or one that has either.
        split: Which part.

    Raises:
        FusionLabError: Nothing is there, or it is broken or something else.
    """
    if path.is_dir():
        places = [path / split, path / FOLDER / split, path / f"{FOLDER}.tar.gz"]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise FusionLabError(
                f"The folder {path} holds neither {FOLDER}/{split} nor {FOLDER}.tar.gz: unpack CIFAR-100 ({URL}) there."
            )
        path = found
    if not path.is_file():
        raise FusionLabError(f"CIFAR-100 is not at {path}: check the path, or leave it out to download it.")
    try:
        content = _member(path, split) if path.name.endswith(".gz") else path.read_bytes()
        table = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        images = table[b"data"].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        labels = np.asarray(table[b"fine_labels"], np.int64)
        if images.dtype != np.uint8 or len(images) != len(labels) or not len(labels):
            raise ValueError("images and labels do not go together")
        if labels.min() < 0 or labels.max() >= CLASSES:
            raise ValueError("a label is no class")
    except (OSError, EOFError, KeyError, TypeError, ValueError, AttributeError, IndexError, tarfile.TarError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise FusionLabError(
            f"The file {path} is broken or not CIFAR-100 in its Python version ({error}): get it anew from {URL}."
        ) from None
    return LabelledImages(np.ascontiguousarray(images), labels)


def fetch_cifar100(folder: Path) -> Path:
    """Download the archive to ``folder`` unless it is there, and return the folder.

    Raises:
        FusionLabError: It cannot be had.
    """
    archive = make_folder(folder) / f"{FOLDER}.tar.gz"
    if not archive.is_file() and not (folder / FOLDER).is_dir():
        try:
            # It comes under a temporary name until its sum is right.
            download_url_to_file(URL, str(archive), hash_prefix=SHA256)
        except (URLError, OSError, RuntimeError) as error:
            raise FusionLabError(
                f"CIFAR-100 cannot be downloaded ({error}): download {URL} by hand and name the file."
            ) from None
    return folder


def _member(archive: Path, split: Split) -> bytes:
    with tarfile.open(archive) as files:
        member = files.extractfile(f"{FOLDER}/{split}")
        if member is None:
            raise ValueError(f"{FOLDER}/{split} is no file")
        return member.read()


class _Unpickler(pickle.Unpickler):
    """Makes arrays and plain data only: a pickle could otherwise run any code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)
