"""The embedded data as a data set."""

from pathlib import Path
from typing import Literal

from fusion_lab.data.embedded import write_embedded_pairs
from fusion_lab.data.pairs import PairDataset


class EmbeddedPairs(PairDataset):
    """Pairs that need no download: made from the photographs inside scikit-image, or simulated (`ivf`).

    The files are written once below ``root``; `fusion_lab.data.embedded` says what they are.

    Args:
        task: ``ivf``, ``mff`` or ``mef``.
        split: ``train`` or ``val``.
        root: Where the files are written.
        a: Which source comes first: the folder ``a`` or ``b``.
        b: Which source comes second.
        limit: Use only the first so many pairs.
    """

    def __init__(
        self,
        task: Literal["ivf", "mff", "mef"],
        split: Literal["train", "val"],
        root: Path | str = "data/embedded",
        a: str = "a",
        b: str = "b",
        limit: int | None = None,
    ) -> None:
        super().__init__(Path(root) / task / split, a, b, limit=limit)
        self.home = Path(root)

    def prepare(self) -> None:
        """Write the files of all tasks, unless they are there."""
        write_embedded_pairs(self.home)
