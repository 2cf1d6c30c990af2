"""What FAMO learns from, where a step may be left out."""

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision

from fusion_lab.callbacks import MeasureAgain
from fusion_lab.weighting import FAMO
from tests.tiny import data, make_pairs, module, trainer


@pytest.mark.parametrize(("scale", "learns"), [(2.0**10, True), (2.0**120, False)])
def test_a_step_that_the_scaler_leaves_out_teaches_nothing(tmp_path, scale, learns):
    root = make_pairs(tmp_path / "pairs", ivf=1, mff=1, mef=1)
    # With such a scale every gradient is infinite.
    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=scale))
    torch.manual_seed(0)
    trained = module(FAMO(), drop_path=0.5, optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3))
    run = trainer(tmp_path, max_steps=1, plugins=[plugin], callbacks=[MeasureAgain()])
    run.fit(trained, data(root))
    assert run.global_step == 1
    assert bool(trained.weighting.logits.abs().max() > 0) is learns
