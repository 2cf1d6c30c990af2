"""Reading the weights that OAF gives its operations, of images that a network fuses."""

from contextlib import ExitStack
from typing import Self

import torch
from torch import Tensor, nn

from fusion_lab.errors import FusionLabError
from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.networks import TITA
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.operations.adaptive_fusion import AdaptiveFusion


class OperationWeightsReader(ExitStack):
    """Reads the OAF weights of all that passes through a network inside a ``with`` block.

    Args:
        network: The network, with one `AdaptiveFusion` or more.

    Attributes:
        operations: The name of each operation; where the network has several OAFs, it begins with the name of its
            OAF, and the operations of all stand in one row.

    Raises:
        FusionLabError: The network has no OAF.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._fusions = {n: module for n, module in network.named_modules() if isinstance(module, AdaptiveFusion)}
        if not self._fusions:
            raise FusionLabError(
                f"The network ({type(network).__name__}) has no OAF whose weights could be shown: take one that was "
                "built with operation branches, such as TITA with its own `operations`."
            )
        single = len(self._fusions) == 1
        self.operations = [
            label if single else f"{n}.{label}" for n, fusion in self._fusions.items() for label in fusion.labels
        ]
        self._read: dict[str, list[Tensor]] = {n: [] for n in self._fusions}
        self._sorting = network if isinstance(network, TITA) and network.brighter_first else None
        self._exchanged: Tensor | None = None

    def __enter__(self) -> Self:
        for name, fusion in self._fusions.items():

            def read(x: Tensor, y: Tensor, fusion: AdaptiveFusion = fusion, name: str = name) -> Tensor:
                weights = type(fusion).operation_weights(fusion, x, y)
                self._read[name].append(weights.detach().double())
                return weights

            # Not a hook: what a network does inside strips and tiles, it does once.
            fusion.__dict__["operation_weights"] = read
            self.callback(fusion.__dict__.pop, "operation_weights")
        if self._sorting:
            self._sorting.__dict__["exchanged"] = self._exchange
            self.callback(self._sorting.__dict__.pop, "exchanged")
        self.callback(self._forget)
        return self

    def _exchange(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        assert self._sorting is not None
        self._exchanged = TITA.exchanged(self._sorting, source_a, source_b)
        return self._exchanged

    def take(self) -> Tensor | None:
        """Return the weights of the images that passed since the last time, and forget them.

        Returns:
            ``(B, 2, operations)`` in float64; those of one OAF sum to 1. The tiles of an image share them. None if
            nothing passed.
        """
        read = [torch.stack(weights).mean(dim=0) for weights in self._read.values() if weights]
        self._forget()
        if not read:
            return None
        weights = torch.cat(read, dim=-1)
        if self._exchanged is None:
            return weights
        # The first weights are those of the first source, whichever came first inside.
        return weights.flip(1).where(self._exchanged[:, None, None], weights)

    def _forget(self) -> None:
        for weights in self._read.values():
            weights.clear()


def operation_weights(
    network: FusionNetwork, source_a: Tensor, source_b: Tensor, memory_limit: float = 6.0
) -> dict[str, Tensor]:
    """Return the OAF weights of a pair as it is fused by `fuse_luminance`, padding and tiles included.

    Args:
        network: The network; it runs on its own device, in evaluation mode.
        source_a: Luminance of the first source, ``(1, 1, H, W)`` in [0, 1].
        source_b: Luminance of the second source, ``(1, 1, H, W)`` in [0, 1].
        memory_limit: The memory that the network may take, in GiB.

    Returns:
        The weights of the first and of the second source, ``(2,)`` in float64 on the CPU, by the name of the operation.

    Raises:
        FusionLabError: The network has no OAF, or the pair cannot be fused.
    """
    with OperationWeightsReader(network) as reader:
        fuse_luminance(network, source_a, source_b, memory_limit)
        weights = reader.take()
    assert weights is not None
    return dict(zip(reader.operations, weights[0].cpu().unbind(dim=-1), strict=True))
