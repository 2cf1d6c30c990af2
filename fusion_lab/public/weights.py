"""Weights that others have published: where they are, and what they are known by."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from fusion_lab.errors import FusionLabError
from fusion_lab.files import sha256
from fusion_lab.public.archives import unpack
from fusion_lab.public.download import address_of, download
from fusion_lab.public.repository import Repository


@dataclass(frozen=True)
class PublicWeights:
    """Published weights.

    Attributes:
        network: The class that they are for.
        parameters: How many the network has.
        terms: Their licence or terms.
        repository: Where they are fetched from: one file, in whichever folder it is.
        sha256: The checksum of that file.
        release: The official release that the file is of, a name in `fusion_lab.inference.official.OFFICIAL`.
    """

    network: str
    parameters: int
    terms: str
    repository: Repository
    sha256: str
    release: str


def _ifcnn(join: str, checksum: str) -> PublicWeights:
    return PublicWeights(
        network="IFCNN",
        parameters=83_587,
        terms="none stated",
        repository=Repository(
            "uzeful/IFCNN",
            "1d281720468bb0c317957b6bd26929ae45a9dfb5",
            ((rf"(?:.*/)?Code/snapshots/IFCNN-{join}\.pth", f"IFCNN-{join}.pth"),),
        ),
        sha256=checksum,
        release="ifcnn",
    )


PUBLIC_WEIGHTS: Mapping[str, PublicWeights] = MappingProxyType(
    {
        "gifnet-official": PublicWeights(
            network="GIFNet",
            parameters=822_778,
            terms="none stated",
            repository=Repository(
                "AWCXV/GIFNet",
                "c8ad04ae3bfefcebfa9abe94d1d5895c8db56a44",
                ((r"(?:.*/)?Final\.model", "Final.model"),),
            ),
            sha256="bfc1dfef0d5b386b0c04f172daf8f6af52ba395f26dc3dd5757425fd32eb1038",
            release="gifnet",
        ),
        "ifcnn-max": _ifcnn("MAX", "6022b44c88a2f0367ba9b08fcdf0d663745d9a966fca0ee1f41867797b6ff53f"),
        "ifcnn-mean": _ifcnn("MEAN", "fd2ee9361f1d428fc9749e28e8a2c5c5ef6ce6528ab6f5ad8ef5def42e7ffa4b"),
        "ifcnn-sum": _ifcnn("SUM", "a8c1d293f1bf16a93e6244a4bf8f7a7bd300dc10555c8597ad7ef3320b0410cb"),
    }
)
"""All of them, by the names that `--weights` takes once they are fetched."""


def find_public_weights(name: str) -> PublicWeights:
    """Return published weights by their name.

    Raises:
        FusionLabError: There are none of this name.
    """
    if name not in PUBLIC_WEIGHTS:
        raise FusionLabError(f"There are no public weights '{name}': choose {' or '.join(PUBLIC_WEIGHTS)}.")
    return PUBLIC_WEIGHTS[name]


def cached_weights(name: str) -> Path:
    """Return the file that weights are kept in, or would be, once they are fetched: in the user's cache."""
    from pooch import os_cache  # type: ignore[import-untyped]

    return Path(os_cache("fusion_lab")) / "weights" / f"{name}.safetensors"


def fetch_weights(weights: PublicWeights, folder: Path, progress: bool = False) -> Path:
    """Fetch published weights as they are, and make sure that they are the ones that are known.

    Args:
        weights: Which ones.
        folder: An empty folder to work in.
        progress: Show a bar on stderr.

    Returns:
        Their file, in ``folder``.

    Raises:
        FusionLabError: They cannot be fetched, or are others.
    """
    repository = weights.repository
    archive = download(repository.archive, folder / repository.file_name, progress)
    (file,) = unpack(archive, folder, repository.take)
    if (found := sha256(file)) != weights.sha256:
        raise FusionLabError(
            f"The file {file.name} of {address_of(repository.archive)} is not the one that is known: its SHA-256 is "
            f"{found}, not {weights.sha256}."
        )
    return file
