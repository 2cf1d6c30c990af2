"""Saving and resuming what a method of TorchJD learns, even in attributes that no state dict holds."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from fusion_lab.weighting.base import LossWeighting

_STATE: Mapping[str, tuple[str, ...]] = {
    "DWA": ("_loss_sum", "_n_batches", "_previous_averages"),
    "ExcessMTLWeighting": ("_n_steps", "_state_key"),
    "GradVacWeighting": ("_state_key",),
    "MoDoWeighting": ("_state_key",),
    "PCDWeighting": ("_state_key",),
    "SDMGradWeighting": ("_state_key",),
}
"""What the methods of TorchJD 0.18 learn beside buffers and parameters. The solver of Nash-MTL is left out: it begins
anew."""
_GIVEN = ("weights", "reference", "_initial_weights", "_pref_vector")
"""Tensors that users give to the methods of TorchJD 0.18."""

Method = TypeVar("Method", bound=nn.Module)
State = dict[str, dict[str, Any]]


class AdaptedWeighting(LossWeighting, Generic[Method]):
    """A weighting that a module of TorchJD does.

    Args:
        method: The module, in which nothing has been learnt yet.
    """

    _place: Tensor

    def __init__(self, method: Method) -> None:
        super().__init__()
        # Inside a tuple PyTorch does not see it: some methods grow buffers that a new one could not load.
        self._held = (method,)
        self._saved: State = {}
        self._followed: tuple[torch.device, torch.dtype] | None = None
        self.register_buffer("_place", torch.empty(0), persistent=False)

    @property
    def method(self) -> Method:
        """The module, on the device and in the precision of this one, with what a checkpoint knew about it."""
        (method,) = self._held
        if (place := (self._place.device, self._place.dtype)) != self._followed:
            # The buffers of a method are where the method itself wants them.
            for part in method.modules():
                for key in (*_GIVEN, *_STATE.get(type(part).__name__, ())):
                    if key in vars(part):
                        setattr(part, key, _moved(vars(part)[key], self._place))
            self._followed = place
        for name, values in self._saved.items():
            for key, value in values.items():
                setattr(method.get_submodule(name), key, _unpacked(value, self._place))
        self._saved = {}
        return method

    @property
    def name(self) -> str:
        """The name of the method."""
        return type(self._held[0]).__name__

    def extra_repr(self) -> str:
        """Name the method where modules are printed."""
        return self.name

    def get_extra_state(self) -> State:
        """Return what the method has learnt beside its parameters, part by part: plain data and tensors."""
        if self._saved:
            return self._saved
        state: State = {}
        for name, part in self.method.named_modules():
            learnt: dict[str, Any] = dict(part.named_buffers(recurse=False))
            learnt |= {key: getattr(part, key) for key in _STATE.get(type(part).__name__, ())}
            if learnt:
                state[name] = {key: _packed(value, self._place.device) for key, value in learnt.items()}
        return state

    def set_extra_state(self, state: State) -> None:
        """Keep it until the module is used: only then it is clear on which device."""
        self._saved = state


def _moved(value: Any, like: Tensor) -> Any:
    """Take tensors to the device of ``like``, and those of real numbers to its precision."""
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, like) for item in value)
    if isinstance(value, Tensor):
        return value.to(like.device, like.dtype if value.is_floating_point() else value.dtype)
    return value


# In a checkpoint a tensor does not tell where it was; some methods keep theirs on the CPU on purpose.
_ON_CPU, _ON_DEVICE = "tensor on the CPU", "tensor on the device"


def _packed(value: Any, device: torch.device) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_packed(item, device) for item in value)
    if isinstance(value, Tensor):
        return {_ON_DEVICE if value.device == device else _ON_CPU: value.clone()}
    return value


def _unpacked(value: Any, like: Tensor) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_unpacked(item, like) for item in value)
    if isinstance(value, dict):
        [(place, tensor)] = value.items()
        return tensor.to(like.device) if place == _ON_DEVICE else tensor.cpu()
    return like.device if isinstance(value, torch.device) else value
