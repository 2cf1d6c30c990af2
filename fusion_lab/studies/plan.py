"""Which trainings a study has."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fusion_lab.studies.trial import Trial


class Plan:
    """Which trainings there are; it may learn from what they come to."""

    def known(self) -> Sequence[Trial]:
        """Return the trainings that were proposed so far, or all where they are known beforehand."""
        raise NotImplementedError

    def begin(self, folder: Path) -> None:
        """Keep what the trainings are made with in their folder, or refuse to mix them with others.

        Raises:
            FusionLabError: The folder holds others.
        """

    def __iter__(self) -> Iterator[Trial]:
        """Propose trainings until there are enough; the same ones in the same order each time."""
        return iter(self.known())

    def told(self, trial: Trial) -> None:
        """Learn that a training has ended."""

    def should_stop(self, trial: Trial) -> bool:
        """Tell whether a training that runs should end early."""
        return False
