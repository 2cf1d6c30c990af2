"""Several small batches make the step of a large one."""

from functools import partial

import pytest
import torch
from lightning import Callback
from torchjd.aggregation import PCGrad, UPGrad
from torchjd.scalarization import STCH, GeometricMean

from fusion_lab.callbacks import MeasureAgain
from fusion_lab.losses import InformationError, Intensity, SquaredError, Structure, Texture
from fusion_lab.losses.information import FixedInformation
from fusion_lab.weighting import FAMO, Aggregation, Equal, Scalarization
from tests.tiny import data, gifnet_module, make_pairs, module, sharp_data, trainer

STEPS = 3
WEIGHTINGS = {
    "equal": Equal,
    "FAMO": FAMO,
    "geometric mean": lambda: Scalarization(GeometricMean()),
    "STCH": lambda: Scalarization(STCH(mu=1.0)),
    "PCGrad": lambda: Aggregation(PCGrad()),
    "UPGrad": lambda: Aggregation(UPGrad()),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), ivf=4, mff=4, mef=4)


def objectives():
    """Losses that are means over the samples; the shares of Structure("gradient") belong to a batch as a whole."""
    return {
        "ivf": {"texture": Texture(20), "intensity": Intensity("maximum", 20), "structure": Structure("equal", 10)},
        "mff": {"texture": Texture(20), "intensity": Intensity("mean", 20)},
        "mef": {"intensity": Intensity("mean", 20), "structure": Structure("equal", 10)},
    }


class SameNoise(Callback):
    """PCGrad draws an order at every step."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        torch.manual_seed(trainer.global_step)


def fit(folder, trained, source, parts, precision="64-true", **options):
    callbacks = [MeasureAgain(), SameNoise()]
    run = trainer(
        folder, max_steps=STEPS, precision=precision, accumulate_grad_batches=parts, callbacks=callbacks, **options
    )
    run.fit(trained, source)
    assert run.global_step == STEPS
    return trained.state_dict()


def tita(root, folder, weighting, parts, **options):
    torch.manual_seed(0)
    trained = module(weighting, objectives=objectives(), optimizer=partial(torch.optim.Adam, lr=1e-3))
    return fit(folder, trained, data(root, batch_size=2 // parts), parts, **options)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_two_batches_are_one_twice_as_large(root, tmp_path, name):
    large = tita(root, tmp_path / "large", WEIGHTINGS[name](), 1)
    small = tita(root, tmp_path / "small", WEIGHTINGS[name](), 2)
    torch.testing.assert_close(small, large, rtol=0, atol=1e-9)
    if name == "FAMO":
        assert large["weighting.logits"].abs().min() > 1e-3


def test_in_single_precision_up_to_rounding(root, tmp_path):
    options = {"precision": "32-true", "gradient_clip_val": 0.1}
    large = tita(root, tmp_path / "large", FAMO(), 1, **options)
    small = tita(root, tmp_path / "small", FAMO(), 2, **options)
    # Adam turns the rounding of gradients near zero into steps.
    torch.testing.assert_close(small["weighting.logits"], large["weighting.logits"], rtol=0, atol=1e-5)
    apart = torch.cat([(small[name] - tensor).flatten().abs() for name, tensor in large.items()])
    assert apart.median() < 1e-6


@pytest.mark.parametrize("weighting", [Equal, FAMO])
def test_gifnet(root, tmp_path, weighting):
    """Its tasks share the features of each other's pairs."""

    def run(parts):
        torch.manual_seed(0)
        losses = {"ivf": {"error": InformationError(FixedInformation())}, "mff": {"error": SquaredError()}}
        trained = gifnet_module(objectives=losses, public={"error": SquaredError()}, weighting=weighting())
        return fit(tmp_path / f"{parts}", trained, sharp_data(root, batch_size=2 // parts), parts)

    torch.testing.assert_close(run(2), run(1), rtol=0, atol=1e-9)


def test_last_window_of_an_epoch_may_be_smaller(root, tmp_path):
    """Three batches to a step and four to an epoch: the gradient of the last step is a third, as that of a sum."""
    torch.manual_seed(0)
    seen = []

    class Gradients(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            seen.append([p.grad.clone() for p in pl_module.network.parameters() if p.grad is not None])

    sgd = partial(torch.optim.SGD, lr=0.0)

    def gradients(weighting, parts, epoch_batches):
        seen.clear()
        trained = module(weighting, objectives=objectives(), optimizer=sgd)
        run = trainer(
            tmp_path, max_epochs=1, precision="64-true", accumulate_grad_batches=parts,
            limit_train_batches=epoch_batches, callbacks=[MeasureAgain(), Gradients()],
        )  # fmt: skip
        torch.manual_seed(0)
        trained.network.load_state_dict(start)
        run.fit(trained, data(root, batch_size=1))
        return list(seen)

    start = module().network.double().state_dict()
    whole, rest = gradients(FAMO(), 3, 4)
    *_, alone = gradients(FAMO(), 1, 4)
    for one, other in zip(rest, alone, strict=True):
        torch.testing.assert_close(3 * one, other, rtol=1e-9, atol=1e-9)
    assert any(not torch.equal(one, other) for one, other in zip(whole, rest, strict=True))
