"""Networks from files and to files: built by what a file says of them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from inspect import isabstract
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from jsonargparse import ArgumentParser
from safetensors import SafetensorError
from safetensors.torch import save_file

from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path
from fusion_lab.inference.official import OFFICIAL
from fusion_lab.inference.stored import StoredNetwork, is_file, read_network, some
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.public.weights import PUBLIC_WEIGHTS, cached_weights

SHIPPED_WEIGHTS = Path(__file__).parents[1] / "weights"
"""The networks that come with the package, ``tita`` and ``gifnet``, each with a card that tells how it was trained."""

_LONGEST_REASON = 500


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

    def __str__(self) -> str:
        told = [f"{self.kind}."]
        for what, keys in (
            ("used", self.used),
            ("dropped, of no use to the network", self.dropped),
            ("unexpected, left out", self.unexpected),
            ("missing", self.missing),
        ):
            told += [f"{len(keys)} keys {what}{':' if keys else ''}", *(f"  {key}" for key in keys)]
        return "\n".join(told)


def load_network(path: Path | str | None = None, device: str | torch.device = "cpu") -> FusionNetwork:
    """Load a network for use: in evaluation mode, without gradients.

    Args:
        path: Our ``.safetensors``, a Lightning checkpoint of ours, an official checkpoint (`OFFICIAL`), or an ONNX file
            of `export_onnx`; of the first three, what it is shows in its content, not in its name. Or the name of a
            network that comes with the package, ``tita`` or
            ``gifnet``; None for ``tita``. Or the class path of a network that learns nothing, such as
            ``fusion_lab.networks.LaplacianPyramid``.
        device: Where it shall run, such as ``cpu`` or ``cuda``.

    Raises:
        FusionLabError: The file is missing, broken, needs code to be run, or holds something else; its
            tensors do not fit; or there is no such device.
    """
    place = find_device(device)
    if (unlearnt := _unlearnt(str(path))) is not None:
        return unlearnt.eval().to(place)
    path = find_weights(path)
    if path.suffix.lower() == ".onnx":
        return _load_onnx(path, place)
    stored = read_network(path)
    network = build_network(stored.description)
    report = _compare(network, stored, path)
    if report.missing or report.unexpected:
        raise FusionLabError(f"The weights {path} do not fit {_name(network)}: {_complaint(report)}.")
    network.load_state_dict(stored.tensors)
    return network.eval().requires_grad_(False).to(place)


def _load_onnx(path: Path, device: torch.device) -> FusionNetwork:
    if device.type != "cpu":
        raise FusionLabError(f"The ONNX file {path} runs on the CPU here: use its .safetensors on {device}.")
    # Only who has such a file needs onnxruntime.
    from fusion_lab.inference.onnx_export import OnnxNetwork

    return OnnxNetwork(str(path)).eval()


def find_network(name: Path | str, device: str | torch.device = "cpu") -> FusionNetwork:
    """Load a network as `load_network` does, or build one that has learnt nothing, to count and to time it.

    Args:
        name: What `load_network` takes, or the class path of any network, such as ``fusion_lab.networks.TITA``.
        device: Where it shall run.
    """
    network = _of_class_path(str(name))
    return load_network(name, device) if network is None else network.eval().to(find_device(device))


def _of_class_path(name: str) -> FusionNetwork | None:
    """Build the network that a class path names; a file of the same name goes before it."""
    parts = name.split(".")
    found = None if len(parts) == 1 or not all(map(str.isidentifier, parts)) or is_file(Path(name)) else _find(name)
    if not (isinstance(found, type) and issubclass(found, FusionNetwork)):
        return None
    return build_network({"class_path": name})


def _unlearnt(name: str) -> FusionNetwork | None:
    """Build the network without parameters that a class path names."""
    network = _of_class_path(name)
    if network is not None and network.state_dict():
        raise FusionLabError(f"The network {name} has to learn before it can be used: name a file of its weights.")
    return network


def find_weights(path: Path | str | None) -> Path:
    """Return the file of a network that comes with the package, or was fetched, by its name; else the path.

    A file of that name comes first.

    Raises:
        FusionLabError: The network is one that should come with the package or can be fetched, and it is missing.
    """
    name = "tita" if path is None else str(path)
    file = SHIPPED_WEIGHTS / f"{name}.safetensors"
    if path is None and not file.is_file():
        raise FusionLabError(
            f"The network that should come with the package is missing ({file}): name a file of weights."
        )
    is_name = path is None or (Path(name).name == name and not is_file(Path(name)))
    if is_name and name in PUBLIC_WEIGHTS:
        file = cached_weights(name)
        if not is_file(file):
            raise FusionLabError(f"The weights {name} are not here yet: `fusion-lab weights get {name}` fetches them.")
    return file if is_name and is_file(file) else Path(name)


def save_network(network: FusionNetwork, path: Path | str, half: bool = False) -> None:
    """Write a network to a ``.safetensors`` file that says how to build it.

    Args:
        network: The network.
        path: The file.
        half: Store numbers as float16, in half the space; they are rounded by up to 0.05 %.

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
    if half:
        tensors = {name: x.half() if x.is_floating_point() else x for name, x in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, {"network": description})
        except (OSError, SafetensorError) as error:
            raise FusionLabError(f"The weights {path} cannot be written ({error}).") from None


def convert(source: Path | str, target: Path | str, release: str | None = None, half: bool = False) -> ConversionReport:
    """Turn an official checkpoint, or any file that `load_network` reads, into our ``.safetensors``.

    Keys that the network does not have are left out and reported.

    Args:
        source: The file, or the name of a packaged network.
        target: The new file.
        release: The official release that the file must be of, a name in `OFFICIAL`; None for any file.
        half: Store numbers as float16.

    Raises:
        FusionLabError: `load_network` could not read the file, it is not of the release, or tensors of the network are
            missing in it; nothing is written then.
    """
    source = find_weights(source)
    if release is not None and release not in OFFICIAL:
        raise FusionLabError(f"There is no release '{release}': choose one of {', '.join(OFFICIAL)}.")
    stored = read_network(source)
    if release is not None and stored.kind != OFFICIAL[release].kind:
        raise FusionLabError(
            f"The weights {source} are of another kind than asked for: {stored.kind}, not {OFFICIAL[release].kind}."
        )
    network = build_network(stored.description)
    report = _compare(network, stored, source)
    if report.missing:
        raise FusionLabError(f"The weights {source} make no whole {_name(network)}: {_complaint(report)}.")
    network.load_state_dict(stored.tensors, strict=False)
    save_network(network, target, half)
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
        raise FusionLabError(f"The class {class_path[:_LONGEST_REASON]} is no fusion network that can be built.")
    # Arguments of arbitrary values, as files may hold them, make classes fail in arbitrary ways.
    try:
        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(found, "network")
        return parser.instantiate_classes(parser.parse_object({"network": init_args})).network
    except Exception as error:
        # PyTorch adds the stack of its C++ code.
        words = " ".join(str(error).split()).partition(" Exception raised from")[0] or type(error).__name__
        reason = words.replace('Parser key "network.', 'argument "')[:_LONGEST_REASON]
        raise FusionLabError(
            f"The network {class_path} cannot be built from its arguments: {reason.rstrip('.')}."
        ) from None


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
    return "; ".join(f"{len(keys)} {what} ({some(keys)})" for what, keys in parts.items() if keys)


def _find(dotted: str) -> Any:
    """Import what a dotted path names, nested classes included; None if there is nothing."""
    try:
        return resolve_name(dotted)
    except (ImportError, AttributeError, ValueError, TypeError):
        return None


def find_device(device: str | torch.device) -> torch.device:
    """Return a device by its name, such as ``cpu`` or ``cuda:1``.

    Raises:
        FusionLabError: It is not here.
    """
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
