"""Pictures of validation: there, of the right pairs, and handed to loggers."""

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from fusion_lab.callbacks import FusedPictures, fused_pictures
from fusion_lab.errors import FusionLabError
from tests.tiny import data, make_pairs, module, trainer


@pytest.fixture
def root(tmp_path):
    return make_pairs(tmp_path / "pairs", ivf=3, mff=1, mef=2)


class Images(CSVLogger):
    """A logger that takes images as WandbLogger does."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.seen: list = []

    def log_image(self, key, images, step=None):
        self.seen.append((key, step))


@pytest.fixture
def drawn(monkeypatch):
    """The rows of every picture."""
    rows, grid = [], fused_pictures.picture_grid
    monkeypatch.setattr(fused_pictures, "picture_grid", lambda own: rows.append(own) or grid(own))
    return rows


def test_first_pairs_of_each_task_are_shown_at_each_validation(tmp_path, root, drawn):
    callback, logger = FusedPictures(tmp_path / "pictures"), Images(tmp_path)
    source, trained = data(root, root), module()
    runner = trainer(tmp_path, max_steps=5, val_check_interval=2, callbacks=[callback], logger=logger)
    runner.fit(trained, source)
    tasks = ("ivf", "mff", "mef")
    steps = sorted({step for _, step in logger.seen})
    assert logger.seen == [(f"val/{task}/fused", step) for step in steps for task in tasks]
    assert len(steps) > 1
    for task in tasks:
        assert len(list((tmp_path / "pictures" / "val" / task).glob("step=*.png"))) == len(steps)
    assert [len(rows) for rows in drawn[:3]] == [2, 1, 2]
    first = drawn[0][0]
    assert list(first) == ["ivf0", "source B", "fused"]
    levels = np.array(Image.open(root / "ivf" / "a" / "ivf0.png"))
    assert np.array_equal(first["ivf0"], levels)
    assert first["fused"].shape == levels.shape


def test_what_is_shown_is_what_the_network_fuses(tmp_path, root, drawn):
    trained, source = module().eval(), data(root, test={"mff": data(root).splits["train"]["mff"]})
    trainer(tmp_path, callbacks=[FusedPictures(tmp_path / "pictures")]).test(trained, source, verbose=False)
    sample = source.splits["train"]["mff"][0][0]
    expected = trained.predict_step({"mff": {k: v[None] for k, v in sample.items() if hasattr(v, "shape")}}, 0)["mff"]
    [[row]] = drawn
    assert np.array_equal(row["fused"], (expected[0, 0] * 255).round().byte().numpy())


def test_not_every_validation_need_be_shown_also_after_a_resume(tmp_path, root, drawn):
    callback = FusedPictures(tmp_path / "pictures", pairs=1, every_n_validations=2)
    runner = trainer(tmp_path, max_steps=3, val_check_interval=1, callbacks=[callback])
    runner.fit(module(), data(root, root))
    assert len(drawn) == 3 * 2
    assert all(len(rows) == 1 for rows in drawn)
    again = FusedPictures(tmp_path / "pictures", every_n_validations=2)
    again.load_state_dict(callback.state_dict())
    assert again._validations == 3


@pytest.mark.parametrize("arguments", [{"pairs": 0}, {"every_n_validations": 0}])
def test_wrong_numbers_are_told(arguments):
    with pytest.raises(FusionLabError, match="should be at least 1"):
        FusedPictures("pictures", **arguments)
