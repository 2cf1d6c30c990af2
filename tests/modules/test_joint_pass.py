"""All tasks in one pass make the step that they make one after the other."""

from functools import partial

import pytest
import torch
from torchjd.aggregation import UPGrad

from fusion_lab.callbacks import MeasureAgain
from fusion_lab.modules import TITAModule
from fusion_lab.networks import TITA
from fusion_lab.weighting import FAMO, Aggregation, Equal
from tests.tiny import NETWORK, data, make_pairs, trainer


@pytest.mark.parametrize("weighting", [Equal, FAMO, lambda: Aggregation(UPGrad())], ids=["equal", "famo", "upgrad"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_step_is_the_same(tmp_path, weighting, accumulate):
    root = make_pairs(tmp_path / "pairs", ivf=4, mff=4, mef=4)
    ends, passes = [], []
    for joint_pass in (False, True):
        torch.manual_seed(0)
        trained = TITAModule(
            TITA(**NETWORK, drop_path=0.0),
            weighting=weighting(),
            optimizer=partial(torch.optim.Adam, lr=1e-3),
            joint_pass=joint_pass,
        )
        calls = []
        trained.network.register_forward_hook(lambda *args, calls=calls: calls.append(len(args[1][0])))
        run = trainer(
            tmp_path, max_steps=2, precision="64-true", accumulate_grad_batches=accumulate, callbacks=[MeasureAgain()]
        )
        run.fit(trained, data(root))
        ends.append(trained.state_dict())
        passes.append(set(calls))
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=1e-9)
    assert passes == [{1}, {3}]
