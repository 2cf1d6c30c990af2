"""Every building block and every experiment is composed, type-checked and built; every ablation trains two steps."""

from pathlib import Path

import pytest
import torch
import yaml

from fusion_lab.cli import trainer
from fusion_lab.losses.information.densenet import URL
from fusion_lab.runs import build as building
from fusion_lab.runs.compose import compose, variants
from tests.tiny import torchvision_densenet

ROOT = Path(__file__).parents[1]
# Sweeps are no experiments: tests/cli/test_sweep.py has them.
EXPERIMENTS = sorted(file for file in (ROOT / "experiments").rglob("*.yaml") if file.parent.name != "sweeps")
SEVERAL = [file for file in EXPERIMENTS if variants(file)]
ABLATIONS = [variant for file in SEVERAL for variant in variants(file)]
WHOLE = [file for file in EXPERIMENTS if file not in SEVERAL]
# Blocks that an ablation builds on are built with it.
BLOCKS = sorted(
    file
    for file in (ROOT / "configs").rglob("*.yaml")
    if not any(f"configs/{file.relative_to(ROOT / 'configs')}" in several.read_text() for several in SEVERAL)
)
NARROW = {"tita": {"embed_dim": 12, "num_heads": 2}, "gifnet": {"width": 4}}
DATA = {"tita": "embedded", "gifnet": "joint_embedded"}


@pytest.mark.parametrize("file", WHOLE, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_experiment_builds(file, tmp_path):
    cli = building.build("fit", compose([file]), [f"--exp.output={tmp_path}"])
    assert set(cli.datamodule.tasks) <= set(cli.model.objectives)
    assert Path(cli.trainer.default_root_dir) == tmp_path / cli.config.exp.name


@pytest.mark.parametrize("file", BLOCKS, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_building_block_goes_with_the_base(file, tmp_path):
    base = ROOT / "experiments" / "tita" / "embedded.yaml"
    building.build("fit", compose([base, file]), [f"--exp.output={tmp_path}"])


def described(objectives):
    """The class, the numbers and the parts of every term."""
    plain = int | float | str | bool | None
    return {
        name: (type(part), {key: value for key, value in vars(part).items() if isinstance(value, plain)})
        for name, part in objectives.named_modules()
    }


@pytest.mark.parametrize("model", ["tita", "gifnet"])
def test_a_module_and_its_configuration_have_the_same_objectives(model):
    """The configuration spells them out where experiments lay their own over single terms."""
    base = ROOT / "experiments" / "tita" / "embedded.yaml"
    module = building.build("fit", compose([base, ROOT / "configs" / "model" / f"{model}.yaml"]), []).model
    default = type(module)()
    assert described(module.objectives) == described(default.objectives)
    assert type(module.weighting) is type(default.weighting)


@pytest.fixture(scope="module")
def densenet(tmp_path_factory):
    """The cache of downloaded weights, with those of DenseNet121 in it, but random."""
    torch.manual_seed(0)
    cache = tmp_path_factory.mktemp("cache")
    (cache / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(torchvision_densenet(), cache / "hub" / "checkpoints" / URL.rpartition("/")[2])
    return cache


@pytest.mark.filterwarnings("ignore:You are solving a parameterized problem")
@pytest.mark.parametrize("file", ABLATIONS, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_smoke_variant_of_every_ablation_trains(file, data_root, densenet, tmp_path, monkeypatch):
    """With the embedded data and, for the time it takes, a narrow network."""
    paper = file.parents[1].name
    layers = [file, *(ROOT / "configs" / f"{block}.yaml" for block in (f"data/{DATA[paper]}", "schedule/smoke"))]
    arguments = [f"--config={layer}" for layer in layers]
    arguments += [f"--exp.data_root={data_root}", f"--exp.output={tmp_path}", "--exp.name=smoke"]
    arguments += [f"--model.init_args.network.init_args.{name}={value}" for name, value in NARROW[paper].items()]
    if "DenseNetInformation" in yaml.safe_dump(compose(layers)):
        # It sees nothing in smaller crops.
        arguments.append("--data.init_args.augmentation.init_args.patch=32")
        monkeypatch.setenv("TORCH_HOME", str(densenet))
    assert trainer.main("fit", [*arguments, "--trainer.enable_progress_bar=false"]) == 0
    trained = torch.load(tmp_path / "smoke" / "checkpoints" / "last.ckpt", weights_only=True)
    assert trained["global_step"] == 2
    assert all(tensor.isfinite().all() for tensor in trained["state_dict"].values() if torch.is_tensor(tensor))
