"""Pairs whose two sources are made from one image."""

from functools import cached_property
from pathlib import Path

from fusion_lab.data.augmentation import Transform
from fusion_lab.data.auxiliary.base import Synthesis
from fusion_lab.data.colour import luma
from fusion_lab.data.pairs import PairDataset, cut
from fusion_lab.data.scenes import find_companions, read_scene, scene, stack
from fusion_lab.types import Sample


class SynthesizedPairs(PairDataset):
    """Pairs made from visible images while they are read, such as the two focuses of a sharp photograph.

    Their ``target`` is the luminance of the visible image. A batch with other pairs of the task drops it.

    Args:
        root: The folder that ``visible`` is below.
        visible: Where the images are, a folder or a pattern as in `PairDataset`.
        synthesis: How the two sources are made; its companions are looked for below ``root``.
        limit: Use only the first so many images, in order of their names.
    """

    def __init__(self, root: Path | str, visible: str, synthesis: Synthesis, limit: int | None = None) -> None:
        super().__init__(root, a=visible, b=visible, limit=limit)
        self.synthesis = synthesis

    @cached_property
    def companions(self) -> list[dict[str, Path]]:
        """The images beside each visible one that the synthesis needs, by role."""
        return find_companions(self, self.synthesis.companions)

    @property
    def files(self) -> set[Path]:
        """Every file that a pair is made of, those beside the visible image included."""
        return super().files.union(*(roles.values() for roles in self.companions))

    def sample(self, index: int, augmentation: Transform | None, seed: int) -> Sample:
        """Make one pair as luminance ``(1, H, W)`` in [0, 1], cut and rendered by what is drawn from ``seed``."""
        pair = self.pairs[index]
        pictures = read_scene(pair, self.companions[index], self.cache)
        if augmentation:
            pictures = cut(pictures, augmentation, seed, pair.name)
        made = stack([scene(pictures, self.synthesis, seed, pair)])
        sources = self.synthesis.render(made.visible, made.recipe)
        source_a, source_b, target = (luma(images)[0] for images in (*sources, made.visible))
        return Sample(
            name=pair.name,  # type: ignore[typeddict-item]
            file_a=str(pair.a),  # type: ignore[typeddict-item]
            file_b=str(pair.b),  # type: ignore[typeddict-item]
            source_a=source_a,
            source_b=source_b,
            target=target,
        )
