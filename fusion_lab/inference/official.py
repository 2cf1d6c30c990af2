"""The official releases whose checkpoints are known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from fusion_lab.networks.checkpoints import (
    from_official_gifnet,
    from_official_ifcnn,
    from_official_swinfusion,
    from_official_tita,
)


@dataclass(frozen=True)
class Release:
    """An official release.

    Attributes:
        kind: What a file of it is, in words.
        marks: Names of tensors by which it is known.
        rename: Gives them the names of our network.
        network: How to build that network, as `FusionNetwork.description`.
        by_file_name: Arguments that only the name of a file tells, by a word in it.
    """

    kind: str
    marks: frozenset[str]
    rename: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    network: dict[str, Any]
    by_file_name: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def description(self, file: Path) -> dict[str, Any]:
        """Return how to build the network of a file."""
        told = [arguments for word, arguments in self.by_file_name.items() if word in file.stem.upper()]
        return {**self.network, "init_args": {**self.network["init_args"], **dict(*told[:1])}}


OFFICIAL = {
    "tita": Release(
        "official TITA checkpoint",
        frozenset({"fafb_A.channel_compressor.weight"}),
        from_official_tita,
        {"class_path": "fusion_lab.networks.tita.TITA", "init_args": {}},
    ),
    "gifnet": Release(
        "official GIFNet checkpoint",
        frozenset({"getSharedFeatures.conv_1.conv2d.weight"}),
        from_official_gifnet,
        {"class_path": "fusion_lab.networks.gifnet.GIFNet", "init_args": {}},
    ),
    "ifcnn": Release(
        "official IFCNN checkpoint",
        frozenset({"conv2.bn.running_mean", "conv4.bias"}),
        from_official_ifcnn,
        {"class_path": "fusion_lab.networks.ifcnn.IFCNN", "init_args": {}},
        {"MEAN": {"join": "mean"}, "SUM": {"join": "sum"}},
    ),
    "swinfusion": Release(
        "official SwinFusion checkpoint",
        frozenset({"conv_after_body_Fusion.weight"}),
        from_official_swinfusion,
        {
            "class_path": "fusion_lab.networks.tita.TITA",
            "init_args": {
                "pixel_attention": None,
                "arrangement": ["intra", "intra", "inter", "inter"],
                "operations": [],
            },
        },
    ),
}
"""Every release, by the name of its network."""
