"""Batches with infinite or undefined losses: told with task, step and files, kept, and left out if wished."""

from functools import partial

import pytest
import torch
from lightning import Callback

from fusion_lab.callbacks import MeasureAgain
from fusion_lab.errors import FusionLabError
from fusion_lab.losses import Intensity
from fusion_lab.weighting import FAMO
from tests.tiny import TASKS, data, make_pairs, module, trainer


class Poisoned(Intensity):
    """A loss that is not finite for some of its calls."""

    def __init__(self, calls, value=float("nan")) -> None:
        super().__init__("mean")
        self.calls, self.value, self.count = calls, value, 0

    def forward(self, fused, sample):
        loss = super().forward(fused, sample)
        bad, self.count = self.count in self.calls, self.count + 1
        return loss * self.value if bad else loss


@pytest.fixture
def root(tmp_path):
    return make_pairs(tmp_path / "pairs", **dict.fromkeys(TASKS, 4))


def trained(poisoned, **arguments):
    objectives = {task: {"intensity": Intensity("mean")} for task in TASKS}
    objectives["mff"] = {"intensity": poisoned}
    return module(objectives=objectives, optimizer=partial(torch.optim.Adam, lr=1e-3), **arguments)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_run_ends_with_task_step_and_files(tmp_path, root, value):
    own = trained(Poisoned({1}, value))
    with pytest.raises(FusionLabError, match=rf"At step 1 the loss of 'mff' is {value} for .*mff\d\.png; the batch is"):
        trainer(tmp_path, max_steps=3).fit(own, data(root))
    kept = torch.load(tmp_path / "bad_batches" / "step=000001-rank=0.pt", weights_only=True)
    assert set(kept) == set(TASKS)
    assert kept["mff"]["source_a"].shape == (1, 1, 16, 16)
    assert all(parameter.isfinite().all() for parameter in own.network.parameters())


class Steps(Callback):
    def __init__(self) -> None:
        self.moved: list[bool] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.before = [parameter.clone() for parameter in pl_module.network.parameters()]

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        now = pl_module.network.parameters()
        self.moved.append(any(not torch.equal(a, b) for a, b in zip(self.before, now, strict=True)))


@pytest.mark.filterwarnings("ignore:.*training_step. returned .None")
@pytest.mark.parametrize("weighting", [None, FAMO(reuse_next_loss=True)])
def test_a_bad_batch_may_be_left_out(tmp_path, root, weighting):
    steps = Steps()
    own = trained(Poisoned({1}), weighting=weighting, skip_bad_losses=True)
    with pytest.warns(UserWarning, match="'mff' is nan .* and is left out"):
        trainer(tmp_path, max_epochs=1, callbacks=[MeasureAgain(), steps]).fit(own, data(root))
    assert steps.moved == [True, False, True, True]
    assert all(tensor.isfinite().all() for tensor in own.state_dict().values())
