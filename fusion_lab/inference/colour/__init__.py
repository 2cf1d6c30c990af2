"""Colours around a fused luminance, by the rule of each release."""

from fusion_lab.inference.colour.base import ColourRule, to_common_depth
from fusion_lab.inference.colour.gifnet import GIFNetColours
from fusion_lab.inference.colour.tita import TITAColours
from fusion_lab.networks.base import FusionNetwork

__all__ = ["ColourRule", "GIFNetColours", "TITAColours", "colour_rule", "to_common_depth"]

_RULES: dict[str, ColourRule] = {"tita": TITAColours(), "gifnet": GIFNetColours()}


def colour_rule(network: FusionNetwork) -> ColourRule:
    """Return the rule that a network names in `FusionNetwork.colour_rule`."""
    return _RULES[network.colour_rule]
