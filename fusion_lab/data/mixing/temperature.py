"""Between one pool and equal shares."""

from fusion_lab.data.mixing.base import Mixing
from fusion_lab.errors import FusionLabError


class Temperature(Mixing):
    """Shares flatter than the sizes: ``share_i = n_i^(1/T) / sum_k n_k^(1/T)`` for ``n_i`` pairs of task i.

    Args:
        temperature: T, greater than 0. 1 is `Proportional`, infinity (``.inf`` in YAML) is `EqualShares`.
    """

    def __init__(self, temperature: float) -> None:
        # Written so that NaN fails too.
        if not temperature > 0:
            raise FusionLabError(
                "`data.init_args.mixing.init_args.temperature` should be greater than 0. "
                f"Found `temperature = {temperature}`."
            )
        self.temperature = temperature

    def shares(self, sizes: dict[str, int]) -> dict[str, float]:
        """Return the flattened part of the pool of each task."""
        # Relative to the largest, no power is too large for a float.
        largest = max(sizes.values())
        weights = {task: (size / largest) ** (1 / self.temperature) for task, size in sizes.items()}
        total = sum(weights.values())
        return {task: weight / total for task, weight in weights.items()}
