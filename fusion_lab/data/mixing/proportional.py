"""All tasks in one pool."""

from fusion_lab.data.mixing.base import Mixing


class Proportional(Mixing):
    """One pool of all pairs, passed once an epoch: ``share_i = n_i / sum_k n_k`` for ``n_i`` pairs of task i.

    Several ranks have equally many pairs of each task in a batch, so that they may show a few twice, or not at all.
    """

    def shares(self, sizes: dict[str, int]) -> dict[str, float]:
        """Return the part of the pool of each task."""
        total = sum(sizes.values())
        return {task: size / total for task, size in sizes.items()}
