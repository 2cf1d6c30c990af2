"""Pairs that vanish or break while a run trains on them."""

import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fusion_lab.data import Augmentation, JointDataModule, MultiTaskDataModule, PairDataset
from fusion_lab.data.auxiliary import FocusSynthesis, StoredFocus
from fusion_lab.data.bad_samples import BadSamples
from fusion_lab.data.mixing import Draw
from fusion_lab.errors import FusionLabError
from tests import tiny

SCRIPT = Path(__file__).with_name("vanishing.py")
SIZES = {"ivf": 6, "mff": 4}


@pytest.fixture
def root(tmp_path):
    return tiny.make_pairs(tmp_path / "pairs", **SIZES)


def module(root, tasks=SIZES, **arguments):
    given = {"train": tiny.pairs(root, tasks), "batch_size": 2, "augmentation": Augmentation(16)}
    return MultiTaskDataModule(**{**given, "on_bad_sample": "skip", **arguments})


def started(data):
    """Find the pairs, as a run does before its first batch."""
    data.setup("fit")
    return data


def spoil(root, task, *numbers):
    """Break one source of some pairs in one way or another."""
    for number in numbers:
        path = root / task / "b" / f"{task}{number}.png"
        if number % 2:
            path.write_bytes(path.read_bytes()[:60])
        else:
            path.unlink()


def epochs(loader, count=2):
    """Give the batches of some epochs, with the warnings about them in order."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batches = []
        try:
            for epoch in range(count):
                loader.batch_sampler.sampler.set_epoch(epoch)
                batches += list(loader)
        except Exception:
            # Left to the garbage collector, each worker would be waited for for five seconds.
            if loader._iterator:
                loader._iterator._shutdown_workers()
            raise
    return batches, [str(w.message) for w in caught if "is taken instead" in str(w.message)]


def names(batches):
    return [{task: list(sample["name"]) for task, sample in batch.items()} for batch in batches]


def test_other_pairs_of_the_task_fill_the_batches(root):
    whole, _ = epochs(module(root).train_dataloader())
    data = started(module(root))
    spoil(root, "ivf", 1, 4)
    spoil(root, "mff", 2)
    batches, told = epochs(data.train_dataloader())
    gone = {"ivf1", "ivf4", "mff2"}
    assert len(batches) == len(whole)
    stand_ins = {}
    for batch, one in zip(names(batches), names(whole), strict=True):
        for task in SIZES:
            assert len(batch[task]) == 2
            for name, wanted in zip(batch[task], one[task], strict=True):
                assert name.startswith(task)
                assert name not in gone
                assert (name == wanted) == (wanted not in gone)
                if wanted in gone:
                    # From the pair alone: it has the same stand-in whenever it is asked for.
                    assert stand_ins.setdefault(wanted, name) == name
    # Each bad pair is told once, in its own words.
    assert len(told) == 3
    for name, reason in {"ivf1": "broken", "ivf4": "does not exist", "mff2": "does not exist"}.items():
        assert any(f"{name}.png" in message and reason in message for message in told)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing_and_share_what_is_bad(root, workers, tmp_path, monkeypatch):
    alone, helped = started(module(root)), started(module(root, num_workers=workers))
    spoil(root, "ivf", 1, 4)
    spoil(root, "mff", 2)
    first, _ = epochs(alone.train_dataloader())
    loader = helped.train_dataloader()

    def show(message, *arguments):
        # Warnings of another process.
        with (tmp_path / "told").open("a") as file:
            file.write(f"{message}\n")

    monkeypatch.setattr(warnings, "showwarning", show)
    second = []
    for epoch in range(2):
        loader.batch_sampler.sampler.set_epoch(epoch)
        second += list(loader)
    assert names(first) == names(second)
    for one, other in zip(first, second, strict=True):
        for task in one:
            assert torch.equal(one[task]["source_a"], other[task]["source_a"])
    assert helped._bad_samples.count() == 3
    told = (tmp_path / "told").read_text().splitlines()
    assert len([line for line in told if "is taken instead" in line]) == 3


def test_a_resumed_run_takes_the_same_pairs(root):
    data = started(module(root))
    spoil(root, "ivf", 1, 3, 5)
    whole, _ = epochs(data.train_dataloader())
    resumed = module(root)
    resumed.load_state_dict({"epoch": 0, "batch": 1})
    rest, _ = epochs(resumed.train_dataloader())
    assert names(rest) == names(whole[1:])


def test_a_pair_that_is_known_to_be_bad_is_not_read_again(root):
    data = started(module(root))
    path = root / "ivf" / "b" / "ivf0.png"
    shutil.move(path, root / "aside.png")
    epochs(data.train_dataloader())
    shutil.move(root / "aside.png", path)
    # Neither by a loader that is made anew in the same run.
    for loader in (data.train_dataloader(), data.train_dataloader()):
        batches, told = epochs(loader)
        assert not told
        assert "ivf0" not in str(names(batches))


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_bad_pairs_end_the_run(root, workers):
    data = started(module(root, bad_sample_limit=2, num_workers=workers))
    spoil(root, "ivf", 0, 2)
    loader = data.train_dataloader()
    epochs(loader)
    spoil(root, "mff", 2)
    with pytest.raises(FusionLabError, match=r"3 training pairs .*bad_sample_limit` allows \(2\).*mff2\.png"):
        epochs(loader)


@pytest.mark.parametrize("workers", [0, 1])
def test_no_pair_left_is_told(root, workers):
    data = started(module(root, num_workers=workers))
    spoil(root, "mff", 0, 1, 2, 3)
    with pytest.raises(FusionLabError, match="None of the 4 training pairs of task 'mff' can be read"):
        epochs(data.train_dataloader())


def test_data_sets_of_a_task_stand_in_for_each_other(root):
    tasks = {"ivf": [PairDataset(root / "ivf"), PairDataset(root / "mff")]}
    data = started(module(root, train=tasks))
    spoil(root, "mff", 0, 1, 2, 3)
    batches, told = epochs(data.train_dataloader())
    assert len(told) == 4
    assert all(name.startswith("0/ivf") for batch in names(batches) for name in batch["ivf"])


def test_by_default_the_run_ends_with_the_sentence(root):
    data = started(module(root, on_bad_sample="raise"))
    spoil(root, "ivf", 4)
    with pytest.raises(FusionLabError, match=r"ivf4\.png does not exist"):
        epochs(data.train_dataloader())


def test_a_pair_too_small_for_the_patch_is_bad(root):
    for role in "ab":
        Image.new("L", (12, 12)).save(root / "ivf" / role / "ivf3.png")
    batches, [told] = epochs(module(root).train_dataloader())
    assert "'ivf3' (12x12) is smaller than the crop" in told
    assert "ivf3" not in str(names(batches))


@pytest.mark.parametrize("split", ["val", "test", "predict"])
def test_what_is_scored_or_fused_is_never_replaced(root, split):
    data = MultiTaskDataModule(**{split: tiny.pairs(root, SIZES)}, on_bad_sample="skip")
    data.setup({"val": "validate"}.get(split, split))
    spoil(root, "ivf", 4)
    with pytest.raises(FusionLabError, match=r"ivf4\.png does not exist"):
        list(getattr(data, f"{split}_dataloader")())


def test_what_is_missing_at_the_start_is_told(root):
    spoil(root, "ivf", 4)
    with pytest.raises(FusionLabError, match=r"no partner .*ivf4\.png"):
        module(root).setup("fit")


def test_mistakes_in_a_program_are_no_bad_pairs(root, monkeypatch):
    def fail(*arguments):
        raise KeyError("a mistake")

    monkeypatch.setattr(PairDataset, "sample", fail)
    with pytest.raises(KeyError, match="a mistake"):
        epochs(module(root).train_dataloader())


def test_errors_of_the_system_make_a_pair_bad():
    def read(draw):
        if draw.index == 1:
            raise OSError(5, "Input/output error", "pair1.png")
        return draw

    bad = BadSamples({"ivf": 3}, 1)
    with pytest.warns(UserWarning, match=r"Input/output error.*pair1\.png"):
        found = bad.read(Draw("ivf", 1, 7), read)
    assert found.index in (0, 2)
    assert found.seed == 7


def test_stand_ins_come_from_the_whole_task():
    def read(draw):
        if draw.index < 20:
            raise FusionLabError("gone.")
        return draw.index

    bad = BadSamples({"ivf": 40}, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {bad.read(Draw("ivf", index, 0), read) for index in range(20)}
    assert len(found) > 8


@pytest.fixture
def scenes(tmp_path):
    generator = np.random.default_rng(0)
    for folder in ("visible", "infrared", "visible_focus_near", "visible_focus_far"):
        (tmp_path / folder / "train").mkdir(parents=True)
        for number in range(5):
            pixels = generator.integers(0, 256, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / "train" / f"scene{number}.png")
    return tmp_path


def joint(scenes, auxiliary, **arguments):
    pairs = PairDataset(scenes, "visible/train", "infrared/train")
    given = {"batch_size": 2, "augmentation": Augmentation(16), "on_bad_sample": "skip"}
    return started(JointDataModule([pairs], auxiliary, **given, **arguments))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("auxiliary", "role"),
    [(FocusSynthesis(radius=(1.0, 1.0)), "infrared"), (StoredFocus(), "visible_focus_near"), (None, "visible")],
    ids=["paper", "stored", "none"],
)
def test_scenes_are_replaced_for_both_tasks(scenes, auxiliary, role, workers):
    data = joint(scenes, auxiliary, num_workers=workers)
    (scenes / role / "train" / "scene2.png").write_bytes(b"")
    batches, _ = epochs(data.train_dataloader(), 3)
    assert len(batches) == 3 * 2 * (5 // 2)
    assert data._bad_samples.count() == 1
    for batch in names(batches):
        assert all(members == batch["ivf"] for members in batch.values())
        assert "scene2" not in batch["ivf"]


def test_too_many_bad_scenes_end_the_run(scenes):
    data = joint(scenes, None, bad_sample_limit=1)
    for number in (0, 1):
        (scenes / "infrared" / "train" / f"scene{number}.png").unlink()
    with pytest.raises(FusionLabError, match=r"2 training pairs .*infrared/train/scene"):
        epochs(data.train_dataloader())


@pytest.mark.parametrize("kind", [MultiTaskDataModule, JointDataModule])
@pytest.mark.parametrize(("name", "value"), [("bad_sample_limit", 0), ("on_bad_sample", "ignore")])
def test_wrong_arguments_are_told(kind, name, value):
    with pytest.raises(FusionLabError, match=f"Found `{name} = {value}`"):
        kind(**{name: value})


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """Train on two processes with either policy; returns the folder, the exit code and stderr."""
    folder = tmp_path_factory.mktemp("vanishing")
    for policy in ("skip", "raise"):
        tiny.make_pairs(folder / policy, ivf=8)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    # Processes that wait for each other forever would fail here.
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return folder, done.returncode, done.stderr


def test_two_processes_go_on_without_a_pair(two_processes):
    folder, _, told = two_processes
    ends = {path.name: path.read_text() for path in folder.glob("skip-*")}
    assert ends == {"skip-0": "12", "skip-1": "12"}, told
    # Once by each process that meets it.
    assert told.count("is taken instead") in (1, 2)


def test_one_of_two_processes_that_cannot_read_ends_both(two_processes):
    folder, code, told = two_processes
    assert code != 0
    assert re.search(r"raise, rank 1: The image .*png does not exist: check the path", told)
    assert not list(folder.glob("raise-*"))
