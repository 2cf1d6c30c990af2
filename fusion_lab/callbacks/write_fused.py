"""Writing what ``predict`` fuses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from fusion_lab.data.images import read_picture, write_picture
from fusion_lab.inference.colour import colour_rule
from fusion_lab.inference.fuser import Colours, paint
from fusion_lab.modules import FusionModule
from fusion_lab.types import Batch


class WriteFused(BasePredictionWriter):
    """Write each fused pair as ``FOLDER/TASK/NAME.png``, with the colours and the depth of its sources.

    The colours follow the rule of the network; the luminance that was fused is that of the data set, which may lie a
    level from that of the rule.

    Where a task has several data sets, NAME begins with the number of the data set, ``0/``.

    Args:
        folder: Where the files go.
        colours: Whose colours they have: those of the first source, ``a``, of ``b``, of ``both``, or none, ``grey``.
    """

    def __init__(self, folder: Path | str, colours: Colours = "both") -> None:
        super().__init__("batch")
        self.folder = Path(folder)
        self.colours = colours

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: dict[str, Tensor],
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write a batch, one pair of each task or of one."""
        rule = colour_rule(cast(FusionModule, pl_module).network)
        for task, fused in prediction.items():
            sample: Any = batch[task]
            names = sample["name"]
            ranges = [sample.get(key) or ["full"] * len(names) for key in ("range_a", "range_b")]
            for name, file_a, file_b, range_a, range_b, luminance in zip(
                names, sample["file_a"], sample["file_b"], *ranges, fused, strict=True
            ):
                a, b = read_picture(Path(file_a), range_a), read_picture(Path(file_b), range_b)
                picture = paint((a, b), luminance[0], rule, self.colours)
                write_picture(picture, self.folder / task / f"{name}.png")
