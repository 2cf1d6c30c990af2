"""``fusion-lab fit|validate|test|predict``: the Lightning CLI over composed configurations."""

import argparse
import copy
import logging
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn, SupportsFloat

import torch
import yaml
from jsonargparse.typing import register_type
from lightning import LightningDataModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf.errors import OmegaConfBaseException

from fusion_lab.callbacks import REQUEUE, ConfiguredSteps, KeepHistory, TellSmallPairs
from fusion_lab.cli.compose import compose
from fusion_lab.cli.endings import in_sentences
from fusion_lab.cli.mistakes import explain
from fusion_lab.cli.record import BEST, RESULT, RecordRun, checkpoints, record_result, run_id
from fusion_lab.cli.resume import check_end, find_checkpoint
from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder, remove_leftovers
from fusion_lab.inference.stored import StoredNetwork
from fusion_lab.inference.weights import read_network
from fusion_lab.modules import FusionModule
from fusion_lab.modules.schedules import BY_FACTORIES
from fusion_lab.networks import FusionNetwork
from fusion_lab.weighting import LossWeighting

# Some methods of TorchJD take tensors: a configuration gives lists.
register_type(torch.Tensor, torch.Tensor.tolist, partial(torch.tensor, dtype=torch.float32))


@dataclass
class Experiment:
    """What all parts of an experiment share; configurations refer to it as ``${exp.name}``.

    Args:
        name: Name of the run, and of its folder below ``output``.
        output: Folder of all runs.
        data_root: Folder of all data sets.
        seed: Seed of the weights, the order of the data and all noise.
        ema_decay: Decay of the averaged weights in each step.
        best: The loss or score of validation by which the best checkpoint is kept.
        switches: What is on and off in an ablation, for the check marks of its table and the tags of W&B.
        colours: Whose colours the images of ``predict`` have: ``a``, those of the first source, ``b``, ``both``, or
            none, ``grey``.
        auto_resume: Let ``fit`` go on where a run with this name has begun, as ``--ckpt_path last`` does.
    """

    name: str = "run"
    output: str = "runs"
    data_root: str = "data"
    seed: int = 0
    ema_decay: float = 0.999
    best: str = "val/loss"
    colours: Literal["a", "b", "both", "grey"] = "both"
    auto_resume: bool = False
    switches: dict[str, bool] = field(default_factory=dict)


class _Parser(LightningArgumentParser):
    """The parser of Lightning, but with errors of one sentence."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what the parser complains about."""
        raise FusionLabError(explain(message, (action.dest for action in self._actions))) from None


class FusionCLI(LightningCLI):
    """The Lightning CLI with the keys of `Experiment`."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the shared keys."""
        parser.add_argument("--exp", type=Experiment, default=Experiment(), help="What all parts share.")

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Make the parser that speaks in sentences."""
        parser = _Parser(**kwargs)
        parser.add_argument("-c", "--config", action="config", help="A configuration, or several in a row.")
        return parser


def main(command: str, argv: list[str]) -> int:
    """Run a command of the trainer on the configurations that ``argv`` names."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    own.add_argument("-c", "--config", action="append", type=Path, default=[])
    own.add_argument("--ckpt_path")
    try:
        # `--config.WHATEVER=FILE` too: the parameters of a sweep need names of their own.
        ours, overrides = own.parse_known_args([re.sub(r"^--config\.\w+=", "--config=", word) for word in argv])
    except argparse.ArgumentError as error:
        raise FusionLabError(f"{error}.") from None
    if not ours.config and "--help" not in overrides and "-h" not in overrides:
        raise FusionLabError("Name an experiment with --config, such as --config experiments/tita/embedded.yaml.")
    _quieten()

    cli = build(command, compose(ours.config), overrides)
    if getattr(cli.trainer.strategy.launcher, "_start_method", None) == "spawn":
        raise FusionLabError(
            "Processes that `trainer.strategy` spawns cannot be given what a configuration makes: set it to ddp, which "
            "starts them anew."
        )
    folder = Path(cli.trainer.default_root_dir)
    begun = bool(checkpoints(folder))
    asked = ours.ckpt_path or ("last" if command == "fit" and begun and cli.config.exp.auto_resume else None)
    checkpoint = find_checkpoint(asked, folder) if asked else None
    done = 0
    if checkpoint is not None:
        stored = _check_fit(checkpoint, cli.model.network)
        if command == "fit":
            _check_weighting(checkpoint, stored, cli.model.weighting, cli.datamodule)
            done = check_end(checkpoint, folder, cli.trainer.max_steps, cli.trainer.max_epochs)
    elif command == "fit" and (begun or ((folder / RESULT).is_file() and (folder / "checkpoints" / BEST).is_file())):
        raise FusionLabError(
            f"The folder {folder} already holds a run: resume it with --ckpt_path last, or choose another --exp.name."
        )
    elif command != "fit" and list(cli.model.network.parameters()):
        raise FusionLabError(f"Name the checkpoint to {command} with --ckpt_path; `last` is the newest of the run.")
    is_new = not folder.exists()
    make_folder(folder)
    options: dict[str, Any] = {"ckpt_path": checkpoint, "weights_only": True}
    if command == "predict":
        # WriteFused has written them.
        options["return_predictions"] = False
    if command == "fit":
        config = cli.parser.dump(cli.config, skip_none=False)
        if cli.trainer.is_global_zero:
            remove_leftovers(folder / "checkpoints", ".ckpt")
            if any(isinstance(logger, WandbLogger) for logger in cli.trainer.loggers):
                os.environ.setdefault("WANDB_RUN_ID", run_id(folder))
        record = RecordRun(folder, config, [command, *argv])
        if checkpoint is None:
            record.write(cli.trainer)
        else:
            cli.trainer.callbacks.append(record)  # type: ignore[attr-defined]
        for logger in cli.trainer.loggers:
            logger.log_hyperparams(yaml.safe_load(config))
    try:
        with in_sentences(cli.trainer, checkpoint):
            getattr(cli.trainer, command)(cli.model, cli.datamodule, **options)
    except SystemExit as error:
        if error.code not in (0, REQUEUE):
            raise
        if error.code == REQUEUE:
            print(f"\nThe run makes room; the same command with --ckpt_path last goes on from {folder}.", flush=True)
        # A run that a sweep of W&B ends early has not failed.
        return 0 if "WANDB_SWEEP_ID" in os.environ else error.code
    if command == "fit":
        if checkpoint is not None and cli.trainer.global_step == done and not checkpoints(folder):
            if is_new and cli.trainer.is_global_zero:
                shutil.rmtree(folder)
            raise FusionLabError(
                f"Nothing was trained: {checkpoint} has come to the end that the configuration sets, after {done} "
                "steps. Ask for more steps or epochs, those that are done included."
            )
        if cli.trainer.is_global_zero:
            record_result(folder, cli.trainer.global_step, _last_metrics(cli.trainer))
        if cli.trainer.global_step == done:
            print(f"Nothing was left to train: the run in {folder} has done all of its {done} steps.")
        else:
            print(f"Trained for {cli.trainer.global_step} steps; checkpoints, log and configuration are in {folder}.")
    if command == "predict":
        print(f"The fused images are in {folder / 'fused'}.")
    return 0


def _last_metrics(trainer: Trainer) -> Mapping[str, SupportsFloat]:
    """Give the last value of each metric, also of those that were last measured before the run went on."""
    kept = [callback.metrics for callback in trainer.callbacks if isinstance(callback, KeepHistory)]  # type: ignore[attr-defined]
    return {**dict(*kept[:1]), **trainer.callback_metrics}


def build(command: str, config: dict[str, Any], overrides: list[str]) -> FusionCLI:
    """Check the whole configuration, then make trainer, module and data from it."""
    for key in ("exp", "trainer"):
        if not isinstance(config.get(key, {}), dict):
            raise FusionLabError(f"`{key}` in the configuration should hold keys of its own. Found `{config[key]}`.")
    if config.get("trainer", {}).get("accelerator") == "auto" and torch.backends.mps.is_available():
        # Lightning would choose it, and it has no float64 to score in.
        config["trainer"]["accelerator"] = "cpu"
    with tempfile.TemporaryDirectory() as folder:
        merged = Path(folder) / "config.yaml"
        merged.write_text(yaml.safe_dump(_by_factories(config), sort_keys=False), encoding="utf-8")
        try:
            return FusionCLI(
                FusionModule,
                LightningDataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                run=False,
                auto_configure_optimizers=False,
                save_config_callback=None,
                trainer_defaults={"callbacks": [TellSmallPairs(), ConfiguredSteps()]},
                parser_kwargs={"parser_mode": "omegaconf+", "prog": f"fusion-lab {command}", "allow_abbrev": False},
                args=[*(["--config", str(merged)] if config else []), *overrides],
            )
        except FusionLabError:
            raise
        except ImportError as error:
            raise FusionLabError(
                f"A class of the configuration needs a package that is missing ({' '.join(str(error).split())}): "
                "install it; for methods of TorchJD it is in the extra `weightings`."
            ) from None
        except (TypeError, ValueError, MisconfigurationException, OmegaConfBaseException) as error:
            raise FusionLabError(explain(str(error), ())) from None


def _by_factories(value: Any) -> Any:
    """Put schedules that can be made from a configuration in the place of those that cannot."""
    if isinstance(value, list):
        return [_by_factories(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    made = {key: _by_factories(inner) for key, inner in value.items()}
    path = made.get("class_path")
    return {**made, "class_path": BY_FACTORIES[path]} if isinstance(path, str) and path in BY_FACTORIES else made


def _check_fit(checkpoint: Path, network: FusionNetwork) -> StoredNetwork:
    """Refuse what is no checkpoint of a run of this network."""
    stored = read_network(checkpoint)
    if not stored.kind.startswith("Lightning"):
        raise FusionLabError(f"The file {checkpoint} holds a network, but no checkpoint of a run: check --ckpt_path.")
    given = {name: tuple(tensor.shape) for name, tensor in stored.tensors.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if differing := [name for name in {**wanted, **given} if wanted.get(name) != given.get(name)]:
        first = differing[0]
        raise FusionLabError(
            f"The checkpoint {checkpoint} is of another network: {len(differing)} tensors differ, such as {first} "
            f"({given.get(first, 'missing')} in the file, {wanted.get(first, 'missing')} in the configuration)."
        )
    return stored


def _check_weighting(
    checkpoint: Path, stored: StoredNetwork, weighting: LossWeighting, data: LightningDataModule
) -> None:
    """Refuse a checkpoint of another weighting than that of the configuration."""
    if (tasks := getattr(data, "tasks", None)) is None:
        return
    ready = copy.deepcopy(weighting)
    ready.setup(tasks)
    wanted = {f"weighting.{name}" for name in ready.state_dict()}
    given = {name for name in stored.dropped if name.startswith("weighting.")}
    if differing := sorted(wanted ^ given):
        raise FusionLabError(
            f"The checkpoint {checkpoint} does not fit the configuration: it is of another weighting of the losses "
            f"({', '.join(differing)})."
        )


def _quieten() -> None:
    """Silence what would only distract: advertisements, and warnings about what is meant to be so."""
    for name in ("utilities.rank_zero", "trainer.connectors.checkpoint_connector"):
        logging.getLogger(f"lightning.pytorch.{name}").setLevel(logging.WARNING)
    for message in (
        "LightningCLI's args parameter is intended",
        "You're using the WeightAveraging callback with a model that overrides the configure_model",
        "You're using the WeightAveraging callback, but loading a checkpoint outside",
        ".*does not have many workers",
        "Checkpoint directory .* exists and is not empty",
        ".*isinstance.treespec, LeafSpec",
        "The `srun` command is available",
        "The number of training batches .* is smaller than the logging interval",
        "You are solving a parameterized problem that is not DPP",
    ):
        warnings.filterwarnings("ignore", message=message)
