"""Classifying images, to see what enhanced ones are worth."""

from typing import Any

import torch
from kornia.augmentation import AugmentationSequential, RandomCrop, RandomHorizontalFlip
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD
from torch.optim.lr_scheduler import MultiStepLR
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

MEAN = (0.5071, 0.4865, 0.4409)
"""Mean of each channel of CIFAR-100's training images in [0, 1]."""
DEVIATION = (0.2673, 0.2564, 0.2762)
"""Standard deviation of each channel."""


class ClassifierModule(LightningModule):
    """A classifier trained as ResNet's paper trains on CIFAR (He et al., CVPR 2016, section 4.2).

    SGD with momentum 0.9 and weight decay 1e-4; the step falls to a tenth after one half and after three quarters of
    the epochs; training images are shifted by up to four pixels and mirrored at random. A batch is a pair of images
    ``(B, 3, H, W)`` uint8 and classes ``(B,)``.

    Args:
        network: Gives scores ``(B, classes)`` of normalised images ``(B, 3, H, W)``.
        num_classes: Classes.
        lr: First step.
        augment: Shift and mirror the training images.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, num_classes: int = 100, lr: float = 0.1, augment: bool = True) -> None:
        super().__init__()
        self.network = network
        self.lr = lr
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)
        self.augmentation = (
            AugmentationSequential(RandomCrop((32, 32), padding=4), RandomHorizontalFlip(), data_keys=["input"])
            if augment
            else nn.Identity()
        )
        self.accuracy = MetricCollection(
            {f"top{k}": MulticlassAccuracy(num_classes, top_k=min(k, num_classes), average="micro") for k in (1, 5)}
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores ``(B, classes)`` of images ``(B, 3, H, W)`` in [0, 1]."""
        return self.network((images - self.mean) / self.deviation)

    def configure_optimizers(self) -> Any:
        """Make SGD and its two drops of the step."""
        optimizer = SGD(self.network.parameters(), lr=self.lr, momentum=0.9, weight_decay=1e-4)
        epochs = self.trainer.max_epochs or 1
        drops = [epoch for epoch in (epochs // 2, epochs * 3 // 4) if epoch > 0]
        return [optimizer], [MultiStepLR(optimizer, drops)]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the cross-entropy of a batch."""
        images, labels = batch
        loss = F.cross_entropy(self(self.augmentation(images / 255)), labels)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Take in the predictions for a batch."""
        images, labels = batch
        self.accuracy.update(self(images / 255), labels)
        self.log_dict(self.accuracy, on_step=False, on_epoch=True)
