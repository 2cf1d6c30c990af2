"""One training as an object: its configuration, training, going on, scoring."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, SupportsFloat

import yaml
from lightning import Trainer
from lightning.pytorch.loggers import WandbLogger

from fusion_lab.callbacks import KeepHistory
from fusion_lab.callbacks.lightning_internals import name_wandb_run, set_progress
from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder, remove_leftovers, write_text
from fusion_lab.runs.build import FusionCLI, parse
from fusion_lab.runs.compose import Config, compose, override
from fusion_lab.runs.endings import in_sentences
from fusion_lab.runs.record import RecordRun, record_result, run_id
from fusion_lab.runs.result import BEST, RESULT, Result, checkpoints
from fusion_lab.runs.resume import check_checkpoint, check_end, find_checkpoint
from fusion_lab.runs.start import StartReport, start_from

Command = Literal["fit", "validate", "test", "predict"]
NO_EXPERIMENT = "Name an experiment with --config, such as --config experiments/tita/embedded.yaml."


class Run:
    """One training: a configuration whose keys and types were checked, and what can be done with it.

    >>> import fusion_lab
    >>> run = fusion_lab.Run.load("tita/embedded", {"exp.seed": 1, "model.network.embed_dim": 12})
    >>> run.folder.as_posix(), run.config["trainer"]["max_steps"]
    ('runs/tita-embedded', 20000)
    >>> fusion_lab.Run.load("tita/embedded", {"trainer.max_step": 1})
    Traceback (most recent call last):
    fusion_lab.errors.FusionLabError: there is no key 'trainer.max_step': did you mean 'max_steps' ...

    ``run.fit()`` then trains it, which takes longer than an example may.

    Args:
        config: A composed configuration.
        options: Further keys as a shell has them, such as ``--trainer.max_steps=3``; they go over the configuration.
        made_by: What the record of the run tells as its origin.
        command: The command that ``--help`` tells of.

    Attributes:
        folder: The folder of the run.
        started_from: What became of the weights that training began with, once it has.

    Raises:
        FusionLabError: A key or a type is wrong.
    """

    def __init__(
        self,
        config: Config,
        options: Sequence[str] = (),
        made_by: Sequence[str] = ("fusion_lab.Run",),
        command: str = "fit",
    ) -> None:
        self._parts = parse(command, config, options)
        self._made_by = list(made_by)
        self.folder = Path(str(self._parts.config.trainer.default_root_dir))
        self.started_from: StartReport | None = None

    @classmethod
    def load(
        cls,
        experiment: Path | str | Sequence[Path | str],
        overrides: Mapping[str, Any] | None = None,
        *,
        weights: Path | str | None = None,
    ) -> Self:
        """Compose an experiment and check every key.

        Args:
            experiment: A configuration, or several, later ones over earlier ones: files, or names of those that come
                with the package, such as ``tita/embedded`` or ``configs/data/embedded.yaml``.
            overrides: Values by their keys, such as ``{"trainer.max_steps": 200}``.
            weights: Weights that training begins with, the same as the key ``exp.weights``.

        Raises:
            FusionLabError: A file is missing, or a key or a type is wrong.
        """
        files = [experiment] if isinstance(experiment, str | Path) else list(experiment)
        if not files:
            raise FusionLabError(NO_EXPERIMENT)
        values = {**(overrides or {}), **({} if weights is None else {"exp.weights": str(weights)})}
        told = json.dumps([[str(file) for file in files], values], default=str)
        return cls(override(compose([Path(file) for file in files]), values), made_by=["Run.load", told])

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration, with every default."""
        return yaml.safe_load(self._dumped())

    def fit(self, resume: bool | None = None, checkpoint: Path | str | None = None) -> Result:
        """Train.

        Args:
            resume: Go on where the run has begun, and begin where it has not; as ``exp.auto_resume`` says unless given.
            checkpoint: What to go on from: a file, ``last``, the newest sound one of the run, or ``best``.

        Raises:
            FusionLabError: The run has begun and is not to go on, nothing is left to train, or something went wrong.
            KeyboardInterrupt: After Ctrl-C, when the run has saved itself.
            SystemExit: The run was asked by a signal to make room, and has saved itself; the code is `REQUEUE`.
        """
        parts, folder = self._made(), self.folder
        trainer = parts.trainer
        begun = bool(checkpoints(folder))
        resume = parts.config.exp.auto_resume if resume is None else resume
        asked = checkpoint or ("last" if begun and resume else None)
        done, found = 0, None
        if asked:
            found, stored = find_checkpoint(str(asked), folder)
            check_checkpoint(found, stored, parts.model.network, parts.model.weighting, parts.datamodule)
            check_end(found, stored, folder, trainer.max_steps, trainer.max_epochs)
            done = stored.steps
            # Lightning reads it again, with what else it holds.
            del stored
        elif begun or ((folder / RESULT).is_file() and (folder / "checkpoints" / BEST).is_file()):
            raise FusionLabError(
                f"The folder {folder} already holds a run: resume it with --ckpt_path last, or choose another "
                "--exp.name."
            )
        elif (weights := parts.config.exp.weights) is not None:
            self.started_from = start_from(parts.model.network, weights, parts.config.exp.leave_out_misfits)
        is_new = not folder.exists()
        make_folder(folder)
        self._record(trainer, goes_on=found is not None)
        with in_sentences(trainer, found):
            trainer.fit(parts.model, parts.datamodule, ckpt_path=found, weights_only=True)
        if found is not None and trainer.global_step == done and not checkpoints(folder):
            if is_new and trainer.is_global_zero:
                shutil.rmtree(folder)
            raise FusionLabError(
                f"Nothing was trained: {found} has come to the end that the configuration sets, after {done} "
                "steps. Ask for more steps or epochs, those that are done included."
            )
        metrics = {name: float(value) for name, value in _last_metrics(trainer).items()}
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            record_result(folder, trainer.global_step, metrics)
        return Result(folder, trainer.global_step, metrics, done, self.started_from)

    def validate(self, checkpoint: Path | str | None = None) -> dict[str, float]:
        """Score a checkpoint on the validation pairs; returns the mean of each metric.

        Args:
            checkpoint: A file, ``last`` or ``best``; needed unless the network learns nothing.
        """
        return self._evaluate("validate", checkpoint)

    def test(self, checkpoint: Path | str | None = None) -> dict[str, float]:
        """Score a checkpoint, as `validate` takes it, on the test pairs; returns the mean of each metric."""
        return self._evaluate("test", checkpoint)

    def predict(self, checkpoint: Path | str | None = None) -> Path:
        """Fuse the prediction pairs with a checkpoint, as `validate` takes it; returns the folder of the images."""
        self._evaluate("predict", checkpoint)
        return self.folder / "fused"

    def _evaluate(self, command: Command, checkpoint: Path | str | None) -> dict[str, float]:
        parts = self._made()
        found = None
        if checkpoint:
            found, stored = find_checkpoint(str(checkpoint), self.folder)
            check_checkpoint(found, stored, parts.model.network)
            set_progress(parts.trainer, stored.steps, stored.epochs)
        elif list(parts.model.network.parameters()):
            raise FusionLabError(f"Name the checkpoint to {command} with --ckpt_path; `last` is the newest of the run.")
        make_folder(self.folder)
        # WriteFused has written what is predicted.
        options = {"return_predictions": False} if command == "predict" else {}
        with in_sentences(parts.trainer, found):
            getattr(parts.trainer, command)(
                parts.model, parts.datamodule, ckpt_path=found, weights_only=True, **options
            )
        return {name: float(value) for name, value in parts.trainer.callback_metrics.items()}

    def _made(self) -> FusionCLI:
        """Make trainer, module and data: anew each time, as one training leaves nothing for the next one."""
        self._parts.make()
        if getattr(self._parts.trainer.strategy.launcher, "_start_method", None) == "spawn":
            raise FusionLabError(
                "Processes that `trainer.strategy` spawns cannot be given what a configuration makes: set it to ddp, "
                "which starts them anew."
            )
        return self._parts

    def _dumped(self) -> str:
        return self._parts.parser.dump(self._parts.config, skip_none=False)

    def _record(self, trainer: Trainer, goes_on: bool) -> None:
        """Write what the run is made with: at once, or, so that what is refused changes nothing, when it goes on."""
        if trainer.is_global_zero:
            remove_leftovers(self.folder / "checkpoints", ".ckpt")
            if self.started_from is not None:
                write_text(self.folder / "weights.txt", _listed(self.started_from))
        dumped = self._dumped()
        record = RecordRun(self.folder, dumped, self._made_by)
        if goes_on:
            trainer.callbacks.append(record)  # type: ignore[attr-defined]
        else:
            record.write(trainer)
        for logger in trainer.loggers:
            # An agent of W&B names the run itself.
            if isinstance(logger, WandbLogger) and trainer.is_global_zero and "WANDB_RUN_ID" not in os.environ:
                name_wandb_run(logger, run_id(self.folder))
            logger.log_hyperparams(yaml.safe_load(dumped))


def _listed(report: StartReport) -> str:
    """List all tensors that a training begins with, and those that it does not."""
    parts = {"used": report.used, "missing": report.missing, "left out": report.left_out}
    return f"{report}\n" + "".join(f"{what}: {name}\n" for what, names in parts.items() for name in names)


def _last_metrics(trainer: Trainer) -> Mapping[str, SupportsFloat]:
    """Return the last value of each metric, also of those that were last measured before the run went on."""
    kept = [callback.metrics for callback in trainer.callbacks if isinstance(callback, KeepHistory)]  # type: ignore[attr-defined]
    return {**dict(*kept[:1]), **trainer.callback_metrics}
