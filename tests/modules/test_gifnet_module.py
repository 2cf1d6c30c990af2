"""GIFNet's losses of a batch, task by task."""

import pytest
import torch
from torch.nn import functional as F

from fusion_lab.errors import FusionLabError
from fusion_lab.losses import InformationError
from fusion_lab.losses.information import FixedInformation, GradientInformation
from fusion_lab.losses.multi_scale_structure import multi_scale_ssim
from fusion_lab.modules import GIFNetModule
from fusion_lab.networks import GIFNet
from tests.tiny import gifnet_module, make_pairs, sharp_data, trainer

MM, DP = "multi_modal", "digital_photography"


def sample(seed, target=None, size=16, batch=2):
    a, b = torch.rand(2, batch, 1, size, size, generator=torch.Generator().manual_seed(seed))
    given = {"source_a": a, "source_b": b, "name": ["x"] * batch, "file_a": ["a"] * batch, "file_b": ["b"] * batch}
    return given if target is None else {**given, "target": target}


@pytest.fixture
def batch():
    ivf = sample(0)
    return {"ivf": ivf, "mff": sample(1, ivf["source_a"])}


@pytest.fixture
def module():
    torch.manual_seed(0)
    return gifnet_module()


def gradients(module):
    return {name: None if p.grad is None else p.grad.clone() for name, p in module.network.named_parameters()}


@pytest.mark.parametrize(("task", "phase"), [("ivf", MM), ("mff", DP)])
def test_losses_are_those_of_the_formulas(module, batch, task, phase):
    module.phase = phase
    network, main, sharp = module.network, batch[task], batch["ivf"]["source_a"]
    features = {t: network.encoder(s["source_a"], s["source_b"]) for t, s in batch.items()}
    fused = network.fuse(features[task], features["mff" if task == "ivf" else "ivf"], phase)
    restored = network.reconstruct(features[task])
    if task == "ivf":
        weight_a, weight_b = GradientInformation(10)(main["source_a"], main["source_b"])
        private = weight_a * F.mse_loss(fused, main["source_a"]) + weight_b * F.mse_loss(fused, main["source_b"])
    else:
        private = F.mse_loss(fused, sharp)
    [(found, terms)] = module.task_terms(batch).items()
    assert found == task
    first, *public = terms.values()
    torch.testing.assert_close(first, private)
    torch.testing.assert_close(public, [1 - multi_scale_ssim(restored, sharp), F.mse_loss(restored, sharp)])


def test_without_phases_all_tasks_train_everything(module, batch):
    losses = module.task_losses(batch)
    assert list(losses) == ["ivf", "mff"]
    sum(losses.values()).backward()
    assert all(gradient is not None for gradient in gradients(module).values())


def test_without_phases_the_helping_branch_learns_from_the_main_loss(module, batch):
    module.task_losses(batch, ["ivf"])["ivf"].backward()
    assert gradients(module)["digital_photography.blocks.0.value.weight"].abs().max() > 0


def test_in_a_phase_nothing_passes_through_the_helping_pair(module, batch):
    """Another helping pair gives other losses, but no gradient of its own."""
    module.phase = MM
    for name in ("source_a", "source_b"):
        batch["mff"][name].requires_grad_()
    batch["ivf"]["source_b"].requires_grad_()
    before = module.task_losses(batch)["ivf"]
    before.backward()
    assert batch["mff"]["source_a"].grad is None
    assert batch["ivf"]["source_b"].grad.abs().max() > 0
    other = {**batch, "mff": sample(5, batch["mff"]["target"])}
    assert module.task_losses(other)["ivf"].item() != before.item()


def test_a_task_without_the_other_branch_helps_itself(module, batch):
    """As the network does when it fuses."""
    module.network.main = MM
    terms = module.task_terms({"ivf": batch["ivf"]})["ivf"]
    fused = module(batch["ivf"]["source_a"], batch["ivf"]["source_b"])
    expected = module.objectives["ivf"](fused, batch["ivf"])["information"]
    torch.testing.assert_close(terms["private_information"], expected)


def test_without_a_public_loss_rec_is_left_out(batch):
    module = gifnet_module(public={})
    assert set(module.task_terms(batch)["ivf"]) == {"private_information"}
    module.task_losses(batch)["ivf"].backward()
    assert all(parameter.grad is None for parameter in module.network.reconstruction.parameters())


def test_defaults_are_those_of_the_release():
    module = GIFNetModule()
    assert module.network.description["init_args"] == GIFNet().description["init_args"]
    assert set(module.objectives) == {"ivf", "mff", "mef"}
    assert list(module.public.terms) == ["structure", "error"]
    assert module.configure_optimizers().param_groups[0]["lr"] == 1e-3


def test_pairs_that_cannot_help_each_other_are_told(module, batch):
    batch["mff"] = sample(1, torch.rand(1, 1, 16, 16), batch=1)
    with pytest.raises(FusionLabError, match="'ivf' and 'mff' help each other, but their batches differ in size"):
        module.task_losses(batch)


def test_a_task_of_no_branch_is_told(module, batch):
    with pytest.raises(FusionLabError, match="no branch for the task 'other'"):
        module.task_losses({"other": batch["ivf"]})


def test_a_pair_without_its_ideal_image_is_told(module, batch):
    del batch["mff"]["target"]
    with pytest.raises(FusionLabError, match="`error` compares with the ideal image, but a has none"):
        module.task_losses(batch)


def test_validation_leaves_out_the_loss_of_pairs_without_an_ideal_image(tmp_path):
    root = make_pairs(tmp_path / "pairs", ivf=2, mff=1)
    module = gifnet_module()
    source = sharp_data(root)
    plain = sharp_data(root, val=True)
    plain.splits["val"]["mff"][0].target = None
    runner = trainer(tmp_path, max_steps=1)
    assert "val/mff/loss" not in runner.validate(module, plain, verbose=False)[0]
    assert "val/ivf/loss" in runner.callback_metrics
    assert "val/mff/loss" in runner.validate(module, sharp_data(root, val=True), verbose=False)[0]
    source.splits["train"]["mff"][0].target = None
    with pytest.raises(FusionLabError, match=r"mff0\.png has none: set `target`"):
        runner.fit(module, source)


def test_without_influence_the_helping_pair_is_not_encoded(batch):
    module = gifnet_module(GIFNet(width=4, influence=0))
    module.phase = MM
    seen = []
    module.network.encoder.register_forward_hook(lambda *_: seen.append(1))
    module.task_losses(batch)
    assert len(seen) == 1


def test_losses_are_prepared_before_training(tmp_path):
    root = make_pairs(tmp_path / "pairs", ivf=1, mff=1)

    class Prepared(FixedInformation):
        done = False

        def prepare(self):
            self.done = True

    information = Prepared()
    objectives = {"ivf": {"one": InformationError(information)}, "mff": {"one": InformationError(FixedInformation())}}
    trainer(tmp_path, max_steps=1).fit(gifnet_module(objectives=objectives), sharp_data(root))
    assert information.done
