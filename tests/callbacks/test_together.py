"""Compiled code, half precision and recomputed activations, each with every callback."""

from functools import partial

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision

from fusion_lab.callbacks import (
    AlternatingFreeze,
    BestCheckpoint,
    CheckpointFiles,
    Checkpoints,
    Compile,
    FusedPictures,
    GradientConflict,
    HistoryLogger,
    KeepHistory,
    MeasureAgain,
    MovingAverage,
    OperationWeights,
    RepeatableNoise,
    StopBetweenBatches,
)
from fusion_lab.modules import TITAModule
from fusion_lab.networks import TITA
from fusion_lab.weighting import FAMO
from tests.tiny import NETWORK, data, gifnet_module, make_pairs, sharp_data, trainer

PHASES = {"multi_modal": ["digital_photography"], "digital_photography": ["multi_modal"]}
STEPS = 4


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), ivf=2, mff=2, mef=2)


@pytest.fixture(scope="module")
def plain(root, few, tmp_path_factory):
    """Each network as it trains in single precision, with what was logged."""
    return {kind: fit(root, few, tmp_path_factory.mktemp(kind), kind) for kind in ("tita", "gifnet")}


def fit(root, few, folder, kind, *more, recompute=False, steps=STEPS, **options):
    """Train a little with all callbacks; gives the module, what was logged and the trainer."""
    torch.manual_seed(0)
    adam = partial(torch.optim.Adam, lr=1e-3)
    if kind == "tita":
        network = TITA(**NETWORK, drop_path=0.2, recompute=recompute)
        module, source = TITAModule(network, weighting=FAMO(), optimizer=adam), data(root, few)
        own = [MeasureAgain(), OperationWeights(folder / "operations")]
    else:
        module, source = gifnet_module(optimizer=adam), sharp_data(root, val=True, val_crop=16)
        own = [AlternatingFreeze(PHASES)]
    callbacks = [
        KeepHistory(),
        RepeatableNoise(),
        *own,
        GradientConflict(folder / "conflict", 2),
        MovingAverage(decay=0.5),
        FusedPictures(folder / "pictures"),
        BestCheckpoint(folder, "val/ivf/loss"),
        Checkpoints(folder, filename="{step}", every_n_train_steps=2, save_top_k=-1, keep=2, save_last=True),
        StopBetweenBatches(folder),
        *more,
    ]
    run = trainer(
        folder,
        max_steps=steps,
        enable_checkpointing=True,
        logger=HistoryLogger(folder / "log"),
        callbacks=callbacks,
        log_every_n_steps=1,
        **{"plugins": [CheckpointFiles()], **options},
    )
    run.fit(module, source)
    assert run.global_step == steps
    return module, run.callback_metrics


@pytest.mark.parametrize("kind", ["tita", "gifnet"])
def test_compiled_code_trains_as_the_code_itself(root, few, tmp_path, kind):
    options = {"precision": "64-true"}
    plain, logged = fit(root, few, tmp_path / "plain", kind, **options)
    compiled, also = fit(root, few, tmp_path / "compiled", kind, Compile("aot_eager"), **options)
    torch.testing.assert_close(compiled.state_dict(), plain.state_dict(), rtol=0, atol=1e-9)
    assert also.keys() == logged.keys()
    torch.testing.assert_close(also["val/loss"], logged["val/loss"], rtol=0, atol=1e-9)
    assert torch._dynamo.utils.counters["frames"]["ok"] > 0
    names = {path.name for path in (tmp_path / "compiled").glob("*.ckpt")}
    assert names == {"step=2.ckpt", "step=4.ckpt", "last.ckpt", "best.ckpt"}


def float16():
    """What ``16-mixed`` is on a GPU: the scaler of gradients works on a CPU too, though Lightning does not offer it."""
    return MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=2.0**10))


@pytest.mark.parametrize("kind", ["tita", "gifnet"])
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_half_precision_stays_near_single_precision(root, few, plain, tmp_path, kind, precision):
    single, logged = plain[kind]
    options = {"plugins": [CheckpointFiles(), float16()]} if precision == "16-mixed" else {"precision": precision}
    half, also = fit(root, few, tmp_path, kind, **options)
    assert all(parameter.dtype == torch.float32 for parameter in half.parameters())
    for name, tensor in single.network.state_dict().items():
        # Adam moves every weight by its step size or so, whatever its gradient.
        assert (half.network.state_dict()[name] - tensor).abs().max() < 3 * STEPS * 1e-3
    for task in ("ivf", "mff"):
        assert also[f"val/{task}/loss"].item() == pytest.approx(logged[f"val/{task}/loss"].item(), rel=0.1)


def test_recomputed_activations_change_nothing(root, few, plain, tmp_path):
    again, _ = fit(root, few, tmp_path, "tita", recompute=True)
    torch.testing.assert_close(again.state_dict(), plain["tita"][0].state_dict(), rtol=0, atol=1e-7)
