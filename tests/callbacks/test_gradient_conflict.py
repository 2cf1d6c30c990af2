"""Measuring conflicts tells the truth and leaves no trace in training."""

import math
from functools import partial

import pytest
import torch
from lightning.pytorch.loggers.logger import DummyLogger
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from fusion_lab.callbacks import GradientConflict, MeasureAgain, MovingAverage, RepeatableNoise
from fusion_lab.callbacks.gradient_conflict import measure_conflict
from fusion_lab.errors import FusionLabError
from fusion_lab.modules import FusionModule
from fusion_lab.modules.tita import tita_objectives
from fusion_lab.networks import TITA
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.weighting import FAMO
from tests.tiny import NETWORK, data, make_pairs, module, trainer

PARTS = ("all", *TITA(**NETWORK).parts())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), ivf=4, mff=2, mef=3)


class Recorder(DummyLogger):
    """A logger that takes numbers and images."""

    def __init__(self):
        super().__init__()
        self.numbers, self.images = [], []

    def log_metrics(self, metrics, step=None):
        self.numbers += [(step, metrics)] if any(name.startswith("conflict/") for name in metrics) else []

    def log_image(self, key, images, step=None):
        self.images.append((step, key, images))


def fit(root, folder, *callbacks, trained=None, weighting=None, steps=4, **arguments):
    torch.manual_seed(0)
    adam = partial(torch.optim.Adam, lr=1e-3)
    trained = trained or module(weighting, drop_path=0.5, optimizer=adam)
    runner = trainer(folder, max_steps=steps, callbacks=list(callbacks), **arguments)
    runner.fit(trained, data(root))
    return trained, runner


def assert_equal_states(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], value) for name, value in second.items())


# Lightning keeps the order that callbacks are given in.
@pytest.mark.parametrize(("place", "accumulated"), [(0, 2), (1, 1), (3, 2)])
def test_training_is_the_same_bit_for_bit(root, tmp_path, place, accumulated):
    def run(*conflict):
        callbacks = [RepeatableNoise(), MeasureAgain(), MovingAverage(decay=0.9)]
        callbacks[place:place] = conflict
        return fit(root, tmp_path, *callbacks, weighting=FAMO(), accumulate_grad_batches=accumulated)[0].state_dict()

    assert_equal_states(run(), run(GradientConflict(tmp_path / "conflict", 2)))
    assert len(list((tmp_path / "conflict").iterdir())) == 2


def test_training_is_the_same_where_nothing_seeds_each_batch(root, tmp_path):
    conflict = GradientConflict(tmp_path / "conflict", 3)
    plain, measured = (fit(root, tmp_path, *more)[0] for more in ((), (conflict,)))
    assert_equal_states(plain.state_dict(), measured.state_dict())


def test_numbers_and_pictures_are_told(root, tmp_path):
    logger = Recorder()
    fit(root, tmp_path, GradientConflict(tmp_path / "c", 2), logger=logger, accumulate_grad_batches=2)
    assert [step for step, _ in logger.numbers] == [0, 2]
    paths = [tmp_path / "c" / f"step={step:06d}.png" for step in (0, 2)]
    assert logger.images == [(step, "conflict", [str(path)]) for step, path in zip((0, 2), paths, strict=True)]
    assert sorted((tmp_path / "c").iterdir()) == paths
    with Image.open(paths[0]) as picture:
        assert picture.width > picture.height > 200
        assert len(picture.convert("RGB").getcolors(10**6)) > 50
    _, numbers = logger.numbers[0]
    pairs = ("ivf_mff", "ivf_mef", "mff_mef")
    assert set(numbers) == {
        f"conflict/{p}/{n}/{pair}" for p in PARTS for n in ("cosine", "magnitude") for pair in pairs
    }
    for part in PARTS:
        assert all(-1 <= numbers[f"conflict/{part}/cosine/{pair}"] <= 1 for pair in pairs)
        ivf_mff, ivf_mef, mff_mef = (numbers[f"conflict/{part}/magnitude/{pair}"] for pair in pairs)
        assert ivf_mff * mff_mef == pytest.approx(ivf_mef)


def test_gradient_is_that_of_the_training_batch(root, tmp_path):
    """With RepeatableNoise before, the masks of stochastic depth too: as plain backward passes give it."""
    logger, batches = Recorder(), []

    class Keep(RepeatableNoise):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            batches.append((batch, {k: v.clone() for k, v in pl_module.state_dict().items()}))
            super().on_train_batch_start(trainer, pl_module, batch, batch_idx)

    trained, _ = fit(root, tmp_path, Keep(), GradientConflict(tmp_path / "c", 2), logger=logger, steps=3)
    batch, state = batches[2]
    trained.load_state_dict(state)
    trained.train()
    # What RepeatableNoise seeds the third batch of rank 0 with.
    torch.manual_seed(2 * 0xBF58476D1CE4E5B9 % 2**63)
    flat = []
    for loss in trained.task_losses(batch).values():
        trained.zero_grad()
        loss.backward(retain_graph=True)
        flat.append(torch.cat([p.grad.flatten() for p in trained.network.parameters()]))
    cosine = torch.cosine_similarity(flat[0], flat[1], dim=0).item()
    step, numbers = logger.numbers[1]
    assert step == 2
    assert numbers["conflict/all/cosine/ivf_mff"] == pytest.approx(cosine, abs=1e-5)
    assert numbers["conflict/all/magnitude/ivf_mff"] == pytest.approx(
        (flat[0].norm() / flat[1].norm()).item(), rel=1e-4
    )


def test_conflict_by_hand():
    gradients = {
        "one": [torch.tensor([3.0]), torch.tensor([[0.0], [4.0]])],
        "two": [torch.tensor([-6.0]), torch.tensor([[0.0], [0.0]])],
    }
    found = measure_conflict(gradients, {"all": [0, 1], "first": [0], "second": [1]})
    torch.testing.assert_close(found["all"].cosine, torch.tensor([[1, -0.6], [-0.6, 1]], dtype=torch.float64))
    torch.testing.assert_close(found["all"].magnitude, torch.tensor([[1, 5 / 6], [6 / 5, 1]], dtype=torch.float64))
    assert found["first"].cosine[0, 1] == -1
    assert found["first"].magnitude[0, 1] == 0.5
    # A gradient of zero has no direction.
    assert found["second"].cosine[0, 0] == found["second"].magnitude[0, 0] == 1
    for matrix in (found["second"].cosine, found["second"].magnitude):
        assert all(math.isnan(matrix[place]) for place in ((0, 1), (1, 0), (1, 1)))


def test_infinite_gradient_has_no_direction():
    found = measure_conflict({"one": [torch.tensor([torch.inf])], "two": [torch.ones(1)]}, {"all": [0]})["all"]
    assert found.cosine.isnan().tolist() == found.magnitude.isnan().tolist() == [[True, True], [True, False]]


class Normalised(FusionNetwork):
    """Has buffers that every pass in train mode changes, one of them by replacing it, and a part that is frozen."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(2, 2, 1)
        self.norm = nn.BatchNorm2d(2)
        self.frozen = nn.Conv2d(2, 1, 1).requires_grad_(False)
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, source_a, source_b):
        self.passes = self.passes + 1
        return self.frozen(self.norm(self.mix(torch.cat([source_a, source_b], dim=1))))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
def test_buffers_are_put_back(root, tmp_path, precision):
    logger = Recorder()

    def run(*callbacks):
        torch.manual_seed(0)
        trained = FusionModule(Normalised(), tita_objectives())
        return fit(root, tmp_path, *callbacks, trained=trained, precision=precision, logger=logger)[0].state_dict()

    plain = run()
    assert plain["network.passes"] == 3 * 4
    assert_equal_states(plain, run(GradientConflict(tmp_path / "c", 1)))
    parts = {name.split("/")[1] for _, numbers in logger.numbers for name in numbers}
    assert parts == {"all", "mix", "norm"}


def test_scaled_gradients_do_not_vanish(root, tmp_path):
    """In float16 a scale is applied and taken back; whatever it is, the numbers are the same."""
    told = []
    for scale in (1.0, 2.0**10):
        logger = Recorder()
        scaler = type("Scaler", (), {"get_scale": lambda self, scale=scale: scale})()

        class Scaled(GradientConflict):
            def on_train_batch_start(self, trainer, pl_module, batch, batch_idx, scaler=scaler):
                trainer.precision_plugin.scaler = scaler
                super().on_train_batch_start(trainer, pl_module, batch, batch_idx)

        fit(root, tmp_path, Scaled(tmp_path / "c", 1), logger=logger, steps=1)
        told.append(logger.numbers[0][1])
    # Powers of two are exact.
    assert told[0] == told[1]


def test_batch_that_lacks_a_task(root, tmp_path):
    logger, trained = Recorder(), module()
    runner = trainer(tmp_path, max_steps=1, callbacks=[GradientConflict(tmp_path / "c", 1)], logger=logger)
    batches = [{task: batch[task] for task in ("mef", "ivf")} for batch in data(root).train_dataloader()]
    runner.fit(trained, DataLoader(batches, batch_size=None))
    assert {name.rpartition("/")[2] for name in logger.numbers[0][1]} == {"mef_ivf"}


def test_wrong_interval_is_told(tmp_path):
    with pytest.raises(FusionLabError, match="every_n_steps = 0"):
        GradientConflict(tmp_path, 0)
