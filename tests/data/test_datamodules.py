import numpy as np
import pytest
import torch
from PIL import Image

from fusion_lab.callbacks import Checkpoints
from fusion_lab.data import Augmentation, MultiTaskDataModule, PairDataset
from fusion_lab.data.datamodules import collate
from fusion_lab.data.mixing import EqualShares, Proportional, Shares, Temperature
from fusion_lab.errors import FusionLabError
from tests import tiny

COUNTS = {"ivf": 5, "mff": 3}
MIXINGS = [EqualShares(), Proportional(), Temperature(2), Shares({"ivf": 2, "mff": 1})]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    generator = np.random.default_rng(0)
    for task, count in COUNTS.items():
        for number in range(count):
            for role in ("a", "b", "target")[: 3 if task == "mff" else 2]:
                path = root / task / role / f"{task}{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(generator.integers(0, 256, (20 + number, 24), np.uint8)).save(path)
    return root


def datasets(root):
    return {
        "ivf": [PairDataset(root / "ivf", limit=2), PairDataset(root / "ivf")],
        "mff": [PairDataset(root / "mff", target="target")],
    }


def module(root, **arguments):
    defaults = {"train": datasets(root), "val": datasets(root), "batch_size": 2, "augmentation": Augmentation(16)}
    return MultiTaskDataModule(**{**defaults, **arguments})


def tensors(sample):
    return {key: value for key, value in sample.items() if isinstance(value, torch.Tensor)}


def test_training_batches_have_every_task_in_patches(root):
    data = module(root)
    data.prepare_data()
    data.setup("fit")
    assert data.tasks == ["ivf", "mff"]
    batches = list(data.train_dataloader())
    # Two data sets of a task count as one of 7 pairs.
    assert len(batches) == len(data.train_dataloader()) == 3
    for batch in batches:
        assert list(batch) == ["ivf", "mff"]
        assert set(tensors(batch["ivf"])) == {"source_a", "source_b"}
        assert set(tensors(batch["mff"])) == {"source_a", "source_b", "target"}
        for task, sample in batch.items():
            assert len(sample["name"]) == 2
            assert all(name.split("/")[-1].startswith(task) for name in sample["name"])
            for tensor in tensors(sample).values():
                assert tensor.shape == (2, 1, 16, 16)
                assert tensor.dtype == torch.float32
                assert 0 <= tensor.min() < tensor.max() <= 1


def test_two_data_sets_of_a_task_are_shown_one_after_the_other(root):
    batches = list(module(root).val_dataloader())
    names = [name for batch in batches for sample in batch.values() for name in sample["name"]]
    # Their numbers keep equal names apart.
    assert [name for name in names if "ivf" in name] == ["0/ivf0", "0/ivf1", *(f"1/ivf{i}" for i in range(5))]
    assert [name for name in names if "mff" in name] == ["mff0", "mff1", "mff2"]


@pytest.mark.parametrize("split", ["val", "test", "predict"])
def test_other_pairs_are_whole_and_alone(root, split):
    data = MultiTaskDataModule(**{split: datasets(root)})
    data.setup({"val": "validate"}.get(split, split))
    batches = list(getattr(data, f"{split}_dataloader")())
    assert all(len(batch) == 1 for batch in batches)
    last = [batch["mff"] for batch in batches if "mff" in batch][-1]
    assert last["source_a"].shape == last["target"].shape == (1, 1, 22, 24)
    whole = PairDataset(root / "mff", target="target")[2]
    assert torch.equal(last["source_b"][0], whole["source_b"])


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert list(one) == list(other)
        for task in one:
            assert one[task]["name"] == other[task]["name"]
            torch.testing.assert_close(tensors(one[task]), tensors(other[task]), rtol=0, atol=0)


def test_workers_change_nothing(root):
    alone, helped = (module(root, num_workers=n, augmentation=Augmentation(16, flips=True)) for n in (0, 2))
    assert_same(list(alone.train_dataloader()), list(helped.train_dataloader()))


def test_seed_decides_batches_whatever_happened_before(root):
    first = list(module(root, seed=3).train_dataloader())
    torch.manual_seed(5)
    np.random.seed(6)  # noqa: NPY002
    assert_same(first, list(module(root, seed=3).train_dataloader()))
    other = list(module(root, seed=4).train_dataloader())
    assert not torch.equal(first[0]["ivf"]["source_a"], other[0]["ivf"]["source_a"])


def test_shares_are_equal_unless_told_otherwise(root):
    assert_same(list(module(root).train_dataloader()), list(module(root, mixing=EqualShares()).train_dataloader()))


@pytest.mark.parametrize(
    ("mixing", "counts"),
    [
        # One pool of 7 and 3 pairs, passed once but for two pairs.
        (Proportional(), [(3, 1), (3, 1)]),
        # Shares of 0.604 and 0.396.
        (Temperature(2), [(2, 2), (3, 1), (2, 2)]),
        (Shares({"mff": 3, "ivf": 1}), [(1, 3)] * 7),
    ],
    ids=lambda value: type(value).__name__,
)
def test_tasks_have_their_shares(root, mixing, counts):
    data = module(root, mixing=mixing)
    data.setup("fit")
    batches = list(data.train_dataloader())
    assert [(len(batch["ivf"]["name"]), len(batch["mff"]["name"])) for batch in batches] == counts
    # Validation is of all pairs, whatever the shares.
    assert len(data.val_dataloader()) == 10


def test_validation_may_have_other_tasks_than_the_shares(root):
    other = {"mef": [PairDataset(root / "ivf")]}
    data = module(root, val=other, mixing=Shares({"ivf": 2, "mff": 1}))
    for stage in ("fit", "validate"):
        data.setup(stage)
    assert [list(batch) for batch in data.val_dataloader()] == [["mef"]] * 5


@pytest.mark.parametrize(
    ("mixing", "message"),
    [
        (Shares({"ivf": 1}), r"shares` lacks mff"),
        (Shares({"ivf": 1, "mff": 1, "pan": 1}), r"shares` names pan"),
        (Shares({"ivf": 1, "mff": 1e-12}), r"share of task 'mff', 1e-12, is too small"),
    ],
)
def test_shares_that_do_not_fit_are_told_before_anything_starts(root, mixing, message):
    with pytest.raises(FusionLabError, match=message):
        module(root, mixing=mixing).setup("fit")
    module(root, mixing=mixing).setup("validate")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("mixing", MIXINGS, ids=lambda mixing: type(mixing).__name__)
def test_epochs_differ_and_a_resumed_run_sees_the_rest(root, mixing, workers):
    loader = module(root, mixing=mixing).train_dataloader()
    first = list(loader)
    loader.batch_sampler.sampler.set_epoch(1)
    second = list(loader)
    assert [s["name"] for b in first for s in b.values()] != [s["name"] for b in second for s in b.values()]
    data = module(root, num_workers=workers, mixing=mixing)
    data.load_state_dict({"epoch": 1, "batch": 1})
    resumed = data.train_dataloader()
    resumed.batch_sampler.sampler.set_epoch(1)
    assert_same(list(resumed), second[1:])
    assert_same(list(resumed), second)


@pytest.mark.parametrize("state", [{}, {"epoch": 1}, {"epoch": "1", "batch": 0}, {"epoch": 0, "batch": -1}])
def test_a_place_that_is_none_is_told(root, state):
    with pytest.raises(FusionLabError, match="tells no place in the data"):
        module(root).load_state_dict(state)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    return tiny.make_pairs(tmp_path_factory.mktemp("uneven"), ivf=9, mff=4, mef=2)


@pytest.mark.parametrize(
    ("mixing", "epoch"),
    [
        (Proportional(), 5),
        (Temperature(2), 6),
        # A batch of three has room for mff in every third or fourth.
        (Shares({"ivf": 0.55, "mff": 0.1, "mef": 0.35}), 13),
    ],
    ids=lambda value: type(value).__name__,
)
def test_training_resumed_in_mid_epoch_sees_the_batches_of_an_uninterrupted_one(uneven, tmp_path, mixing, epoch):
    def names(folder, ckpt=None, workers=0):
        seen = tiny.Names()
        keep = Checkpoints(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
        fit = tiny.trainer(folder, max_steps=epoch + 3, callbacks=[seen, keep], enable_checkpointing=True)
        fit.fit(tiny.module(), tiny.data(uneven, mixing=mixing, num_workers=workers), ckpt_path=ckpt, weights_only=True)
        assert fit.num_training_batches == epoch
        return seen.seen

    whole = names(tmp_path / "whole")
    assert len(set(whole)) == epoch + 3
    for step, workers in ((epoch - 2, 0), (epoch + 1, 0), (epoch + 1, 2)):
        ckpt = tmp_path / "whole" / f"step={step}.ckpt"
        assert names(tmp_path / f"{step}-{workers}", ckpt, workers) == whole[step:]


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_stage_without_data_is_told(stage):
    with pytest.raises(FusionLabError, match=f"no data to {stage}"):
        MultiTaskDataModule().setup(stage)


@pytest.mark.parametrize("split", ["train", "val"])
def test_missing_files_are_told_before_anything_starts(root, split):
    data = module(root, **{split: {"ivf": [PairDataset(root / "nowhere")]}})
    with pytest.raises(FusionLabError, match="nowhere"):
        data.setup("fit")


def test_training_may_go_without_validation(root):
    data = MultiTaskDataModule(train=datasets(root))
    data.setup("fit")
    assert len(data.val_dataloader()) == 0


def test_pair_smaller_than_the_patch_is_told_by_name(root):
    data = module(root, augmentation=Augmentation(21))
    with pytest.raises(FusionLabError, match=r"'ivf0' .*is smaller than the crop of 21 pixels"):
        list(data.train_dataloader())


def test_batch_size_must_be_positive():
    with pytest.raises(FusionLabError, match="Found `batch_size = 0`"):
        MultiTaskDataModule(batch_size=0)


def test_target_is_kept_only_where_all_samples_have_one():
    image = torch.zeros(1, 4, 4)
    bare = {"source_a": image, "source_b": image, "name": "x"}
    full = {**bare, "target": image}
    assert "target" not in collate([("mff", full), ("mff", bare)])["mff"]
    assert "target" not in collate([("mff", bare), ("mff", full)])["mff"]
    batch = collate([("mff", full), ("ivf", bare), ("mff", full)])
    assert batch["mff"]["target"].shape == (2, 1, 4, 4)
    assert batch["mff"]["name"] == ["x", "x"]
    assert "target" not in batch["ivf"]


def test_an_empty_list_leaves_a_task_out():
    some = [PairDataset("nowhere")]
    data = MultiTaskDataModule(train={"ivf": some, "mff": []}, test={"mef": some})
    assert data.tasks == ["ivf"]
    assert data.all_tasks == ["ivf", "mef"]


def test_what_is_tested_or_validated_is_fused_unless_told_otherwise():
    some, other = [PairDataset("some")], [PairDataset("other")]
    assert MultiTaskDataModule(val={"ivf": some}, test={"ivf": other}).splits["predict"] == {"ivf": other}
    assert MultiTaskDataModule(val={"ivf": some}).splits["predict"] == {"ivf": some}


def test_limited_validation_sees_all_tasks(tmp_path):
    root = tiny.make_pairs(tmp_path, ivf=3, mff=1, mef=2)
    given = tiny.data(root, root)
    given.setup("fit")
    seen = [next(iter(batch)) for batch in given.val_dataloader()]
    assert seen == ["ivf", "mff", "mef", "ivf", "mef", "ivf"]
