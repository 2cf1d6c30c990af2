"""The LightningDataModule that hands out all tasks together."""

import os
import signal
import threading
import warnings
from collections.abc import Callable
from functools import cached_property
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, default_collate

from fusion_lab.data.augmentation import Augmentation, CentreCrop, Transform
from fusion_lab.data.bad_samples import BadSamples
from fusion_lab.data.mixing import Draw, EqualShares, MixedBatches, Mixing
from fusion_lab.data.pairs import PairDataset
from fusion_lab.data.picture_cache import PictureCache
from fusion_lab.data.sizes import refuse_small
from fusion_lab.errors import FusionLabError
from fusion_lab.types import Batch, Sample

TaskDatasets = dict[str, list[PairDataset]]


class TaskSamples(Dataset[Any]):
    """The samples of several tasks, each task a row of data sets, asked for by `Draw`.

    Args:
        tasks: The data sets of each task.
        augmentation: What happens to each pair.
        bad: What is done about pairs that cannot be read; they raise unless given.
    """

    def __init__(
        self, tasks: TaskDatasets, augmentation: Transform | None = None, bad: BadSamples | None = None
    ) -> None:
        self.tasks = tasks
        self.augmentation = augmentation
        self.bad = bad

    def sizes(self) -> dict[str, int]:
        """Return the number of pairs of each task."""
        return {task: sum(len(dataset) for dataset in datasets) for task, datasets in self.tasks.items()}

    def place(self, draw: Draw) -> tuple[int, int, str]:
        """Find a pair: the number of its data set, its index there, and what keeps its name apart from others."""
        index = draw.index
        datasets = self.tasks[draw.task]
        for number, dataset in enumerate(datasets):
            if index < len(dataset):
                # Several data sets may use the same names.
                return number, index, f"{number}/" if len(datasets) > 1 else ""
            index -= len(dataset)
        raise IndexError(f"Task '{draw.task}' has no pair {draw.index}.")

    def __getitem__(self, draw: Draw | None) -> Any:
        if draw is None:
            return None
        return self.bad.read(draw, self.read) if self.bad else self.read(draw)

    def read(self, draw: Draw) -> Any:
        """Read one sample: the name of its task, and the `Sample` before it is collated."""
        number, index, prefix = self.place(draw)
        sample = self.tasks[draw.task][number].sample(index, self.augmentation, draw.seed)
        sample["name"] = f"{prefix}{sample['name']}"  # type: ignore[typeddict-item]
        return draw.task, sample


def collate(samples: list[tuple[str, Sample] | None]) -> Batch:
    """Stack samples task by task; all samples of a task have one size.

    A target is kept where every sample of the task has one.
    """
    by_task: dict[str, list[Sample]] = {}
    for task, sample in filter(None, samples):
        by_task.setdefault(task, []).append(sample)
    batch: Batch = {}
    for task, members in by_task.items():
        shared = set.intersection(*(set(member) for member in members))
        batch[task] = default_collate([{key: m[key] for key in m if key in shared} for m in members])  # type: ignore[literal-required]
    return batch


class MultiTaskDataModule(LightningDataModule):
    """Pairs of several tasks: mixed in every training batch, one whole pair at a time elsewhere.

    Args:
        train: The training data sets of each task.
        val: The validation data sets of each task.
        test: The test data sets of each task.
        predict: The data sets to fuse, of each task; those of ``test``, or else ``val``, unless given. In any split, a
            task with an empty list is left out.
        batch_size: Training pairs of each task in the batch of one device, on average where shares differ.
        augmentation: What happens to training pairs.
        val_crop: Validate on the centres of the pairs, at most so many pixels a side; on whole pairs unless given.
        num_workers: Processes that read, for each loader.
        seed: Seed of the order and the augmentation.
        mixing: The share of each task in the training batches; equal unless given.
        on_bad_sample: What happens where a training pair cannot be read, such as a file that has vanished or broken
            after the start: ``raise`` ends the run; ``skip`` warns once for each such pair and takes another one of
            its task instead. Validation, test and prediction always raise, because means over other pairs are other
            numbers; so does what is missing at the start.
        bad_sample_limit: End the run when more training pairs than so many cannot be read, on each rank.
        cache_gib: The memory in GiB that decoded training pictures may be kept in, for all workers of a rank together;
            they are decoded each time unless given.
    """

    def __init__(
        self,
        train: TaskDatasets | None = None,
        val: TaskDatasets | None = None,
        test: TaskDatasets | None = None,
        predict: TaskDatasets | None = None,
        batch_size: int = 8,
        augmentation: Augmentation | None = None,
        val_crop: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
        mixing: Mixing | None = None,
        on_bad_sample: Literal["raise", "skip"] = "raise",
        bad_sample_limit: int = 10,
        cache_gib: float = 0.0,
    ) -> None:
        super().__init__()
        for name, number in (("batch_size", batch_size), ("bad_sample_limit", bad_sample_limit)):
            if number < 1:
                raise FusionLabError(f"`{name}` should be at least 1. Found `{name} = {number}`.")
        if on_bad_sample not in ("raise", "skip"):
            raise FusionLabError(f"`on_bad_sample` should be raise or skip. Found `on_bad_sample = {on_bad_sample}`.")
        splits = {"train": train, "val": val, "test": test, "predict": predict or test or val}
        self.splits: dict[str, TaskDatasets] = {
            split: {task: datasets for task, datasets in (tasks or {}).items() if datasets}
            for split, tasks in splits.items()
        }
        if cache_gib < 0:
            raise FusionLabError(f"`cache_gib` should be 0 or more. Found `cache_gib = {cache_gib}`.")
        cache = PictureCache(int(cache_gib * 2**30 / max(1, num_workers)))
        for dataset in (one for datasets in self.splits["train"].values() for one in datasets):
            dataset.cache = cache
        # With more processes than pairs to evaluate, some have nothing to do.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.batch_size = batch_size
        if val_crop is not None and val_crop < 1:
            raise FusionLabError(f"`val_crop` should be at least 1. Found `val_crop = {val_crop}`.")
        self.augmentation = augmentation or Augmentation()
        self.val_crop = val_crop
        self.num_workers = num_workers
        self.seed = seed
        self.mixing = mixing or EqualShares()
        self.on_bad_sample = on_bad_sample
        self.bad_sample_limit = bad_sample_limit
        self._place = (0, 0)

    @property
    def tasks(self) -> list[str]:
        """The tasks that are trained on, in order."""
        return list(self.splits["train"])

    @property
    def all_tasks(self) -> list[str]:
        """The tasks of any split, those that are trained on first."""
        return list(dict.fromkeys([*self.tasks, *(task for split in self.splits.values() for task in split)]))

    @property
    def files(self) -> set[Path]:
        """Every file that is trained and validated on; known after `setup`."""
        return self._files("train", "val")

    def _files(self, *splits: str) -> set[Path]:
        sets = [one for split in splits for several in self.splits[split].values() for one in several]
        return set().union(*(one.files for one in sets))

    def prepare_data(self) -> None:
        """Make the data that is made rather than read, once on each node."""
        for dataset in self._datasets():
            dataset.prepare()

    def setup(self, stage: str) -> None:
        """Find all pairs of the stage and mix them, so that what is missing is told before anything starts."""
        splits = {"fit": ("train", "val"), "validate": ("val",)}.get(stage, (stage,))
        if not self.splits[splits[0]]:
            raise FusionLabError(f"The configuration names no data to {stage}: set `data.init_args.{splits[0]}`.")
        if getattr(self.trainer, "overfit_batches", 0):
            raise FusionLabError("Mixed tasks have no `trainer.overfit_batches`: set `limit` of the data sets.")
        self._files(*splits)
        if stage == "fit":
            self._mixed_batches()

    def refuse_small_pairs(self) -> None:
        """Tell pairs that are smaller than the crop by the headers of their files, as `on_bad_sample` says."""
        refuse_small(self.splits["train"], self.augmentation.patch, self._bad_samples)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return mixed batches of random crops."""
        samples = TaskSamples(self.splits["train"], self.augmentation, self._bad_samples)
        sampler = self._mixed_batches()
        sampler.resume(*self._take_place())
        return self._loader(samples, batch_sampler=sampler, persistent_workers=self.num_workers > 0)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the validation pairs, or their centres, one a batch."""
        return self._whole("val", CentreCrop(self.val_crop) if self.val_crop else None)

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the test pairs whole, one a batch."""
        return self._whole("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return the pairs to fuse whole, one a batch."""
        return self._whole("predict")

    def state_dict(self) -> dict[str, Any]:
        """Tell the place in training: the epoch, and the batches of it that are done."""
        assert self.trainer is not None
        done: int = self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
        epoch, batch = divmod(done, int(self.trainer.num_training_batches))
        return {"epoch": epoch, "batch": batch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            FusionLabError: It tells no place.
        """
        epoch, batch = (state_dict.get(key) for key in ("epoch", "batch"))
        if not (isinstance(epoch, int) and isinstance(batch, int) and min(epoch, batch) >= 0):
            raise FusionLabError(
                f"The checkpoint tells no place in the data to go on from (epoch {epoch}, batch {batch}): "
                "take another one."
            )
        self._place = (epoch, batch)
        # The sampler resumes exactly; Lightning cannot know that.
        warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch")

    def _take_place(self) -> tuple[int, int]:
        """Return the epoch, and the batches of it that are done, to go on after; only once."""
        place, self._place = self._place, (0, 0)
        return place

    @cached_property
    def _bad_samples(self) -> BadSamples | None:
        # Made once: what is known stays known when loaders are made anew.
        skips = self.on_bad_sample == "skip"
        return BadSamples(TaskSamples(self.splits["train"]).sizes(), self.bad_sample_limit) if skips else None

    def _datasets(self) -> list[PairDataset]:
        return [d for split in self.splits.values() for datasets in split.values() for d in datasets]

    def _mixed_batches(self) -> MixedBatches:
        sizes, trainer = TaskSamples(self.splits["train"]).sizes(), self.trainer
        return MixedBatches(
            sizes,
            self.mixing.shares(sizes),
            self.batch_size,
            self.seed,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )

    def _whole(self, split: str, crop: CentreCrop | None = None) -> DataLoader[Any]:
        samples = TaskSamples(self.splits[split], crop)
        sizes = samples.sizes()
        # Task by task in turn: where only so many batches are looked at, they are of all tasks.
        longest = max(sizes.values(), default=0)
        draws: list[Draw | None] = [
            Draw(task, index, 0) for index in range(longest) for task, size in sizes.items() if index < size
        ]
        if self.trainer and draws:
            # A process without a single pair would leave out what the others do together at the end.
            draws = draws[self.trainer.global_rank :: self.trainer.world_size] or [None]
        # A plain sampler: to number predictions, Lightning makes the batch sampler anew.
        return self._loader(samples, sampler=draws)

    def _loader(
        self, samples: TaskSamples, make: Callable[..., DataLoader[Any]] = DataLoader, **kwargs: Any
    ) -> DataLoader[Any]:
        return make(
            samples,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_obey_the_main_process_alone,
            **{"collate_fn": collate, **kwargs},
        )


def _obey_the_main_process_alone(worker: int) -> None:
    """Let workers live on after signals that a terminal or a cluster sends to all processes: the last batch needs them.

    SIGTERM, by which a cluster asks to make room, is also how the main process ends its workers.
    """
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    # With a server that forks, the parent of this process is another one.
    parent = parent_process()
    threading.Thread(target=_end_with, args=(parent.pid if parent else os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
