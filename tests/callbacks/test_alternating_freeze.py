"""Phases by Lightning: what is frozen keeps its bits, what is not learns."""

from functools import partial

import pytest
import torch
from lightning import Callback
from torch import nn

from fusion_lab.callbacks import (
    AlternatingFreeze,
    Checkpoints,
    GradientConflict,
    MeasureAgain,
    MovingAverage,
    RepeatableNoise,
)
from fusion_lab.errors import FusionLabError
from fusion_lab.losses import Intensity
from fusion_lab.modules import FusionModule
from fusion_lab.networks import FusionNetwork, GIFNet
from fusion_lab.weighting import FAMO
from tests.tiny import gifnet_module, make_pairs, sharp_data, trainer

MM, DP = "multi_modal", "digital_photography"
STRICT = {MM: [DP], DP: [MM]}
SHARED = {"encoder", "reconstruction", "offset_bias", "merge", "gate", "decoder"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), ivf=4, mff=4)


class Changes(Callback):
    """Remember which parameters each batch changed, and in which phase."""

    def __init__(self, names=lambda name: name.split(".")[0]) -> None:
        self.names = names
        self.steps: list[tuple[str | None, set[str]]] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.before = {name: value.clone() for name, value in pl_module.network.state_dict().items()}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        after = pl_module.network.state_dict()
        changed = {self.names(name) for name, value in self.before.items() if not torch.equal(after[name], value)}
        self.steps.append((pl_module.phase, changed))


def fit(folder, root, freeze, module=None, callbacks=(), ckpt=None, **arguments):
    torch.manual_seed(0)
    changes = Changes()
    trained = module or gifnet_module(optimizer=partial(torch.optim.Adam, lr=1e-2))
    runner = trainer(folder, **{"max_steps": 6, "callbacks": [freeze, changes, *callbacks], **arguments})
    runner.fit(trained, sharp_data(root), ckpt_path=ckpt, weights_only=True if ckpt else None)
    return trained, changes.steps, runner


def branches(steps):
    return [(phase, changed & {MM, DP}) for phase, changed in steps]


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, partial(torch.optim.AdamW, weight_decay=0.1)])
def test_the_helping_branch_keeps_its_bits_and_the_rest_learns(tmp_path, root, optimizer):
    module = gifnet_module(optimizer=partial(optimizer, lr=1e-2))
    _, steps, _ = fit(tmp_path, root, AlternatingFreeze(STRICT), module, gradient_clip_val=0.1)
    assert branches(steps) == [(MM, {MM}), (DP, {DP})] * 3
    assert all(changed >= SHARED for _, changed in steps)


def test_the_helping_branch_may_drift_on_by_its_moments(tmp_path, root):
    _, steps, _ = fit(tmp_path, root, AlternatingFreeze(STRICT, drift=True))
    assert branches(steps) == [(MM, {MM}), *[(DP, {MM, DP}), (MM, {MM, DP})] * 2, (DP, {MM, DP})]


def test_a_phase_may_last_some_steps_and_there_may_be_any_number(tmp_path, root):
    phases = {MM: [DP, "encoder"], DP: [MM, "gate"]}
    _, steps, _ = fit(tmp_path, root, AlternatingFreeze(phases, every=2))
    assert branches(steps) == [(MM, {MM})] * 2 + [(DP, {DP})] * 2 + [(MM, {MM})] * 2
    frozen = [{"encoder", "gate"} - changed for _, changed in steps[::2]]
    assert frozen == [{"encoder"}, {"gate"}, {"encoder"}]


def test_a_phase_may_last_some_epochs(tmp_path, root):
    """Four pairs: an epoch has four steps."""
    _, steps, _ = fit(tmp_path, root, AlternatingFreeze(STRICT, unit="epoch"), max_steps=10)
    assert [phase for phase, _ in branches(steps)] == [MM] * 4 + [DP] * 4 + [MM] * 2


def test_a_phase_keeps_to_accumulated_gradients(tmp_path, root):
    _, steps, _ = fit(tmp_path, root, AlternatingFreeze(STRICT), accumulate_grad_batches=2, max_steps=4)
    assert [phase for phase, _ in steps] == [MM, MM, DP, DP] * 2
    assert [changed & {MM, DP} for _, changed in steps[1::2]] == [{MM}, {DP}] * 2
    assert not any(changed for _, changed in steps[::2])


def test_a_group_may_be_a_piece_of_a_part(tmp_path, root):
    changes = Changes(lambda name: ".".join(name.split(".")[:2]))
    fit(tmp_path, root, AlternatingFreeze({MM: ["multi_modal.embedding", DP]}), callbacks=[changes], max_steps=2)
    for _, changed in changes.steps:
        assert "multi_modal.embedding" not in changed
        assert "multi_modal.blocks" in changed


def test_afterwards_everything_is_free(tmp_path, root):
    module, _, _ = fit(tmp_path, root, AlternatingFreeze(STRICT), max_steps=1)
    assert module.phase is None
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_what_was_frozen_before_stays_so(tmp_path, root):
    network = GIFNet(width=4)
    network.encoder.requires_grad_(False)
    module, steps, _ = fit(tmp_path, root, AlternatingFreeze(STRICT), gifnet_module(network), max_steps=2)
    assert not any("encoder" in changed for _, changed in steps)
    assert not any(parameter.requires_grad for parameter in module.network.encoder.parameters())


def test_frozen_parameters_do_not_count_when_gradients_are_clipped(tmp_path, root):
    norms, clipped = [], []

    class Norms(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            frozen = getattr(pl_module.network, DP if pl_module.phase == MM else MM)
            assert all(parameter.grad is None for parameter in frozen.parameters())
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            norms.append(nn.utils.get_total_norm(gradients).item())

        def on_before_zero_grad(self, trainer, pl_module, optimizer):
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            if gradients:
                clipped.append(nn.utils.get_total_norm(gradients).item())

    fit(tmp_path, root, AlternatingFreeze(STRICT), callbacks=[Norms()], gradient_clip_val=1e-3)
    assert min(norms) > 1e-3
    assert len(clipped) > 2
    assert clipped == pytest.approx([1e-3] * len(clipped), rel=1e-3)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path, root, at):
    def run(folder, ckpt=None):
        callbacks = [
            RepeatableNoise(1),
            MovingAverage(decay=0.8),
            Checkpoints(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1, save_last=True),
        ]
        module = gifnet_module(optimizer=partial(torch.optim.Adam, lr=1e-2))
        fit(folder, root, AlternatingFreeze(STRICT), module, callbacks, ckpt, enable_checkpointing=True)
        return torch.load(folder / "last.ckpt", weights_only=True)

    whole = run(tmp_path / "whole")
    resumed = run(tmp_path / "resumed", tmp_path / "whole" / f"step={at}.ckpt")
    for part in ("state_dict", "current_model_state"):
        assert all(torch.equal(resumed[part][name], tensor) for name, tensor in whole[part].items())
    found, expected = (run["optimizer_states"][0]["state"] for run in (resumed, whole))
    assert found.keys() == expected.keys()
    for number, state in expected.items():
        assert all(torch.equal(found[number][name], tensor) for name, tensor in state.items())


class Normalised(FusionNetwork):
    """Two parts with running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4))
        self.second = nn.Sequential(nn.Conv2d(4, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, source_a, source_b):
        return self.second(self.first(torch.cat([source_a, source_b], dim=1)))


def test_running_statistics_of_frozen_layers_stand_still(tmp_path, root):
    objectives = {task: {"intensity": Intensity("mean")} for task in ("ivf", "mff")}
    module = FusionModule(Normalised(), objectives, optimizer=partial(torch.optim.Adam, lr=1e-2))
    freeze = AlternatingFreeze({"one": ["second"], "two": ["first"]})
    torch.manual_seed(0)
    changes = Changes(lambda name: name if "running" in name else name.split(".")[0])
    source = sharp_data(root, val=True)
    trainer(tmp_path, max_steps=4, callbacks=[freeze, changes], val_check_interval=1).fit(module, source)
    first, second = ({part, f"{part}.1.running_mean", f"{part}.1.running_var"} for part in ("first", "second"))
    assert [changed for _, changed in changes.steps] == [first, second] * 2
    assert all(layer.training for layer in module.modules())


def test_conflict_is_measured_between_tasks_whatever_the_phase(tmp_path, root):
    conflict = GradientConflict(tmp_path / "conflict", 1)
    told = []
    conflict._tell = lambda trainer, tasks, conflicts: told.append((tasks, conflicts))
    fit(tmp_path, root, AlternatingFreeze(STRICT), callbacks=[conflict], max_steps=2)
    assert [tasks for tasks, _ in told] == [["ivf", "mff"]] * 2
    assert all(conflicts["encoder"].cosine[0, 1].isfinite() for _, conflicts in told)
    assert [MM in conflicts for _, conflicts in told] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"phases": {}}, "name the frozen groups"),
        ({"phases": STRICT, "every": 0}, "at least 1"),
    ],
)
def test_wrong_arguments_are_told(arguments, message):
    with pytest.raises(FusionLabError, match=message):
        AlternatingFreeze(**arguments)


@pytest.mark.parametrize("group", ["multimodal", "multi_modal.block", "multi", ""])
def test_an_unknown_group_is_told(tmp_path, root, group):
    with pytest.raises(FusionLabError, match=f"cannot freeze `{group}`: GIFNet has the parts encoder, "):
        fit(tmp_path, root, AlternatingFreeze({MM: [group]}))


@pytest.mark.parametrize("weighting", [FAMO(), FAMO(reuse_next_loss=True)])
def test_a_weighting_with_one_task_to_weigh_is_refused(tmp_path, root, weighting):
    with pytest.raises(FusionLabError, match=r"one task, 'ivf', and FAMO has nothing to weigh it against"):
        fit(tmp_path, root, AlternatingFreeze(STRICT), gifnet_module(weighting=weighting), [MeasureAgain()])


def test_a_weighting_weighs_the_tasks_of_joint_training(tmp_path, root):
    module = gifnet_module(weighting=FAMO())
    trainer(tmp_path, max_steps=2, callbacks=[MeasureAgain()]).fit(module, sharp_data(root))
    assert module.weighting.logits.abs().max() > 0


def test_a_phase_that_no_task_belongs_to_is_told(tmp_path, root):
    with pytest.raises(FusionLabError, match=r"No task of the batch \(ivf, mff\) belongs to the phase `first`"):
        fit(tmp_path, root, AlternatingFreeze({"first": [MM]}))


def test_two_of_them_are_refused(tmp_path, root):
    """As where a configuration of freezing is laid over an experiment that has one."""
    with pytest.raises(FusionLabError, match="several AlternatingFreeze, which would undo each other"):
        fit(tmp_path, root, AlternatingFreeze(STRICT), callbacks=[AlternatingFreeze({MM: [], DP: []}, drift=True)])
