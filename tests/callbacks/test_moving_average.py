import torch
from lightning.pytorch.callbacks import EMAWeightAveraging

from fusion_lab.callbacks import MovingAverage
from tests.tiny import data, make_pairs, module, trainer


def averaged(root, folder, callback):
    torch.manual_seed(0)
    trained = module(optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e-3))
    trainer(folder, max_steps=3, callbacks=[callback]).fit(trained, data(root))
    return trained.state_dict()


def test_it_is_the_average_of_lightning(tmp_path):
    root = make_pairs(tmp_path / "pairs", ivf=4, mff=4, mef=4)
    ours = averaged(root, tmp_path, MovingAverage(0.7))
    theirs = averaged(root, tmp_path, EMAWeightAveraging(decay=0.7, use_buffers=False))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    last = averaged(root, tmp_path, MovingAverage(0.0))
    assert any(not torch.equal(ours[name], last[name]) for name in ours)
