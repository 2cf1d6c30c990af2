"""Saving and resuming what a method of TorchJD learns, even in attributes that no state dict holds."""

import copy
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from fusion_lab.weighting.base import LossWeighting

_KEPT_BY_TORCH = frozenset(vars(nn.Module()))

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
        self._start = _attributes(copy.deepcopy(method))
        self._saved: State = {}
        self._followed: tuple[torch.device, torch.dtype] | None = None
        self.register_buffer("_place", torch.empty(0), persistent=False)

    @property
    def method(self) -> Method:
        """The module, on the device and in the precision of this one, with what a checkpoint knew about it."""
        (method,) = self._held
        if (place := (self._place.device, self._place.dtype)) != self._followed:
            # Attributes, such as given weights; the buffers of a method are where the method itself wants them.
            for part in method.modules():
                for key, value in vars(part).items():
                    if key not in _KEPT_BY_TORCH:
                        setattr(part, key, _moved(value, self._place))
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
        """Return what changed in the module since it was made, its parameters aside: plain data and tensors.

        What holds more than that, such as the solver of Nash-MTL, is left out whole and begins anew.
        """
        if self._saved:
            return self._saved
        changes: State = {}
        for part, now in _attributes(self.method).items():
            start = self._start[part]
            changed = {key: value for key, value in now.items() if key not in start or not _same(value, start[key])}
            if changed and all(_plain(value) for value in changed.values()):
                changes[part] = {key: _packed(value, self._place.device) for key, value in changed.items()}
        return changes

    def set_extra_state(self, state: State) -> None:
        """Keep it until the module is used: only then it is clear on which device."""
        self._saved = state


def _attributes(method: nn.Module) -> State:
    return {
        name: {**{key: value for key, value in vars(part).items() if key not in _KEPT_BY_TORCH}, **part._buffers}
        for name, part in method.named_modules()
    }


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other) or not _plain(one):
        return one is other
    if isinstance(one, Tensor):
        return torch.equal(one.cpu(), other.cpu().to(one.dtype))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    return bool(one == other)


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str | int) and _plain(item) for key, item in value.items())
    return value is None or isinstance(value, Tensor | bool | int | float | str | torch.dtype | torch.device)


def _moved(value: Any, like: Tensor) -> Any:
    """Take tensors in plain data to the device of ``like``, and those of real numbers to its precision."""
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, like) for item in value) if _plain(value) else value
    if isinstance(value, dict):
        return {key: _moved(item, like) for key, item in value.items()} if _plain(value) else value
    if isinstance(value, Tensor):
        return value.to(like.device, like.dtype if value.is_floating_point() else value.dtype)
    return value


# In a checkpoint a tensor does not tell where it was; some methods keep theirs on the CPU on purpose.
_ON_CPU, _ON_DEVICE = "tensor on the CPU", "tensor on the device"


def _packed(value: Any, device: torch.device) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_packed(item, device) for item in value)
    if isinstance(value, dict):
        return {key: _packed(item, device) for key, item in value.items()}
    if isinstance(value, Tensor):
        return {_ON_DEVICE if value.device == device else _ON_CPU: value.clone()}
    return value


def _unpacked(value: Any, like: Tensor) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_unpacked(item, like) for item in value)
    if isinstance(value, dict):
        if value.keys() <= {_ON_CPU, _ON_DEVICE} and len(value) == 1:
            [(place, tensor)] = value.items()
            return tensor.to(like.device) if place == _ON_DEVICE else tensor.cpu()
        return {key: _unpacked(item, like) for key, item in value.items()}
    return like.device if isinstance(value, torch.device) else value
