"""A run that goes on takes the step of the optimizer, and its schedule, from the configuration at the step reached."""

from functools import partial

import pytest
import torch
from lightning import Callback
from lightning.pytorch.cli import ReduceLROnPlateau
from torch.optim import SGD, Adam, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, OneCycleLR, StepLR

from fusion_lab.callbacks import Checkpoints, ConfiguredSteps
from fusion_lab.data import Augmentation, MultiTaskDataModule
from fusion_lab.errors import FusionLabError
from fusion_lab.losses import Intensity
from fusion_lab.modules import FusionModule
from fusion_lab.modules.schedules import InTurn, Together
from fusion_lab.networks import FusionNetwork
from tests.tiny import PATCH, make_pairs, pairs, trainer

EPOCH = 2
LR = 1e-3


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), ivf=EPOCH)


class OneConvolution(FusionNetwork):
    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, source_a, source_b):
        return self.convolution(torch.cat([source_a, source_b], dim=1))


class Steps(Callback):
    """Remember the step of the optimizer at every training step."""

    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.seen.append(optimizer.param_groups[0]["lr"])


def fit(folder, root, steps, scheduler=None, ckpt=None, optimizer=None, val=None, **arguments):
    torch.manual_seed(0)
    objectives = {"ivf": {"intensity": Intensity("maximum")}}
    made = FusionModule(OneConvolution(), objectives, optimizer=optimizer or partial(Adam, lr=LR), scheduler=scheduler)
    sets = {split: pairs(root, ["ivf"]) for split, root in (("train", root), ("val", val)) if root}
    seen = Steps()
    checkpoints = Checkpoints(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1, save_last=True)
    options = {"enable_checkpointing": True, "max_steps": steps, "callbacks": [seen, ConfiguredSteps(), checkpoints]}
    run = trainer(folder, **options, **arguments)
    run.fit(made, MultiTaskDataModule(**sets, batch_size=1, augmentation=Augmentation(PATCH)), ckpt_path=ckpt)
    return seen.seen, run


def test_a_longer_cosine_goes_down_on(tmp_path, root):
    fit(tmp_path / "short", root, 4, partial(CosineAnnealingLR, T_max=4))
    seen, _ = fit(tmp_path / "long", root, 8, partial(CosineAnnealingLR, T_max=8), tmp_path / "short" / "last.ckpt")
    expected, _ = fit(tmp_path / "whole", root, 8, partial(CosineAnnealingLR, T_max=8))
    assert seen == expected[4:]
    # The numbers of an eight-step cosine from 1e-3, by its formula.
    assert seen == pytest.approx([5e-4, 3.087e-4, 1.464e-4, 3.806e-5], rel=1e-3)


def test_one_cycle_goes_on_for_longer(tmp_path, root):
    cycle = partial(OneCycleLR, max_lr=1e-2)
    fit(tmp_path / "short", root, 4, partial(cycle, total_steps=4))
    seen, run = fit(tmp_path / "long", root, 8, partial(cycle, total_steps=8), tmp_path / "short" / "last.ckpt")
    expected, whole = fit(tmp_path / "whole", root, 8, partial(cycle, total_steps=8))
    assert seen == expected[4:]
    # Momentum is part of the schedule.
    assert run.optimizers[0].param_groups[0]["betas"] == whole.optimizers[0].param_groups[0]["betas"]
    with pytest.raises(FusionLabError, match="schedule of the configuration ends before step 4"):
        fit(tmp_path / "less", root, 8, partial(cycle, total_steps=2), tmp_path / "short" / "last.ckpt")


SCHEDULES = {
    "none": None,
    "cosine": partial(CosineAnnealingLR, T_max=7),
    "one cycle": partial(OneCycleLR, max_lr=1e-2, total_steps=7),
    "warm-up, then cosine": partial(
        InTurn,
        schedulers=[partial(LinearLR, start_factor=0.1, total_iters=3), partial(CosineAnnealingLR, T_max=4)],
        milestones=[3],
    ),
    "epochs": partial(Together, schedulers=[partial(StepLR, step_size=1, gamma=0.5)], interval="epoch"),
    "epochs, validated": partial(Together, schedulers=[partial(StepLR, step_size=1, gamma=0.5)], interval="epoch"),
    "epochs in turn": partial(
        InTurn,
        schedulers=[partial(LinearLR, start_factor=0.5, total_iters=1), partial(StepLR, step_size=1, gamma=0.3)],
        milestones=[2],
        interval="epoch",
    ),
    "both": partial(Together, schedulers=[partial(StepLR, step_size=2, gamma=0.5), partial(LinearLR, total_iters=3)]),
    "plateau": partial(ReduceLROnPlateau, monitor="val/loss", factor=0.5, patience=0, threshold=0.5),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_what_is_unchanged_goes_on_bit_for_bit(tmp_path, root, few, name, step):
    options = {"val": few, "limit_val_batches": 1} if name in ("plateau", "epochs, validated") else {}
    expected, _ = fit(tmp_path / "whole", root, 7, SCHEDULES[name], **options)
    seen, _ = fit(tmp_path / "resumed", root, 7, SCHEDULES[name], tmp_path / "whole" / f"step={step}.ckpt", **options)
    assert seen == expected[step:]
    assert len(set(expected)) > (name != "none")
    ends = [torch.load(tmp_path / folder / "last.ckpt", weights_only=True) for folder in ("whole", "resumed")]
    assert ends[0]["lr_schedulers"] == ends[1]["lr_schedulers"]
    groups = [end["optimizer_states"][0]["param_groups"] for end in ends]
    assert groups[0] == groups[1]
    assert all(torch.equal(ends[0]["state_dict"][key], tensor) for key, tensor in ends[1]["state_dict"].items())


def test_schedules_of_epochs_move_on_every_epoch(tmp_path, root):
    seen, _ = fit(tmp_path, root, 3 * EPOCH, SCHEDULES["epochs"])
    assert seen == [LR] * EPOCH + [LR / 2] * EPOCH + [LR / 4] * EPOCH


def test_a_plateau_is_seen_at_every_validation(tmp_path, root, few):
    waits = partial(ReduceLROnPlateau, monitor="val/loss", factor=0.5, patience=0, threshold=0.9, eps=0)
    options = {"val": few, "limit_val_batches": 1, "optimizer": partial(Adam, lr=1e-9)}
    seen, _ = fit(tmp_path / "whole", root, 4 * EPOCH, waits, **options)
    assert seen == [lr for lr in (1e-9, 1e-9, 5e-10, 2.5e-10) for _ in range(EPOCH)]
    # Another first step: the share that it has come down to is kept.
    options["optimizer"] = partial(Adam, lr=2e-9)
    seen, _ = fit(tmp_path / "on", root, 4 * EPOCH, waits, tmp_path / "whole" / "step=5.ckpt", **options)
    assert seen == pytest.approx([1e-9, 5e-10, 5e-10])
    with pytest.raises(FusionLabError, match=r"no `val/lss` that a schedule could watch: choose one of val/ivf/loss"):
        fit(tmp_path / "typo", root, 2, partial(waits, monitor="val/lss"), **options)
    with pytest.raises(FusionLabError, match="does not know what to watch"):
        fit(tmp_path / "torch", root, 2, torch.optim.lr_scheduler.ReduceLROnPlateau)


def test_a_plateau_gives_way_to_a_cosine_and_the_other_way_round(tmp_path, root, few):
    waits = partial(ReduceLROnPlateau, monitor="val/loss", factor=0.5, patience=0, threshold=0.99)
    cosine, options = partial(CosineAnnealingLR, T_max=8), {"val": few, "limit_val_batches": 1}
    fit(tmp_path / "plateau", root, 4, waits, **options)
    seen, _ = fit(tmp_path / "to cosine", root, 6, cosine, tmp_path / "plateau" / "last.ckpt", **options)
    expected, _ = fit(tmp_path / "cosine", root, 6, cosine, **options)
    assert seen == expected[4:]
    seen, _ = fit(tmp_path / "to plateau", root, 8, waits, tmp_path / "cosine" / "step=4.ckpt", **options)
    assert seen[0] == LR
    # What was watched before says nothing of another metric.
    other = partial(waits, monitor="val/ivf/loss")
    seen, _ = fit(tmp_path / "other", root, 6, other, tmp_path / "plateau" / "last.ckpt", **options)
    assert seen[0] == LR


def test_numbers_of_the_optimizer_are_those_of_the_configuration(tmp_path, root):
    fit(tmp_path / "short", root, 2)
    moments = torch.load(tmp_path / "short" / "last.ckpt", weights_only=True)["optimizer_states"][0]["state"]
    optimizer = partial(Adam, lr=0.0, betas=(0.5, 0.9), weight_decay=0.1)
    seen, run = fit(tmp_path / "on", root, 3, ckpt=tmp_path / "short" / "last.ckpt", optimizer=optimizer)
    assert seen == [0.0]
    group = run.optimizers[0].param_groups[0]
    assert (group["betas"], group["weight_decay"]) == ((0.5, 0.9), 0.1)
    after = torch.load(tmp_path / "on" / "last.ckpt", weights_only=True)
    assert after["optimizer_states"][0]["param_groups"][0]["lr"] == 0
    # The moments go on, and the step counts on.
    assert {int(state["step"]) for state in after["optimizer_states"][0]["state"].values()} == {3}
    assert {int(state["step"]) for state in moments.values()} == {2}


@pytest.mark.parametrize("before", [None, partial(CosineAnnealingLR, T_max=4)])
@pytest.mark.parametrize("after", [None, SCHEDULES["warm-up, then cosine"]])
def test_a_schedule_may_be_changed_for_another(tmp_path, root, before, after):
    fit(tmp_path / "short", root, 2, before)
    seen, _ = fit(tmp_path / "on", root, 4, after, tmp_path / "short" / "last.ckpt")
    expected, _ = fit(tmp_path / "whole", root, 4, after)
    assert seen == expected[2:]


def test_what_cannot_be_changed_is_told(tmp_path, root):
    fit(tmp_path / "short", root, 1)
    last = tmp_path / "short" / "last.ckpt"
    with pytest.raises(FusionLabError, match=r"trained with torch\.optim\.adam\.Adam, whose moments .*SGD cannot take"):
        fit(tmp_path / "other", root, 2, ckpt=last, optimizer=partial(SGD, lr=1e-3))
    with pytest.raises(FusionLabError, match=r"`amsgrad` of torch\.optim\.adam\.Adam cannot be switched on"):
        fit(tmp_path / "other", root, 2, ckpt=last, optimizer=partial(Adam, lr=1e-3, amsgrad=True))
    fit(tmp_path / "rms", root, 1, optimizer=RMSprop)
    with pytest.raises(FusionLabError, match=r"`momentum` of .*RMSprop cannot be switched on"):
        fit(tmp_path / "x", root, 2, ckpt=tmp_path / "rms" / "last.ckpt", optimizer=partial(RMSprop, momentum=0.9))
    fit(tmp_path / "sgd", root, 1, optimizer=SGD)
    fit(tmp_path / "y", root, 2, ckpt=tmp_path / "sgd" / "last.ckpt", optimizer=partial(SGD, momentum=0.9))
