import torch
from lightning import Callback

from fusion_lab.callbacks import MatmulPrecision
from tests.tiny import data, make_pairs, module, trainer


def test_it_holds_while_a_run_lasts(tmp_path):
    seen = []

    class Look(Callback):
        def on_train_batch_start(self, *args):
            seen.append(torch.get_float32_matmul_precision())

    root = make_pairs(tmp_path / "pairs", ivf=1, mff=1, mef=1)
    trainer(tmp_path, max_steps=1, callbacks=[MatmulPrecision("medium"), Look()]).fit(module(), data(root))
    assert seen == ["medium"]
    assert torch.get_float32_matmul_precision() == "highest"


def test_it_is_set_back_after_an_error():
    before = torch.get_float32_matmul_precision()
    callback = MatmulPrecision("medium")
    callback.setup(None, None, "fit")
    assert torch.get_float32_matmul_precision() == "medium"
    callback.on_exception(None, None, KeyboardInterrupt())
    assert torch.get_float32_matmul_precision() == before
