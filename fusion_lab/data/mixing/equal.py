"""The same share for every task."""

from fusion_lab.data.mixing.base import Mixing


class EqualShares(Mixing):
    """As many pairs of one task as of any other in each batch (``mixed_equal`` of TITA's release)."""

    def shares(self, sizes: dict[str, int]) -> dict[str, float]:
        """Return the same share for every task."""
        return {task: 1 / len(sizes) for task in sizes}
