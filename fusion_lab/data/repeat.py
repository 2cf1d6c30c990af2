"""Training batches that come several times in a row."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader


class RepeatEachBatch(DataLoader[Any]):
    """A DataLoader that reads each batch once and gives it several times, for methods that alternate steps on it.

    Args:
        args: As for `torch.utils.data.DataLoader`.
        repeat: How often each batch comes.
        given: How often the first batch has come before: that many times less in the first pass.
        kwargs: As for `torch.utils.data.DataLoader`.
    """

    def __init__(self, *args: Any, repeat: int = 2, given: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.repeat = repeat
        self.given = given

    def __len__(self) -> int:
        return self.repeat * super().__len__()

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        # Not a generator: worker processes start to read when the pass begins, as those of any DataLoader.
        return self._repeated(super().__iter__(), self.given)

    def _repeated(self, batches: Iterator[Any], given: int) -> Iterator[Any]:
        self.given = 0
        for batch in batches:
            for _ in range(given, self.repeat):
                yield batch
            given = 0
