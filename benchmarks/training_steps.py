"""The training steps that `speed.py` measures: a plain program's, as the release trains, and ours."""

from collections.abc import Callable
from typing import Any

Work = tuple[Callable[[], Any], Callable[[], Any]]
"""What warms up, and what is measured."""


def tita_step(bf16: bool) -> Callable[[bool], Work]:
    """One step of TITA with FAMO: three tasks, two patches of 64 x 64 each, and FAMO's second pass."""

    def make(plain: bool) -> Work:
        import torch

        from fusion_lab.modules.tita import tita_objectives
        from fusion_lab.networks import TITA
        from fusion_lab.runs.memory import keep_freed_memory

        if not plain:
            keep_freed_memory()
        torch.manual_seed(0)
        network = TITA().train()
        batch = {
            task: {**dict(zip(("source_a", "source_b"), torch.rand(2, 2, 1, 64, 64), strict=True)), "name": ["", ""]}
            for task in tita_objectives()
        }
        step = plain_tita_step(network, batch, bf16) if plain else trainer_step(network, batch, bf16)
        return step, step

    return make


def plain_tita_step(network: Any, batch: dict[str, Any], bf16: bool) -> Callable[[], None]:
    """Train as the release does: the losses of all tasks, one backward pass, and the losses again."""
    import plain_networks
    import torch

    from fusion_lab.losses import Objective
    from fusion_lab.modules.tita import tita_objectives
    from fusion_lab.weighting import FAMO

    objectives = {task: Objective(terms) for task, terms in tita_objectives().items()}
    weighting = FAMO()
    weighting.setup(list(objectives))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-5)

    def losses() -> dict[str, Any]:
        found = {}
        for task, sample in batch.items():
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                fused = plain_networks.tita(network, sample["source_a"], sample["source_b"])
            found[task] = torch.stack(list(objectives[task](fused.float(), sample).values())).sum()
        return found

    def step() -> None:
        before = losses()
        optimizer.zero_grad()
        weighting(before).backward()
        optimizer.step()
        with torch.no_grad():
            after = losses()
        weighting.update({task: loss.detach() for task, loss in before.items()}, after)

    return step


def trainer_step(network: Any, batch: dict[str, Any], bf16: bool) -> Callable[[], None]:
    """Train as `fusion-lab fit` does."""
    import logging
    import warnings

    from lightning import Trainer
    from torch.utils.data import DataLoader

    from fusion_lab.callbacks import MeasureAgain
    from fusion_lab.modules import TITAModule
    from fusion_lab.weighting import FAMO

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    module = TITAModule(network, weighting=FAMO())

    def step() -> None:
        trainer = Trainer(
            max_steps=1, accelerator="cpu", devices=1, precision="bf16-mixed" if bf16 else "32-true",
            callbacks=[MeasureAgain()], logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(module, DataLoader([batch], batch_size=None))  # type: ignore[arg-type]

    return step


def gifnet_step(bf16: bool) -> Callable[[bool], Work]:
    """One step of each phase of GIFNet, 4 patches of 128 x 128 a task, with squared errors in place of DenseNet."""

    def make(plain: bool) -> Work:
        import plain_networks
        import torch

        from fusion_lab.networks import GIFNet
        from fusion_lab.runs.memory import keep_freed_memory

        if not plain:
            keep_freed_memory()
        torch.manual_seed(0)
        network = GIFNet().train()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
        pairs = torch.rand(2, 2, 4, 1, 128, 128)

        def one(task: Any, main: Any, auxiliary: Any) -> None:
            encode = (lambda *pair: plain_networks.gifnet_encode(network, *pair)) if plain else network.encoder
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                features = encode(*main)
                with torch.no_grad():
                    helping = encode(*auxiliary)
                if plain:
                    fused = plain_networks.gifnet_fuse(network, features, helping, task)
                else:
                    fused = network.fuse(features, helping, task)
                again = network.reconstruct(features)
            loss = (fused.float() - main[0]).square().mean() + (again.float() - main[1]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        def step() -> None:
            one("multi_modal", pairs[0], pairs[1])
            one("digital_photography", pairs[1], pairs[0])

        return step, step

    return make
