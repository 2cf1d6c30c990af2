"""Where the pictures of callbacks go."""

from pathlib import Path
from typing import TYPE_CHECKING

from lightning import Trainer

from fusion_lab.reporting.plots import write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show(trainer: Trainer, figure: "Figure", key: str, folder: Path) -> None:
    """Write ``FOLDER/step=000100.png`` and hand it to every logger that takes images.

    The number is that of the optimizer steps done, as in the names of checkpoints. Call it on one rank.
    """
    path = folder / f"step={trainer.global_step:06d}.png"
    write_figure(figure, path)
    for logger in trainer.loggers:
        # Lightning has no common interface for images; that of WandbLogger is the common shape.
        if hasattr(logger, "log_image"):
            logger.log_image(key, images=[str(path)], step=trainer.global_step)
