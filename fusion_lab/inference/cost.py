"""What a network costs: parameters, operations, time and memory for images of one size."""

import resource
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from copy import deepcopy
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from fusion_lab.errors import UNGUARDED, FusionLabError
from fusion_lab.inference.onnx_export import OnnxNetwork
from fusion_lab.inference.tiling import SMALLEST_SIDE
from fusion_lab.inference.weights import find_network
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.layers.strips import in_strips
from fusion_lab.types import Cost

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_KIBIBYTE = 2**10


def named_networks(given: Sequence[str], device: str | torch.device = "cpu") -> dict[str, FusionNetwork]:
    """Load networks, each named by ``NAME=NETWORK``, or by its file or class where no name is given.

    Raises:
        FusionLabError: Two have one name, or one cannot be loaded, as of `find_network`.
    """
    networks: dict[str, FusionNetwork] = {}
    for one in given:
        name, sign, weights = one.partition("=")
        # The names of checkpoints hold such a sign too.
        if (is_file := Path(one).is_file()) or not sign:
            name, weights = Path(one).stem if is_file else one.rpartition(".")[2], one
        if name in networks:
            raise FusionLabError(f"Two networks are called '{name}': give them names, such as {name}1={weights}.")
        networks[name] = find_network(weights, device)
        if isinstance(networks[name], OnnxNetwork):
            raise FusionLabError(
                f"The operations of {weights}, an ONNX file, cannot be counted: name its .safetensors."
            )
    return networks


def costs(
    networks: Mapping[str, FusionNetwork],
    height: int,
    width: int,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
    rounds: int = 5,
) -> dict[str, Cost]:
    """Measure networks side by side: they take turns, so that what else the machine does meets all of them.

    Args:
        networks: The networks by the names of their rows.
        height: Height of the images in pixels.
        width: Width of the images in pixels.
        device: Where to measure, such as ``cpu`` or ``cuda``.
        dtype: ``float32``, or ``bfloat16`` or ``float16`` for automatic mixed precision.
        rounds: Timed passes of each network; one more before them is not timed.

    Raises:
        FusionLabError: A side is shorter than 8 pixels, the type is another one, or there is no round.

    Example:
        >>> from fusion_lab.networks import Average
        >>> costs({"Average": Average()}, 16, 16, rounds=1)["Average"].parameters
        0
    """
    if min(height, width) < SMALLEST_SIDE:
        raise FusionLabError(f"Images of {width}x{height} pixels are too small: both sides need {SMALLEST_SIDE}.")
    if dtype not in _DTYPES:
        raise FusionLabError(f"`dtype` should be one of {', '.join(_DTYPES)}. Found `dtype = {dtype}`.")
    if rounds < 1:
        raise FusionLabError(f"`rounds` should be 1 or more. Found `rounds = {rounds}`.")
    place = torch.device(device)
    times: dict[str, list[float]] = {name: [] for name in networks}
    moved = {name: deepcopy(network).eval().to(place) for name, network in networks.items()}
    sources = _sources(height, width, place)
    for number in range(rounds + 1):
        for name, network in moved.items():
            seconds = _time(network, sources, dtype)
            if number:
                times[name].append(seconds)
    return {
        name: Cost(
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            **operations(network, height, width),
            seconds=statistics.median(times[name]),
            seconds_of_rounds=times[name],
            memory=peak_memory(network, height, width, place, dtype),
        )
        for name, network in moved.items()
    }


def operations(network: FusionNetwork, height: int, width: int) -> dict[str, int]:
    """Count the operations of a pass over one pair, ``flop`` and ``other_flop`` of `Cost`, without doing it."""
    imagined = deepcopy(network).eval().to("meta")
    counter, rest = FlopCounterMode(display=False), _OtherOperations()
    with torch.no_grad(), rest, counter:
        imagined(*_sources(height, width, torch.device("meta")))
    return {"flop": counter.get_total_flops(), "other_flop": rest.count}


def peak_memory(
    network: FusionNetwork, height: int, width: int, device: torch.device | str = "cpu", dtype: str = "float32"
) -> int:
    """Measure the peak of the memory in bytes that a pass over one pair takes beside weights and sources.

    On a CPU a process of its own makes the pass, and the peak is what it grew by.
    """
    place = torch.device(device)
    if place.type == "cpu":
        try:
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                return pool.submit(_growth, network, height, width, dtype, torch.get_num_threads()).result()
        except BrokenProcessPool:
            raise FusionLabError(UNGUARDED) from None
    sources = _sources(height, width, place)
    torch.cuda.reset_peak_memory_stats(place)
    before = torch.cuda.memory_allocated(place)
    _time(network, sources, dtype)
    return torch.cuda.max_memory_allocated(place) - before


def _growth(network: FusionNetwork, height: int, width: int, dtype: str, threads: int) -> int:
    torch.set_num_threads(threads)
    sources = _sources(height, width, torch.device("cpu"))
    # The libraries that the first pass loads are not the network's.
    _time(network, _sources(4 * SMALLEST_SIDE, 4 * SMALLEST_SIDE, torch.device("cpu")), dtype)
    before = _peak(reset=True)
    _time(network, sources, dtype)
    return _peak() - before


def _peak(reset: bool = False) -> int:
    """Return the most memory in bytes that this process held; on Linux it can begin anew from what it holds now."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBIBYTE
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * _KIBIBYTE


def _sources(height: int, width: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    if device.type == "meta":
        return torch.empty(1, 1, height, width, device=device), torch.empty(1, 1, height, width, device=device)
    # Values that are all the same would let caches and branches look better than they are.
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 1, 1, height, width, generator=generator)
    return first.to(device), second.to(device)


@torch.inference_mode()
def _time(network: FusionNetwork, sources: tuple[torch.Tensor, torch.Tensor], dtype: str) -> float:
    """Return the seconds of a pass."""
    device = sources[0].device
    mixed = nullcontext() if dtype == "float32" else torch.autocast(device.type, _DTYPES[dtype])
    with mixed, in_strips():
        _wait_for(device)
        begin = perf_counter()
        network(*sources)
        _wait_for(device)
    return perf_counter() - begin


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _OtherOperations(TorchDispatchMode):
    """Count values that element-wise operations make and reductions read."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if torch.Tag.pointwise in func.tags:
            self.count += _numbers(result)
        elif torch.Tag.reduction in func.tags or func.overloadpacket.__name__ in _REDUCTIONS:
            self.count += sum(map(_numbers, args))
        return result


# What PyTorch does not call a reduction, though it reads each value once.
_REDUCTIONS = {"native_layer_norm", "_softmax", "avg_pool2d", "max_pool2d_with_indices", "cumsum"}


def _numbers(value: Any) -> int:
    return value.numel() if isinstance(value, torch.Tensor) else 0
