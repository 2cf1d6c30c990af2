"""Information as the gradients of what a classifier sees."""

from collections import OrderedDict
from functools import cache
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from fusion_lab.errors import FusionLabError, one_line
from fusion_lab.losses.information.base import MeasuredInformation, squared_response
from fusion_lab.losses.information.densenet121 import DenseNet121, rename_official

URL = "https://download.pytorch.org/models/densenet121-a639ec97.pth"
"""The ImageNet weights that torchvision offers; the end of the name is the beginning of the file's SHA-256."""

SHORTEST_SIDE = 32
"""Below, nothing is left of an image on the last level."""


class DenseNetInformation(MeasuredInformation):
    """The mean squared response of DenseNet121's features on five levels (GIFNet, equation 8; its ``train.py``).

    The luminance goes in as three equal channels in [0, 1], without the means of ImageNet, as in the release. On a CPU
    an image that was measured before, such as a stored patch in another epoch, is not measured again. The classifier is
    no part of this module: it is neither saved nor averaged with it.

    Args:
        weights: File with the ImageNet weights as torchvision names them; downloaded once, to the cache of
            ``torch.hub``, unless given.
        remembered: How many images are remembered.
    """

    def __init__(self, weights: Path | str | None = None, remembered: int = 100_000) -> None:
        super().__init__()
        self.weights = None if weights is None else str(weights)
        self.remembered = remembered
        self._known: OrderedDict[bytes, float] = OrderedDict()

    def prepare(self) -> None:
        """Load the classifier, or say why that is not possible."""
        _load(self.weights, "cpu")

    def measure(self, images: Tensor) -> Tensor:
        """Compute the information ``(B,)`` of images ``(B, 1, H, W)`` in [0, 1].

        Raises:
            FusionLabError: A side is shorter than 32 pixels, or the ImageNet weights cannot be had.
        """
        if min(images.shape[-2:]) < SHORTEST_SIDE:
            raise FusionLabError(
                f"DenseNetInformation needs images of {SHORTEST_SIDE} pixels or more a side, but was given "
                f"{images.shape[-1]}x{images.shape[-2]}: choose a larger `patch`, or another measure of information."
            )
        pixels = images.detach().float()
        if pixels.device.type != "cpu":
            # Looking at the pixels on the host would cost more than measuring them again.
            return _measure(_load(self.weights, str(images.device)), pixels).to(images.dtype)
        keys = [blake2b(image.tobytes(), digest_size=16).digest() for image in pixels.cpu().numpy()]
        if new := [number for number, key in enumerate(keys) if key not in self._known]:
            measured = _measure(_load(self.weights, str(images.device)), pixels[new])
            self._known.update(zip((keys[number] for number in new), measured.tolist(), strict=True))
        result = images.new_tensor([self._known[key] for key in keys])
        while len(self._known) > self.remembered:
            self._known.popitem(last=False)
        return result


def _measure(network: DenseNet121, images: Tensor) -> Tensor:
    with torch.autocast(images.device.type, enabled=False):
        levels = network(images.expand(-1, 3, -1, -1))
        return torch.stack([squared_response(level) for level in levels]).mean(dim=0)


@cache
def _load(weights: str | None, device: str) -> DenseNet121:
    """Load the classifier once for a file and a device."""
    try:
        if weights is None:
            state = torch.hub.load_state_dict_from_url(URL, map_location=device, check_hash=True)
        else:
            state = torch.load(weights, map_location=device, weights_only=True)
        network = DenseNet121()
        network.load_state_dict(rename_official(state))
    except Exception as error:  # Whatever a network, a disk or a file of another program may raise.
        reason = one_line(error)
        source = "downloaded" if weights is None else f"read from {weights}"
        raise FusionLabError(
            f"The ImageNet weights of DenseNet121 cannot be {source} ({reason}): download {URL} by hand and name the "
            "file in `weights` of DenseNetInformation, or choose GradientInformation or FixedInformation."
        ) from None
    return network.to(device).eval().requires_grad_(False)
