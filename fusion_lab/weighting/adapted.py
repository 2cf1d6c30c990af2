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
        self.register_buffer("_place", torch.empty(0), persistent=False)

    @property
    def method(self) -> Method:
        """The module, with what a checkpoint knew about it."""
        if self._saved:
            _restore(self._held[0], self._saved, self._place.device)
            self._saved = {}
        return self._held[0]

    @property
    def name(self) -> str:
        """The name of the method."""
        return type(self._held[0]).__name__

    def get_extra_state(self) -> State:
        """Give what changed in the module since it was made, its parameters aside: plain data and tensors.

        What holds more than that, such as the solver of Nash-MTL, is left out whole and begins anew.
        """
        changes = {}
        for part, now in _attributes(self.method).items():
            start = self._start[part]
            changed = {key: value for key, value in now.items() if key not in start or not _same(value, start[key])}
            if changed and all(_plain(value) for value in changed.values()):
                changes[part] = changed
        return changes

    def set_extra_state(self, state: State) -> None:
        """Keep it until the module is used: only then it is clear on which device."""
        self._saved = state


def _restore(method: nn.Module, state: State, device: torch.device) -> None:
    for part, values in state.items():
        for key, value in values.items():
            setattr(method.get_submodule(part), key, _moved(value, device))


def _attributes(method: nn.Module) -> State:
    return {
        name: {**{key: value for key, value in vars(part).items() if key not in _KEPT_BY_TORCH}, **part._buffers}
        for name, part in method.named_modules()
    }


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other) or not _plain(one):
        return one is other
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, Tensor | bool | int | float | str | torch.dtype | torch.device)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, device) for item in value)
    if isinstance(value, torch.device):
        return device
    return value.to(device) if isinstance(value, Tensor) else value
