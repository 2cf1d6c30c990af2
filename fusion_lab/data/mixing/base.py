"""What every mixing promises."""

from abc import ABC, abstractmethod


class Mixing(ABC):
    """Decide how much of the training batches each task takes.

    A share decides how often the pairs of a task are seen. It is no weight: the loss of a task is a mean over its pairs
    in the batch, however many they are, and its weight is the loss weighting's to choose.
    """

    @abstractmethod
    def shares(self, sizes: dict[str, int]) -> dict[str, float]:
        """Return the share of each task, positive and 1 in sum, for the number of pairs of each."""
