"""Shares by hand."""

from math import isfinite

from fusion_lab.data.mixing.base import Mixing
from fusion_lab.errors import FusionLabError

_PLACE = "`data.init_args.mixing.init_args.shares`"


class Shares(Mixing):
    """Exactly the shares that are given.

    Args:
        shares: A number greater than 0 for each task that is trained on; only their ratios count.
    """

    def __init__(self, shares: dict[str, float]) -> None:
        for task, share in shares.items():
            if not (share > 0 and isfinite(share)):
                raise FusionLabError(
                    f"A share should be greater than 0 and finite. Found `{task}: {share}` in {_PLACE}: "
                    "to leave a task out, drop its share and set its list of data sets to []."
                )
        self.given = shares

    def shares(self, sizes: dict[str, int]) -> dict[str, float]:
        """Return the share of the sum of each task.

        Raises:
            FusionLabError: A task has no share, or a share has no task.
        """
        if missing := [task for task in sizes if task not in self.given]:
            raise FusionLabError(f"{_PLACE} lacks {', '.join(missing)}: give a share to each task that is trained on.")
        if unknown := [task for task in self.given if task not in sizes]:
            raise FusionLabError(
                f"{_PLACE} names {', '.join(unknown)}, which `data.init_args.train` does not: "
                f"give shares to {', '.join(sizes)} alone."
            )
        total = sum(self.given.values())
        return {task: self.given[task] / total for task in sizes}
