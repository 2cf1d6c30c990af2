"""Networks in files: recognised by what a file holds, built by what it says, without running its code."""

import json
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import isabstract
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError, ArgumentParser
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.checkpoints import (
    from_official_gifnet,
    from_official_swinfusion,
    from_official_tita,
    is_official_gifnet,
    is_official_swinfusion,
    is_official_tita,
)

SHIPPED_WEIGHTS = Path(__file__).parents[1] / "weights" / "tita.safetensors"
"""The network that comes with the package."""

_OFFICIAL = (
    (
        "official TITA checkpoint",
        is_official_tita,
        from_official_tita,
        {"class_path": "fusion_lab.networks.tita.TITA", "init_args": {}},
    ),
    (
        "official GIFNet checkpoint",
        is_official_gifnet,
        from_official_gifnet,
        {"class_path": "fusion_lab.networks.gifnet.GIFNet", "init_args": {}},
    ),
    (
        "official SwinFusion checkpoint",
        is_official_swinfusion,
        from_official_swinfusion,
        {
            "class_path": "fusion_lab.networks.tita.TITA",
            "init_args": {
                "pixel_attention": None,
                "arrangement": ["intra", "intra", "inter", "inter"],
                "operations": [],
            },
        },
    ),
)
_LIGHTNING_PREFIX = "network."
_SHOWN = 5


@dataclass(frozen=True)
class StoredNetwork:
    """A network as a file tells it, not built yet.

    Attributes:
        kind: What the file is, in words.
        description: How to build it: ``class_path`` and ``init_args``, as `FusionNetwork.description`.
        tensors: Its tensors by the names of our networks.
        origins: For each of our names, the key in the file that the tensor is from.
        dropped: Keys of the file that no network needs.
    """

    kind: str
    description: dict[str, Any]
    tensors: dict[str, Tensor]
    origins: dict[str, str]
    dropped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ConversionReport:
    """What became of the keys of a converted file.

    Attributes:
        kind: What the file was, in words.
        used: Keys of the file whose tensors were taken over.
        dropped: Keys of the file that are known, but that the network has no use for.
        unexpected: Keys of the file that the network does not have.
        missing: Names of our network that the file has no tensor for.
    """

    kind: str
    used: list[str]
    dropped: list[str]
    unexpected: list[str]
    missing: list[str]


def load_network(path: Path | str | None = None, device: str | torch.device = "cpu") -> FusionNetwork:
    """Load a network for use: in evaluation mode, without gradients.

    Args:
        path: Our ``.safetensors``, a Lightning checkpoint of ours, or an official TITA checkpoint; what it is
            shows in its content, not in its name. None for the network that comes with the package.
        device: Where it shall run, such as ``cpu`` or ``cuda``.

    Raises:
        FusionLabError: The file is missing, broken, needs code to be run, or holds something else; its
            tensors do not fit; or there is no such device.
    """
    if path is None and not SHIPPED_WEIGHTS.is_file():
        raise FusionLabError(
            f"The network that should come with the package is missing ({SHIPPED_WEIGHTS}): name a file of weights."
        )
    path = SHIPPED_WEIGHTS if path is None else Path(path)
    place = _device(device)
    stored = read_network(path)
    network = build_network(stored.description)
    report = _compare(network, stored, path)
    if report.missing or report.unexpected:
        raise FusionLabError(f"The weights {path} do not fit {_name(network)}: {_complaint(report)}.")
    network.load_state_dict(stored.tensors)
    return network.eval().requires_grad_(False).to(place)


def save_network(network: FusionNetwork, path: Path | str) -> None:
    """Write a network to a ``.safetensors`` file that says how to build it.

    Raises:
        FusionLabError: The suffix is another one, the file cannot be written, or the network was built with
            arguments that are no plain data.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise FusionLabError(f"The output {path} should end in .safetensors.")
    try:
        description = json.dumps(network.description)
    except TypeError:
        raise FusionLabError(
            f"{_name(network)} was built with arguments that are no plain data, so that no file can tell "
            f"them ({', '.join(network.init_args)}): give it plain data or classes."
        ) from None
    # Clones: safetensors refuses tensors that share memory.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, {"network": description})
        except (OSError, SafetensorError) as error:
            raise FusionLabError(f"The weights {path} cannot be written ({error}).") from None


def convert(source: Path | str, target: Path | str) -> ConversionReport:
    """Turn an official checkpoint, or any file that `load_network` reads, into our ``.safetensors``.

    Keys that the network does not have are left out and reported.

    Raises:
        FusionLabError: `load_network` could not read the file, or tensors of the network are missing in it;
            nothing is written then.
    """
    source = Path(source)
    stored = read_network(source)
    network = build_network(stored.description)
    report = _compare(network, stored, source)
    if report.missing:
        raise FusionLabError(f"The weights {source} make no whole {_name(network)}: {_complaint(report)}.")
    network.load_state_dict(stored.tensors, strict=False)
    save_network(network, target)
    return report


def build_network(description: Mapping[str, Any]) -> FusionNetwork:
    """Build a network as a description says, with weights as drawn at the start of training.

    Args:
        description: ``class_path``, the dotted path of a `FusionNetwork`, and ``init_args``, checked against
            the types of its constructor; classes among them are dotted paths too.

    Raises:
        FusionLabError: The class is no `FusionNetwork`, or the arguments are not its own.
    """
    class_path, init_args = description.get("class_path"), description.get("init_args", {})
    if not isinstance(class_path, str) or not isinstance(init_args, dict):
        raise FusionLabError("A network is described by `class_path`, a dotted path, and `init_args`, a dictionary.")
    found = _find(class_path)
    if not (isinstance(found, type) and issubclass(found, FusionNetwork)) or isabstract(found):
        raise FusionLabError(f"The class {class_path} is no fusion network that can be built.")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(found, "network")
    try:
        return parser.instantiate_classes(parser.parse_object({"network": init_args})).network
    except (ArgumentError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise FusionLabError(f"The network {class_path} cannot be built from its arguments: {reason}") from None


def read_network(path: Path) -> StoredNetwork:
    """Read what a file of weights holds.

    Raises:
        FusionLabError: The file is missing, broken, needs code to be run, or holds something else.
    """
    if not path.is_file():
        raise FusionLabError(f"The weights {path} do not exist: check the path.")
    content, metadata = _read_file(path)
    if "network" in metadata:
        return _ours(path, metadata["network"], content)
    if "state_dict" in content:
        return _lightning(path, content)
    return _official(path, content)


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Give what is stored under each key, and the metadata that only safetensors files have."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
        # A safetensors file begins with the length of its header, 8 bytes, and the header, a JSON dictionary.
        if start[8:] == b"{":
            with safe_open(path, "pt") as stored:
                return {key: stored.get_tensor(key) for key in stored.keys()}, stored.metadata() or {}  # noqa: SIM118
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error):
            raise FusionLabError(
                f"The weights {path} can only be read by running code that they hold, which is refused: "
                "save the tensors alone (a state dict)."
            ) from None
        raise FusionLabError(f"The weights {path} are broken or of no known format: replace the file.") from None
    # Arbitrary bytes make the readers fail in arbitrary ways.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise FusionLabError(
            f"The weights {path} are broken or of no known format ({reason}): replace the file."
        ) from None
    if not isinstance(content, dict):
        raise FusionLabError(f"The weights {path} hold no dictionary of tensors, but a {type(content).__name__}.")
    return content, {}


def _ours(path: Path, told: str, tensors: dict[str, Tensor]) -> StoredNetwork:
    try:
        description = json.loads(told)
    except json.JSONDecodeError:
        description = None
    if not isinstance(description, dict):
        raise FusionLabError(f"The weights {path} do not tell how to build their network: `network` is no JSON.")
    return StoredNetwork("weights of fusion_lab", description, tensors, {name: name for name in tensors})


def _lightning(path: Path, content: dict[str, Any]) -> StoredNetwork:
    state, description = content["state_dict"], content.get("network")
    keys = list(state) if isinstance(state, dict) else []
    used = [key for key in keys if str(key).startswith(_LIGHTNING_PREFIX) and isinstance(state[key], Tensor)]
    if not isinstance(description, dict) or not used:
        raise FusionLabError(
            f"The checkpoint {path} is of another program: it has `state_dict` ({_some(keys)}), but does not "
            "tell how to build a network."
        )
    origins = {key.removeprefix(_LIGHTNING_PREFIX): key for key in used}
    tensors = {name: state[key] for name, key in origins.items()}
    dropped = [key for key in keys if key not in used]
    return StoredNetwork("Lightning checkpoint of fusion_lab", description, tensors, origins, dropped)


def _official(path: Path, content: dict[str, Any]) -> StoredNetwork:
    state = content["params"] if isinstance(content.get("params"), dict) else content
    found = next(((kind, rename, network) for kind, fits, rename, network in _OFFICIAL if fits(state)), None)
    if found is None:
        raise FusionLabError(
            f"The weights {path} are of another network: they hold {_some(state)}, which is neither a "
            f"network of fusion_lab nor an {' or '.join(kind for kind, *_ in _OFFICIAL)}."
        )
    strange = [key for key, value in state.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if strange:
        raise FusionLabError(f"The weights {path} hold more than tensors: {_some(strange)}.")
    kind, rename, description = found
    origins = {name: key for key, tensor in state.items() for name in rename({key: tensor})}
    dropped = [key for key in state if key not in set(origins.values())]
    return StoredNetwork(kind, description, rename(state), origins, dropped)


def _compare(network: FusionNetwork, stored: StoredNetwork, path: Path) -> ConversionReport:
    """Tell which tensors of a file a network takes.

    Raises:
        FusionLabError: A tensor has another shape than in the network.
    """
    own = network.state_dict()
    for name in own.keys() & stored.tensors.keys():
        expected, given = tuple(own[name].shape), tuple(stored.tensors[name].shape)
        if expected != given:
            raise FusionLabError(
                f"The weights {path} do not fit {_name(network)}: {stored.origins[name]} has the shape "
                f"{given}, not {expected}."
            )

    def keys(names: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(stored.origins[name] for name in names))

    return ConversionReport(
        kind=stored.kind,
        used=keys(name for name in stored.tensors if name in own),
        dropped=stored.dropped,
        unexpected=keys(name for name in stored.tensors if name not in own),
        missing=[name for name in own if name not in stored.tensors],
    )


def _complaint(report: ConversionReport) -> str:
    parts = {"missing": report.missing, "unexpected": report.unexpected}
    return "; ".join(f"{len(keys)} {what} ({_some(keys)})" for what, keys in parts.items() if keys)


def _find(dotted: str) -> Any:
    """Import what a dotted path names, nested classes included; None if there is nothing."""
    parts = dotted.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found: Any = import_module(".".join(parts[:cut]))
        except (ImportError, ValueError, TypeError):
            continue
        for name in parts[cut:]:
            found = getattr(found, name, None)
        return found
    return None


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise FusionLabError(
            f"There is no device '{device}' here: use cpu, or check the PyTorch installation."
        ) from None
    return place


def _name(network: FusionNetwork) -> str:
    return type(network).__name__


def _some(keys: Iterable[Any]) -> str:
    names = [str(key) for key in keys]
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "") if names else "nothing"
