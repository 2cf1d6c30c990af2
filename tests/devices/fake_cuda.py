"""CUDA without a GPU: tensors with a shape, a type and the device ``cuda``, which refuse to meet those of the CPU."""

import sys
from contextlib import contextmanager

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("cuda", 0)


class _Indexing(TorchFunctionMode):
    """Index and copy by operations: a build without CUDA would ask for a guard of the device otherwise."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.__getitem__ and isinstance(args[0], torch.Tensor) and args[0].is_cuda:
            return _index(*args)
        if func is torch.Tensor.__setitem__ and args[0].is_cuda:
            value = args[2]
            # There is nothing to write; what is written must lie on the device, or be a number.
            assert not isinstance(value, torch.Tensor) or value.is_cuda or not value.dim()
            return None
        if func is torch.Tensor.contiguous and args[0].is_cuda:
            return torch.ops.aten.clone(args[0], memory_format=torch.contiguous_format)
        if func is torch.Tensor.nonzero and (kwargs or {}).get("as_tuple"):
            return tuple(args[0].new_empty(7, dtype=torch.long) for _ in range(args[0].ndim))
        return func(*args, **(kwargs or {}))


class Answers(TorchDispatchMode):
    """Answers where the host asks the device for a number, or for as many as there are."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name
        if name in ("aten::_local_scalar_dense", "aten::item"):
            return 1.0 if args[0].is_floating_point() else args[0].dtype == torch.bool or 1
        if name == "aten::equal":
            assert args[0].device == args[1].device
            return True
        if name == "aten::bincount":
            return args[0].new_empty(args[2] if len(args) > 2 else kwargs["minlength"])
        return func(*args, **(kwargs or {}))


def _index(tensor, key):
    keys = key if isinstance(key, tuple) else (key,)
    used = sum(one is not None and one is not Ellipsis for one in keys)
    whole = [slice(None)] * (tensor.ndim - used)
    at = keys.index(Ellipsis) if any(one is Ellipsis for one in keys) else len(keys)
    dim = 0
    for one in (*keys[:at], *whole, *keys[at + 1 :]):
        if one is None:
            tensor = tensor.unsqueeze(dim)
        elif isinstance(one, int):
            tensor = tensor.select(dim, one)
            continue
        elif isinstance(one, slice):
            tensor = torch.ops.aten.slice(tensor, dim, one.start, one.stop, one.step or 1)
        else:
            indices = torch.as_tensor(one, device=tensor.device)
            return torch.ops.aten.index(tensor, [*[None] * dim, indices])
        dim += 1
    return tensor


@contextmanager
def fake_cuda(autocast=None):
    """Run without gradients on fake tensors, under autocast to ``autocast`` if given."""
    clear_caches()
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    try:
        with FakeTensorMode(allow_non_fake_inputs=False), torch.no_grad(), _Indexing(), Answers():
            if autocast is not None:
                torch.set_autocast_enabled("cuda", True)
                torch.set_autocast_dtype("cuda", autocast)
            yield
    finally:
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])
        torch.clear_autocast_cache()
        # What was made here is fake.
        clear_caches()


def clear_caches():
    for name, module in list(sys.modules.items()):
        if name.startswith("fusion_lab"):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def on_cuda(module: nn.Module) -> nn.Module:
    """Give a module parameters and buffers on the device; within `fake_cuda`."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(
                    torch.empty(parameter.shape, dtype=parameter.dtype, device=DEVICE), False
                )
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = _empty(buffer)
    return module


def _empty(like):
    return torch.empty(like.shape, dtype=like.dtype, device=DEVICE)


def images(*shape, dtype=torch.float32):
    """Return an image on the device; within `fake_cuda`."""
    return torch.empty(shape, dtype=dtype, device=DEVICE)
