"""The LightningDataModule of joint training: one set of scenes, seen by infrared-visible fusion and by another task."""

from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch.utils.data import DataLoader

from fusion_lab.data.augmentation import Augmentation, Transform
from fusion_lab.data.auxiliary.base import Synthesis
from fusion_lab.data.bad_samples import BadSamples
from fusion_lab.data.datamodules import MultiTaskDataModule, TaskDatasets, TaskSamples
from fusion_lab.data.mixing import Draw
from fusion_lab.data.pairs import PairDataset, cut
from fusion_lab.data.repeat import RepeatEachBatch
from fusion_lab.data.scenes import MAIN_TASK, Scenes, find_companions, read_scene, scene, stack
from fusion_lab.errors import FusionLabError
from fusion_lab.types import Batch


class JointSamples(TaskSamples):
    """Crops of scenes, with what the auxiliary task draws for each, asked for by `Draw`."""

    def __init__(
        self,
        datasets: list[PairDataset],
        augmentation: Transform,
        auxiliary: Synthesis | None,
        bad: BadSamples | None = None,
    ) -> None:
        super().__init__({MAIN_TASK: datasets}, augmentation, bad)
        self.auxiliary = auxiliary
        patterns = auxiliary.companions if auxiliary else {}
        self.companions = [find_companions(dataset, patterns) for dataset in datasets]

    def read(self, draw: Draw) -> dict[str, Any]:
        """Read one scene: the entries of `Scenes`, of one sample each."""
        number, index, prefix = self.place(draw)
        dataset = self.tasks[draw.task][number]
        pair = dataset.pairs[index]
        pictures = read_scene(pair, self.companions[number][index], dataset.cache)
        assert self.augmentation is not None
        described = scene(cut(pictures, self.augmentation, draw.seed, pair.name), self.auxiliary, draw.seed, pair)
        return {**described, "name": prefix + pair.name}


class JointDataModule(MultiTaskDataModule):
    """The same crops of the same scenes for infrared-visible fusion and for an auxiliary task (GIFNet, CVPR 2025).

    A training batch is ``{"ivf": Sample, "mff": Sample}``, aligned: ``ivf`` has the visible luminance and the infrared
    image, ``mff`` the far- and the near-focused visible luminance and the visible one as target. With
    `ExposureSynthesis` the second is ``mef``; without an auxiliary task there is only ``ivf``.

    What is random is drawn in the processes that read. The auxiliary sources are rendered on the device of the network
    unless that is the CPU, and by the processes that read otherwise.

    Args:
        train: Pairs of a visible (first source, colour where there is any) and an infrared image.
        auxiliary: How the sources of the second task are made from the visible images.
        val: The validation data sets of each task, as for `MultiTaskDataModule`.
        test: The test data sets of each task.
        predict: The data sets to fuse, of each task; those of ``test``, or else ``val``, unless given.
        batch_size: Scenes in the batch of one device.
        augmentation: What happens to training scenes.
        val_crop: Validate on the centres of the pairs, at most so many pixels a side; on whole pairs unless given.
        num_workers: Processes that read, for each loader.
        seed: Seed of the order, the augmentation and the auxiliary sources.
        repeat: How often each training batch comes in a row; GIFNet trains one task on it, then the other.
        on_bad_sample: What happens where a training scene cannot be read, as for `MultiTaskDataModule`.
        bad_sample_limit: End the run when more training scenes than so many cannot be read, on each rank.
        cache_gib: As for `MultiTaskDataModule`.
    """

    def __init__(
        self,
        train: list[PairDataset] | None = None,
        auxiliary: Synthesis | None = None,
        val: TaskDatasets | None = None,
        test: TaskDatasets | None = None,
        predict: TaskDatasets | None = None,
        batch_size: int = 8,
        augmentation: Augmentation | None = None,
        val_crop: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
        repeat: int = 2,
        on_bad_sample: Literal["raise", "skip"] = "raise",
        bad_sample_limit: int = 10,
        cache_gib: float = 0.0,
    ) -> None:
        if repeat < 1:
            raise FusionLabError(f"`repeat` should be at least 1. Found `repeat = {repeat}`.")
        pairs = {MAIN_TASK: train or []}
        super().__init__(
            pairs,
            val,
            test,
            predict,
            batch_size,
            augmentation,
            val_crop,
            num_workers,
            seed,
            on_bad_sample=on_bad_sample,
            bad_sample_limit=bad_sample_limit,
            cache_gib=cache_gib,
        )
        self.auxiliary = auxiliary
        self.repeat = repeat

    @property
    def tasks(self) -> list[str]:
        """The tasks that are trained on, the auxiliary one last."""
        main = super().tasks
        return [*main, self.auxiliary.task] if main and self.auxiliary else main

    @property
    def files(self) -> set[Path]:
        """Every file that is trained and validated on, those of the auxiliary task included."""
        beside = (roles for dataset in self._samples().companions for roles in dataset)
        return super().files.union(*(roles.values() for roles in beside))

    @property
    def renders_on_device(self) -> bool:
        """Whether the auxiliary sources are rendered where the network is."""
        return self.trainer is not None and self.trainer.strategy.root_device.type != "cpu"

    def setup(self, stage: str) -> None:
        """Find all files of the stage, so that what is missing is told before anything starts."""
        super().setup(stage)
        if stage == "fit":
            if self.repeat > 1 and self.trainer is not None and self.trainer.accumulate_grad_batches > 1:
                raise FusionLabError(
                    f"With gradient accumulation the {self.repeat} copies of a batch would fall into one step: set "
                    "`data.init_args.repeat` to 1."
                )
            self._samples()

    def train_dataloader(self) -> DataLoader[Any]:
        """Return batches of random crops, each `repeat` times in a row."""
        epoch, batch = self._take_place()
        sampler = self._mixed_batches()
        sampler.resume(epoch, batch // self.repeat)
        return self._loader(
            self._samples(),
            partial(RepeatEachBatch, repeat=self.repeat, given=batch % self.repeat),
            collate_fn=stack if self.renders_on_device else partial(_rendered, auxiliary=self.auxiliary),
            batch_sampler=sampler,
            persistent_workers=self.num_workers > 0,
        )

    def on_after_batch_transfer(self, batch: Scenes | Batch, dataloader_idx: int) -> Batch:
        """Render the auxiliary sources where no process that reads has done it."""
        return batch.render(self.auxiliary) if isinstance(batch, Scenes) else batch

    def _samples(self) -> JointSamples:
        return JointSamples(self.splits["train"][MAIN_TASK], self.augmentation, self.auxiliary, self._bad_samples)


def _rendered(scenes: list[dict[str, Any]], auxiliary: Synthesis | None) -> Batch:
    return stack(scenes).render(auxiliary)
