"""Information as the gradients of the image itself."""

from torch import Tensor

from fusion_lab.losses.information.base import MeasuredInformation, squared_response


class GradientInformation(MeasuredInformation):
    """The mean squared Laplacian-like response of the image: no other network is needed.

    Args:
        scale: Factor of the response. Those of images in [0, 1] are small, so that with 1 both weights stay near one
            half; a larger factor tells the sources more apart.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def measure(self, images: Tensor) -> Tensor:
        """Compute the information ``(B,)`` of images ``(B, 1, H, W)`` in [0, 1]."""
        return self.scale * squared_response(images)
