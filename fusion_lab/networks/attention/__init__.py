"""Attention, one method a file. A pixel attention of your own: subclass `PixelAttention`, name it in a config."""

from fusion_lab.networks.attention.ipa import IPA
from fusion_lab.networks.attention.pa import PA
from fusion_lab.networks.attention.pixel import PixelAttention
from fusion_lab.networks.attention.window import WindowAttention

__all__ = ["IPA", "PA", "PixelAttention", "WindowAttention"]
