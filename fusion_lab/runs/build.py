"""From a composed configuration to trainer, module and data: every key and type is checked before anything is made."""

import logging
import warnings
from argparse import ArgumentError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
import yaml
from jsonargparse.typing import register_type
from lightning import LightningDataModule, Trainer, seed_everything
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf.errors import OmegaConfBaseException

from fusion_lab.callbacks import ConfiguredSteps, TellSmallPairs
from fusion_lab.errors import FusionLabError
from fusion_lab.modules import FusionModule
from fusion_lab.modules.schedules import BY_FACTORIES
from fusion_lab.runs.compose import Config, override
from fusion_lab.runs.mistakes import explain, first_cause

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
        weights: What the network begins with: a file of weights, or the name of shipped or fetched ones.
        leave_out_misfits: Leave tensors of ``weights`` out whose shape is another than in the network.
    """

    name: str = "run"
    output: str = "runs"
    data_root: str = "data"
    seed: int = 0
    ema_decay: float = 0.999
    best: str = "val/loss"
    colours: Literal["a", "b", "both", "grey"] = "both"
    auto_resume: bool = False
    weights: str | None = None
    leave_out_misfits: bool = False
    switches: dict[str, bool] = field(default_factory=dict)


KINDS: dict[str, Any] = {
    "exp": Experiment,
    "trainer": Trainer,
    "model": FusionModule,
    "data": LightningDataModule,
    "seed_everything": bool | int,
}
"""What the keys at the top of a configuration are."""


class FusionCLI(LightningCLI):
    """The Lightning CLI with the keys of `Experiment`."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the shared keys."""
        parser.add_argument("--exp", type=Experiment, default=Experiment(), help="What all parts share.")

    def instantiate_classes(self) -> None:
        """Make nothing yet: `make` does."""

    def make(self) -> None:
        """Make trainer, module and data anew, with weights as the seed draws them."""
        with _in_sentences():
            if self.config.seed_everything is not False:
                seed_everything(self.config.seed_everything, workers=True, verbose=False)
            self.trainer_defaults = {"callbacks": [TellSmallPairs(), ConfiguredSteps()]}
            super().instantiate_classes()


def build(command: str, config: Config, options: Sequence[str] = ()) -> FusionCLI:
    """Check the whole configuration, then make trainer, module and data from it.

    Args:
        command: The command that is told in messages of ``--help``.
        config: What `compose` gives.
        options: Further keys as a shell has them, such as ``--trainer.max_steps=3``; they go over the configuration.

    Raises:
        FusionLabError: A key, type or value is wrong.
    """
    parsed = parse(command, config, options)
    parsed.make()
    return parsed


def parse(command: str, config: Config, options: Sequence[str] = ()) -> FusionCLI:
    """Check all keys and types as `build` does, but make nothing."""
    for key in ("exp", "trainer"):
        if not isinstance(config.get(key, {}), dict):
            raise FusionLabError(f"`{key}` in the configuration should hold keys of its own. Found `{config[key]}`.")
    if config.get("trainer", {}).get("accelerator") == "auto" and torch.backends.mps.is_available():
        # Lightning would choose it, and it has no float64 to score in.
        config = {**config, "trainer": {**config["trainer"], "accelerator": "cpu"}}
    _quieten()
    # The parser takes the text of a configuration where it takes a file.
    whole = yaml.safe_dump(_by_factories(config), sort_keys=False)
    # Lightning seeds where nothing is made yet.
    with _in_sentences(config, options), isolate_rng(include_cuda=False):
        return FusionCLI(
            FusionModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            run=False,
            auto_configure_optimizers=False,
            save_config_callback=None,
            parser_kwargs={
                "parser_mode": "omegaconf+",
                "prog": f"fusion-lab {command}",
                "allow_abbrev": False,
                "exit_on_error": False,
                "dump_header": None,
            },
            args=["--config", whole, *options] if config else [*options],
        )


@contextmanager
def _in_sentences(config: Config | None = None, options: Sequence[str] = ()) -> Iterator[None]:
    """Tell what the parser and the classes of a configuration complain about in one sentence."""
    try:
        yield
    except FusionLabError:
        raise
    except ArgumentError as error:
        given = [word.removeprefix("--").partition("=") for word in options if word.startswith("--") and "=" in word]
        try:
            whole = override(config or {}, {key: value for key, _, value in given})
        except FusionLabError:
            whole = config or {}
        raise FusionLabError(explain(str(error), whole, KINDS)) from None
    except ImportError as error:
        raise FusionLabError(
            f"A class of the configuration needs a package that is missing ({' '.join(str(error).split())}): "
            "install it; for methods of TorchJD it is in the extra `weightings`."
        ) from None
    except (TypeError, ValueError, MisconfigurationException, OmegaConfBaseException) as error:
        raise FusionLabError(explain(str(first_cause(error)), {}, {})) from None


def _by_factories(value: Any) -> Any:
    """Put schedules that can be made from a configuration in the place of those that cannot."""
    if isinstance(value, list):
        return [_by_factories(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    made = {key: _by_factories(inner) for key, inner in value.items()}
    path = made.get("class_path")
    return {**made, "class_path": BY_FACTORIES[path]} if isinstance(path, str) and path in BY_FACTORIES else made


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
