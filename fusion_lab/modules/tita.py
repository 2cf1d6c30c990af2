"""TITA as its release trains it."""

from fusion_lab.losses import Intensity, LossTerm, Structure, Texture
from fusion_lab.metrics.base import FusionMetric
from fusion_lab.modules.base import FusionModule, OptimizerFactory, SchedulerFactory
from fusion_lab.networks import TITA, FusionNetwork
from fusion_lab.weighting import LossWeighting


def tita_objectives() -> dict[str, dict[str, LossTerm]]:
    """Return the objectives of TITA's release, which are SwinFusion's: 20 texture, 20 intensity, 10 structure."""
    return {
        "ivf": {
            "texture": Texture(20),
            "intensity": Intensity("maximum", 20),
            "structure": Structure("gradient", 10),
        },
        "mff": {"texture": Texture(20), "intensity": Intensity("mean", 20), "structure": Structure("gradient", 10)},
        "mef": {"texture": Texture(20), "intensity": Intensity("mean", 20), "structure": Structure("equal", 10)},
    }


class TITAModule(FusionModule):
    """`FusionModule` with TITA's network and objectives where none are given.

    Args:
        network: The network; the official TITA unless given.
        objectives: The loss terms of each task; those of the release unless given.
        weighting: How the losses of the tasks become one; their plain sum unless given.
        optimizer: Makes the optimizer; Adam with a step of 2e-5 unless given.
        scheduler: Makes a schedule of the step; constant unless given.
        metrics: Scores of the validation and test pairs.
        memory_limit: The memory in GiB that fusing a whole pair may take.
        skip_bad_losses: Leave out a batch with an infinite or undefined loss instead of ending the run.
        joint_pass: Fuse the sources of all tasks of a step together.
    """

    def __init__(
        self,
        network: FusionNetwork | None = None,
        objectives: dict[str, dict[str, LossTerm]] | None = None,
        weighting: LossWeighting | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        metrics: list[FusionMetric] | None = None,
        memory_limit: float = 6.0,
        skip_bad_losses: bool = False,
        joint_pass: bool = False,
    ) -> None:
        super().__init__(
            network or TITA(),
            objectives or tita_objectives(),
            weighting,
            optimizer,
            scheduler,
            metrics,
            memory_limit,
            skip_bad_losses,
            joint_pass,
        )
