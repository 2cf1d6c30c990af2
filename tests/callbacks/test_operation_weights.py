import numpy as np
import pytest
import torch
from lightning import Callback
from lightning.pytorch.loggers.logger import DummyLogger
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from fusion_lab.callbacks import OperationWeights
from fusion_lab.data.pairs import load_pairs
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.operation_weights import operation_weights
from fusion_lab.modules import FusionModule
from fusion_lab.modules.tita import tita_objectives
from fusion_lab.networks import Average
from tests.tiny import TASKS, data, make_pairs, module, trainer


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), ivf=3, mff=2, mef=2)


def tiny(**arguments):
    torch.manual_seed(0)
    made = module(**arguments)
    nn.init.normal_(made.network.adaptation.weight_generator[2].weight)
    return made


def expected(network, root, task):
    pairs = load_pairs(root / task / "a", root / task / "b")
    rows = [torch.stack(list(operation_weights(network, a, b).values()), dim=-1) for _, a, b in pairs]
    return torch.stack(rows)


def test_means_over_the_pairs_are_logged(root, tmp_path):
    validated, folder = tiny(), tmp_path / "weights"
    (told,) = trainer(tmp_path, callbacks=[OperationWeights(folder)]).validate(
        validated, data(root, root), verbose=False
    )
    for task in TASKS:
        mean = expected(validated.network, root, task).mean(0)
        for i, source in enumerate("ab"):
            for j, operation in enumerate(("HPF", "ADD", "MUL")):
                assert told[f"operation_weights/{task}/{source}/{operation}"] == pytest.approx(mean[i, j].item())
    assert len([name for name in told if name.startswith("operation_weights/")]) == 18
    assert [path.name for path in folder.iterdir()] == ["step=000000.png"]


class Spy(DummyLogger):
    def __init__(self):
        super().__init__()
        self.images = []

    def log_image(self, key, images, step=None):
        self.images.append((step, key, images))


class Passes(Callback):
    """Counts the passes of the network, and looks for hooks outside validation."""

    def __init__(self):
        self.count = 0

    def setup(self, trainer, pl_module, stage):
        pl_module.network.register_forward_hook(self.add)

    def add(self, *_):
        self.count += 1

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        assert not pl_module.network.adaptation._forward_hooks


def test_training_is_the_same_and_pairs_are_fused_once(root, tmp_path):
    found = []
    for more in ([], [OperationWeights(tmp_path / "weights")]):
        passes, logger, trained = Passes(), Spy(), tiny(drop_path=0.5)
        runner = trainer(
            tmp_path, max_steps=4, val_check_interval=2, check_val_every_n_epoch=None, callbacks=[passes, *more],
            logger=logger,
        )  # fmt: skip
        runner.fit(trained, data(root, root))
        found.append((passes.count, trained.state_dict()))
    assert found[0][0] == found[1][0] == 4 * 3 + 2 * 7
    assert all(torch.equal(found[0][1][name], value) for name, value in found[1][1].items())
    paths = [tmp_path / "weights" / f"step={step:06d}.png" for step in (2, 4)]
    assert logger.images == [(s, "operation_weights", [str(p)]) for s, p in zip((2, 4), paths, strict=True)]
    assert sorted((tmp_path / "weights").iterdir()) == paths
    with Image.open(paths[0]) as picture:
        assert np.asarray(picture).std() > 10


def test_task_without_pairs_is_left_out(root, tmp_path):
    source = data(root, root)
    source.splits["val"] = {"mff": source.splits["val"]["mff"]}
    callback = OperationWeights(tmp_path / "weights")
    (told,) = trainer(tmp_path, callbacks=[callback]).validate(tiny(), source, verbose=False)
    assert {name.split("/")[1] for name in told if name.startswith("operation_weights/")} == {"mff"}


def test_network_without_oaf_is_told(root, tmp_path):
    validated = FusionModule(Average(), tita_objectives())
    with pytest.raises(FusionLabError, match=r"network \(Average\) has no OAF"):
        trainer(tmp_path, callbacks=[OperationWeights(tmp_path)]).validate(validated, data(root, root), verbose=False)


def test_batch_of_several_tasks_is_told(root, tmp_path):
    validated, source = tiny(), data(root, root)
    batches = [{key: value for batch in source.val_dataloader() for key, value in batch.items()}]
    with pytest.raises(FusionLabError, match="ivf, mff, mef") as error:
        trainer(tmp_path, callbacks=[OperationWeights(tmp_path)]).validate(
            validated, DataLoader(batches, batch_size=None), verbose=False
        )
    assert "\n" not in str(error.value)
    assert not validated.network.adaptation._forward_hooks
