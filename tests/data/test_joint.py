from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning import LightningModule
from lightning.fabric.utilities import move_data_to_device
from PIL import Image

from fusion_lab.callbacks import Checkpoints
from fusion_lab.data import Augmentation, JointDataModule, MultiTaskDataModule, PairDataset
from fusion_lab.data.auxiliary import ExposureSynthesis, FocusSynthesis, StoredFocus
from fusion_lab.data.focus_maps import DepthMap, SegmentMap, SmoothMap
from fusion_lab.data.images import read_picture
from fusion_lab.data.scenes import Scenes
from fusion_lab.errors import FusionLabError
from fusion_lab.runs import build as building
from fusion_lab.runs.compose import compose
from tests import tiny

CONFIGS = Path(__file__).parents[2] / "configs"
FOCUS = FocusSynthesis(radius=(1.0, 1.0))
DEFOCUS = FocusSynthesis(SmoothMap(), "disc", (1.0, 2.0), linear_light=True, occlusion=True)
COUNT = 7


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Scenes whose red tells the row, green the column and blue the scene; infrared is the same in grey."""
    root = tmp_path_factory.mktemp("scenes")
    for number in range(COUNT):
        rows, columns = np.mgrid[0:26, 0:30].astype(np.uint8)
        scene = np.stack([rows * 8, columns * 8, np.full_like(rows, 30 * number)], axis=-1)
        write(root / "visible" / "train" / f"scene{number}.png", scene)
        write(root / "infrared" / "train" / f"scene{number}.png", np.asarray(Image.fromarray(scene).convert("L")))
        # Told apart from the clear image, but shot at the same place.
        write(root / "visible_focus_near" / "train" / f"scene{number}.png", scene // 2)
        write(root / "visible_focus_far" / "train" / f"scene{number}.png", 255 - scene)
        write(root / "disparity" / f"scene{number}.png", rows * 8)
    return root


def pairs(root, **arguments):
    return PairDataset(root, "visible/train", "infrared/train", **arguments)


def module(root, auxiliary=FOCUS, **arguments):
    defaults = {"train": [pairs(root)], "batch_size": 2, "augmentation": Augmentation(16), "seed": 1}
    return JointDataModule(**{**defaults, "auxiliary": auxiliary, **arguments})


def batches(root, *arguments, **named):
    return list(module(root, *arguments, **named).train_dataloader())


def assert_same(first, second, **tolerance):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert list(one) == list(other)
        for task in one:
            assert set(one[task]) == set(other[task])
            for key, value in one[task].items():
                if torch.is_tensor(value):
                    torch.testing.assert_close(value, other[task][key], **(tolerance or {"rtol": 0, "atol": 0}))
                else:
                    assert value == other[task][key]


def test_files_are_those_of_the_auxiliary_task_too(root):
    folders = {"visible", "infrared"}
    assert {path.relative_to(root).parts[0] for path in module(root).files} == folders
    found = module(root, StoredFocus()).files
    assert {path.relative_to(root).parts[0] for path in found} == {*folders, "visible_focus_near", "visible_focus_far"}
    assert len(found) == 4 * COUNT


@pytest.mark.parametrize("auxiliary", [FOCUS, DEFOCUS, ExposureSynthesis()], ids=["paper", "defocus", "exposure"])
def test_batch_is_a_plain_one_of_both_tasks_cut_at_one_place(root, auxiliary):
    found = batches(root, auxiliary)
    assert len(found) == 2 * (COUNT // 2)
    for batch in found:
        assert list(batch) == ["ivf", auxiliary.task]
        main, made = batch["ivf"], batch[auxiliary.task]
        assert main["name"] == made["name"]
        assert made["file_b"] == made["file_a"] == main["file_a"]
        assert "target" not in main
        assert torch.equal(made["target"], main["source_a"])
        # The infrared image is the visible luminance, but rounded to levels.
        torch.testing.assert_close(main["source_b"], main["source_a"], rtol=0, atol=0.51 / 255)
        for key in ("source_a", "source_b", "target"):
            assert made[key].shape == (2, 1, 16, 16)
            assert made[key].dtype == torch.float32
            assert 0 <= made[key].min() < made[key].max() <= 1


def test_far_focus_comes_first(root):
    data = module(root, FocusSynthesis(DepthMap("disparity"), radius=(2.0, 2.0)))
    for batch in data.train_dataloader():
        far, near, clear = (batch["mff"][key] for key in ("source_a", "source_b", "target"))
        # Disparity grows downwards: the lower rows are near, so sharp in the second source.
        torch.testing.assert_close(near[..., -4:, :], clear[..., -4:, :])
        torch.testing.assert_close(far[..., :3, :], clear[..., :3, :])
        assert (far - clear)[..., -4:, :].abs().max() > 1e-3


def test_without_an_auxiliary_task_there_are_only_pairs(root):
    data = module(root, None)
    assert data.tasks == ["ivf"]
    assert [list(batch) for batch in data.train_dataloader()] == [["ivf"]] * 6


def test_pairs_are_those_of_the_multi_task_module(root):
    joint = batches(root, augmentation=Augmentation(16, flips=True), repeat=1)
    options = {"batch_size": 2, "augmentation": Augmentation(16, flips=True), "seed": 1}
    alone = list(MultiTaskDataModule({"ivf": [pairs(root)]}, **options).train_dataloader())
    assert_same([{"ivf": batch["ivf"]} for batch in joint], alone, rtol=0, atol=0.51 / 255)


def test_stored_images_are_cut_where_the_pair_is(root):
    for batch in batches(root, StoredFocus(), augmentation=Augmentation(16, flips=True)):
        sample = batch["mff"]
        torch.testing.assert_close(sample["source_a"], 1 - sample["target"], rtol=0, atol=1e-6)
        torch.testing.assert_close(sample["source_b"], sample["target"] / 2, rtol=0, atol=1 / 255)


def test_same_scenes_come_in_a_row_and_are_told_apart_by_data_set(root):
    found = batches(root, train=[pairs(root, limit=2), pairs(root, limit=2)], batch_size=2)
    names = [batch["ivf"]["name"] for batch in found]
    assert names[0] == names[1]
    assert names[2] == names[3]
    assert sorted(names[0] + names[2]) == ["0/scene0", "0/scene1", "1/scene0", "1/scene1"]


@pytest.mark.parametrize("auxiliary", [FOCUS, DEFOCUS], ids=["paper", "defocus"])
def test_workers_change_nothing_and_the_seed_decides(root, auxiliary):
    first = batches(root, auxiliary)
    torch.manual_seed(7)
    np.random.seed(8)  # noqa: NPY002
    assert_same(first, batches(root, auxiliary, num_workers=2))
    other = batches(root, auxiliary, seed=2)
    assert not torch.equal(first[0]["mff"]["source_a"], other[0]["mff"]["source_a"])


class OnDevice(JointDataModule):
    renders_on_device = True


@pytest.mark.parametrize("auxiliary", [FOCUS, DEFOCUS, ExposureSynthesis(), StoredFocus(), None])
def test_rendering_on_the_device_gives_the_same(root, auxiliary):
    options = {"train": [pairs(root)], "batch_size": 3, "augmentation": Augmentation(16), "auxiliary": auxiliary}
    on_device = OnDevice(**options)
    waiting = list(on_device.train_dataloader())
    assert all(isinstance(batch, Scenes) for batch in waiting)
    rendered = [on_device.on_after_batch_transfer(batch, 0) for batch in waiting]
    assert_same(rendered, list(JointDataModule(**options).train_dataloader()), rtol=0, atol=1e-6)


def test_rendered_batches_are_left_alone(root):
    data = module(root, val={"mff": [pairs(root)]})
    for batch in (next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))):
        assert data.on_after_batch_transfer(batch, 0) is batch


@pytest.mark.parametrize(("device", "expected"), [("cpu", False), ("cuda:0", True), ("mps", True)])
def test_device_decides_where_sources_are_rendered(root, device, expected):
    data = module(root)
    assert not data.renders_on_device
    data.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))
    assert data.renders_on_device == expected


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [0, 1, 2, 3, 5])
def test_a_resumed_run_sees_the_rest_of_the_epoch_from_any_repeat(root, done, workers):
    loader = module(root).train_dataloader()
    loader.batch_sampler.sampler.set_epoch(1)
    whole = list(loader)
    data = module(root, num_workers=workers)
    data.load_state_dict({"epoch": 1, "batch": done})
    resumed = data.train_dataloader()
    resumed.batch_sampler.sampler.set_epoch(1)
    assert_same(list(resumed), whole[done:])
    assert_same(list(resumed), whole)


class Mean(LightningModule):
    """The least that can be trained."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append(tuple((*s["name"], s["source_a"].sum().item()) for s in batch.values()))
        return (batch["mff"]["source_a"] * self.weight - batch["mff"]["target"]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, root, ckpt=None, data=JointDataModule, **arguments):
    data_arguments = {name: arguments.pop(name) for name in ("num_workers", "repeat") if name in arguments}
    model = Mean()
    keep = Checkpoints(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    options = {"max_steps": 9, "callbacks": [keep], "enable_checkpointing": True, **arguments}
    run = tiny.trainer(folder, **options)
    joint = data([pairs(root)], FOCUS, batch_size=2, augmentation=Augmentation(16), **data_arguments)
    run.fit(model, joint, ckpt_path=ckpt, weights_only=True)
    return model


@pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader`")
@pytest.mark.parametrize("limits", [{}, {"limit_train_batches": 5}], ids=["whole", "odd"])
def test_training_resumed_anywhere_ends_as_if_it_had_not_been_interrupted(root, tmp_path, limits):
    whole = fit(tmp_path / "whole", root, **limits)
    epoch = limits.get("limit_train_batches", 6)
    assert whole.seen[0] == whole.seen[1] != whole.seen[2] == whole.seen[3]
    assert whole.seen[epoch] == whole.seen[epoch + 1] != whole.seen[0]
    for step, workers in ((1, 0), (2, 2), (3, 2), (epoch, 0), (epoch + 1, 2)):
        ckpt = tmp_path / "whole" / f"step={step}.ckpt"
        resumed = fit(tmp_path / f"{step}", root, ckpt, num_workers=workers, **limits)
        assert resumed.seen == whole.seen[step:]
        assert torch.equal(resumed.weight, whole.weight)


@pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader`")
def test_trainer_gives_batches_to_be_rendered_on_the_device(root, tmp_path):
    on_device = fit(tmp_path / "device", root, data=OnDevice, max_steps=3)
    in_workers = fit(tmp_path / "workers", root, max_steps=3)
    torch.testing.assert_close(on_device.weight, in_workers.weight, rtol=0, atol=1e-6)
    assert [names[0][:2] for names in on_device.seen] == [names[0][:2] for names in in_workers.seen]


def test_tasks_and_stages(root):
    data = module(root, val={"mef": [pairs(root)]})
    assert data.tasks == ["ivf", "mff"]
    assert data.all_tasks == ["ivf", "mff", "mef"]
    data.prepare_data()
    data.setup("fit")
    assert [list(batch) for batch in data.val_dataloader()] == [["mef"]] * COUNT
    assert JointDataModule(auxiliary=FOCUS, val={"mef": [pairs(root)]}).all_tasks == ["mef"]


def test_ranks_share_the_scenes(root):
    def rank(number):
        data = module(root, repeat=1)
        data.trainer = SimpleNamespace(
            global_rank=number, world_size=2, strategy=SimpleNamespace(root_device=torch.device("cpu"))
        )
        return list(data.train_dataloader())

    both = batches(root, batch_size=4, repeat=1)
    for one, other, whole in zip(rank(0), rank(1), both, strict=True):
        assert one["mff"]["name"] + other["mff"]["name"] == whole["mff"]["name"]
        far = torch.cat([batch["mff"]["source_a"] for batch in (one, other)])
        torch.testing.assert_close(far, whole["mff"]["source_a"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: {"train": []}, "no data to fit"),
        (lambda root: {"train": [PairDataset(root / "nowhere")]}, "nowhere"),
        (lambda root: {"auxiliary": StoredFocus(near="gone")}, r"folder .*gone does not exist"),
        (lambda root: {"auxiliary": FocusSynthesis(SegmentMap("infrared/train/{name}1"))}, "have no image of"),
    ],
)
def test_what_is_missing_is_told_before_anything_starts(root, change, message):
    with pytest.raises(FusionLabError, match=message):
        module(root, **{"auxiliary": FOCUS, **change(root)}).setup("fit")


def test_images_beside_a_pair_must_have_its_size(root, tmp_path):
    for role, width in {"visible": 20, "infrared": 20, "near": 25}.items():
        write(tmp_path / role / "one.png", np.zeros((20, width, 3), np.uint8))
    train = [PairDataset(tmp_path, "visible", "infrared")]
    data = JointDataModule(train, StoredFocus("near", "near"), augmentation=Augmentation(16), batch_size=1)
    with pytest.raises(FusionLabError, match=r"near/one\.png and its visible image .*visible/one\.png differ in size"):
        list(data.train_dataloader())


@pytest.mark.parametrize("name", ["repeat", "batch_size"])
def test_numbers_must_be_positive(name):
    with pytest.raises(FusionLabError, match=f"Found `{name} = 0`"):
        JointDataModule(**{name: 0})


def test_any_kind_of_file_is_a_source(tmp_path):
    """16-bit grey, palette, alpha: all become colour in [0, 1]."""
    generator = np.random.default_rng(0)
    write(tmp_path / "a" / "deep.png", generator.integers(0, 65536, (20, 20)).astype(np.uint16))
    write(tmp_path / "a" / "alpha.png", generator.integers(0, 256, (20, 20, 4), np.uint8))
    Image.fromarray(generator.integers(0, 256, (20, 20, 3), np.uint8)).quantize(16).save(tmp_path / "a" / "palette.png")
    for name in ("deep", "alpha", "palette"):
        write(tmp_path / "b" / f"{name}.png", generator.integers(0, 256, (20, 20, 3), np.uint8))
    data = JointDataModule([PairDataset(tmp_path)], DEFOCUS, batch_size=3, augmentation=Augmentation(20), repeat=1)
    [batch] = data.train_dataloader()
    for name, image in zip(batch["ivf"]["name"], batch["ivf"]["source_a"], strict=True):
        picture = read_picture(tmp_path / "a" / f"{name}.png")
        expected = picture.luminance() / picture.levels
        np.testing.assert_allclose(image[0].numpy(), expected, atol=0.51 / 255)


def test_lightning_moves_scenes_that_are_to_be_rendered(root):
    batch = next(iter(OnDevice([pairs(root)], FOCUS, augmentation=Augmentation(16)).train_dataloader()))
    moved = move_data_to_device(batch, torch.device("cpu"))
    assert isinstance(moved, Scenes)
    assert moved.name == batch.name
    assert torch.equal(moved.recipe["focus_map"], batch.recipe["focus_map"])


BASE = [CONFIGS / "trainer" / "default.yaml", CONFIGS / "model" / "tita.yaml"]
# What each layout is called below the folder of all data, with the folders of the visible and the infrared images.
LAYOUTS = {
    "roadscene": ("RoadScene", "crop_LR_visible", "cropinfrared"),
    "llvip": ("LLVIP", "visible/train", "infrared/train"),
    "stored": ("joint", "visible/train", "infrared/train"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_is_read(name, root, tmp_path):
    home, visible, infrared = LAYOUTS[name]
    links = {visible: "visible/train", infrared: "infrared/train"}
    if name == "stored":
        links |= {f"visible_focus_{focus}/train": f"visible_focus_{focus}/train" for focus in ("near", "far")}
    for link, folder in links.items():
        (tmp_path / home / link).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / home / link).symlink_to(root / folder, target_is_directory=True)
    # The stored layout brings its auxiliary sources along.
    layers = [CONFIGS / "synthesis" / "paper.yaml", CONFIGS / "data" / f"joint_{name}.yaml"]
    config = compose([*BASE, *layers])
    overrides = [f"--exp.data_root={tmp_path}", "--exp.seed=5", f"--exp.output={tmp_path / 'runs'}"]
    overrides.append("--data.init_args.augmentation.init_args.patch=16")
    data = building.build("fit", config, overrides).datamodule
    data.setup("fit")
    assert data.seed == 5
    batch = next(iter(data.train_dataloader()))
    assert set(batch["ivf"]["name"]) == {f"scene{i}" for i in range(COUNT)}
    halved = (batch["mff"]["source_b"] - batch["mff"]["target"] / 2).abs().max() < 1 / 255
    assert halved == (name == "stored")


@pytest.mark.parametrize("name", ["paper", "defocus", "depth", "exposure", "none"])
def test_another_synthesis_can_be_laid_over_any_data(name):
    config = compose([CONFIGS / "data" / "joint_llvip.yaml", CONFIGS / "synthesis" / f"{name}.yaml"])
    arguments = config["data"]["init_args"]
    assert arguments["train"] == compose([CONFIGS / "data" / "joint_llvip.yaml"])["data"]["init_args"]["train"]
    assert (arguments["auxiliary"] is None) == (name == "none")


def test_gradient_accumulation_with_repeated_batches_is_refused(tmp_path):
    """Both copies of a batch would fall into one step."""
    source = JointDataModule([PairDataset(tmp_path)])
    source.trainer = SimpleNamespace(accumulate_grad_batches=2, global_rank=0, world_size=1)
    source.splits["train"]["ivf"] = [PairDataset(tiny.make_pairs(tmp_path, ivf=8) / "ivf")]
    with pytest.raises(FusionLabError, match=r"set `data\.init_args\.repeat` to 1"):
        source.setup("fit")
    source.repeat = 1
    source.setup("fit")
