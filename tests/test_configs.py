"""Every building block and every experiment is composed, type-checked and built."""

from pathlib import Path

import pytest

from fusion_lab.cli import trainer
from fusion_lab.cli.compose import compose

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.yaml"))
BLOCKS = sorted((ROOT / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_experiment_builds(file, tmp_path):
    cli = trainer._build("fit", compose([file]), [f"--exp.output={tmp_path}"])
    assert set(cli.datamodule.tasks) <= set(cli.model.objectives)
    assert Path(cli.trainer.default_root_dir) == tmp_path / cli.config.exp.name


@pytest.mark.parametrize("file", BLOCKS, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_building_block_goes_with_the_base(file, tmp_path):
    base = ROOT / "experiments" / "tita" / "embedded.yaml"
    trainer._build("fit", compose([base, file]), [f"--exp.output={tmp_path}"])
