"""A device that is not there: training on ``meta``, with every look of the host at it counted.

Tensors on ``meta`` have shapes and no numbers, forward and backward. They stand for the GPU, the CPU for the host: what
would make the host wait for a GPU, or copies between the two, passes through the dispatcher and is noted.
"""

import traceback
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning import Callback, Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch.optim import adam
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader, Dataset

_PACKAGE = str(Path(__file__).parents[2] / "fusion_lab")
_WAIT = {"aten::nonzero", "aten::masked_select", "aten::equal", "aten::unique_dim", "aten::_unique2"}
_COPY = {"aten::_to_copy", "aten::copy_"}


class HostSyncs(TorchDispatchMode):
    """Counts, while it is on, what makes the host wait for the device: by operation and line of the package."""

    def __init__(self):
        super().__init__()
        self.on = False
        self.found = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func._schema.name
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        on_device = [tensor for tensor in given if tensor.is_meta]
        if name == "aten::_local_scalar_dense" and on_device:
            self._note("item")
            return 1.0 if given[0].is_floating_point() else True if given[0].dtype == torch.bool else 1
        if name == "aten::_to_copy" and on_device and str(kwargs.get("device")) == "cpu":
            self._note(name)
            return torch.zeros(given[0].shape, dtype=kwargs.get("dtype") or given[0].dtype)
        if name == "aten::copy_" and given[1].is_meta and not given[0].is_meta:
            self._note(name)
            return given[0]
        out = func(*args, **kwargs)
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
        # Numbers of the host that are scalars go to a kernel as its arguments.
        on_host = [
            one for one in given + made if not one.is_meta and (one.dim() or name in ("aten::_to_copy", "aten::copy_"))
        ]
        if ((on_device or any(one.is_meta for one in made)) and on_host) or (name in _WAIT and on_device):
            self._note(name)
        return out

    def _note(self, name):
        if not self.on:
            return
        stack = traceback.extract_stack()
        # The batch comes through pinned memory, without waiting.
        if any(frame.name in ("batch_to_device", "_transfer_batch_to_device") for frame in stack):
            return
        place = next((frame for frame in reversed(stack) if frame.filename.startswith(_PACKAGE)), stack[-3])
        self.found[name, f"{Path(place.filename).name}:{place.lineno}"] += 1


class _Meta(CPUAccelerator):
    def setup_device(self, device):
        pass


class _Steady(Callback):
    """Counts from the start of the third step to that of the fourth: nothing is made for the first time."""

    def __init__(self, syncs):
        self.syncs = syncs

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.syncs.on = batch_idx == 2


class _Batches(Dataset):
    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


@contextmanager
def meta_is_a_device(monkeypatch):
    """Let ``meta`` be a device in the two places of PyTorch that have a list of devices."""

    class Autocast(torch.autocast):
        def __init__(self, device_type, *args, **kwargs):
            super().__init__("cpu" if device_type == "meta" else device_type, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "autocast", Autocast)
        patch.setattr(adam, "_get_capturable_supported_devices", lambda *args, **kwargs: ["meta"])
        yield


def syncs_of_a_step(monkeypatch, folder, module, batch, callbacks):
    """Train four steps and return what made the host wait in the third one, a `Counter`."""
    syncs = HostSyncs()
    trainer = Trainer(
        default_root_dir=folder,
        max_steps=4,
        strategy=SingleDeviceStrategy(device=torch.device("meta"), accelerator=_Meta()),
        callbacks=[_Steady(syncs), *callbacks],
        logger=False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    with meta_is_a_device(monkeypatch), syncs:
        trainer.fit(module, DataLoader(_Batches([batch] * 4), batch_size=None))
    return syncs.found
