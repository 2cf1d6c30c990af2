"""What files of weights hold: recognised by their content, read without running their code."""

import json
import pickle
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar
from safetensors import safe_open
from torch import Tensor

from fusion_lab.errors import FusionLabError, one_line
from fusion_lab.inference.official import OFFICIAL, Release

_LIGHTNING_PREFIX = "network."
_SHOWN = 5
# Where programs that train put the weights, those that are averaged or chosen first.
_WRAPPERS = ("params", "state_dict", "model_state_dict", "model", "net", "network", "generator", "weights")
_DEEPEST_PREFIX = 3
# Numbers of NumPy, which trainings note beside the tensors, also as NumPy 1 named them. Making them runs no other code.
_PLAIN: list[Any] = [
    *((scalar, f"numpy.{core}.multiarray.scalar") for core in ("_core", "core")),
    np.dtype,
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__ if name not in ("ObjectDType", "StringDType")),
]


@dataclass(frozen=True)
class StoredNetwork:
    """A network as a file tells it, not built yet.

    Attributes:
        kind: What the file is, in words.
        description: How to build it: ``class_path`` and ``init_args``, as `FusionNetwork.description`.
        tensors: Its tensors by the names of our networks.
        origins: For each of our names, the key in the file that the tensor is from.
        dropped: Keys of the file that no network needs.
        steps: How many steps the training has done that wrote the file; 0 where it does not tell.
        epochs: How many whole epochs, alike.
    """

    kind: str
    description: dict[str, Any]
    tensors: dict[str, Tensor]
    origins: dict[str, str]
    dropped: list[str] = field(default_factory=list)
    steps: int = 0
    epochs: int = 0


def read_network(path: Path) -> StoredNetwork:
    """Read what a file of weights holds.

    Raises:
        FusionLabError: The file is missing, broken, needs code to be run, or holds something else.
    """
    if not is_file(path):
        raise FusionLabError(f"The weights {path} do not exist: check the path.")
    content, metadata = _read_file(path)
    if "network" in metadata:
        return _ours(path, metadata["network"], content)
    if isinstance(content.get("network"), dict) and "state_dict" in content:
        return _lightning(path, content)
    if (found := _official(path, content)) is not None:
        return found
    if "state_dict" in content:
        return _lightning(path, content)
    state = content["params"] if isinstance(content.get("params"), dict) else content
    raise FusionLabError(
        f"The weights {path} are of another network: they hold {some(state)}, which is neither a "
        f"network of fusion_lab nor an {' or '.join(release.kind for release in OFFICIAL.values())}."
    )


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what is stored under each key, and the metadata that only safetensors files have."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
        # A safetensors file begins with the length of its header, 8 bytes, and the header, a JSON dictionary.
        if start[8:] == b"{":
            with safe_open(path, "pt") as stored:
                return {key: stored.get_tensor(key) for key in stored.keys()}, stored.metadata() or {}  # noqa: SIM118
        with torch.serialization.safe_globals(_PLAIN):
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
        reason = one_line(error)
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
            f"The checkpoint {path} is of another program: it has `state_dict` ({some(keys)}), but does not "
            "tell how to build a network."
        )
    origins = {key.removeprefix(_LIGHTNING_PREFIX): key for key in used}
    tensors = {name: state[key] for name, key in origins.items()}
    dropped = [key for key in keys if key not in used]
    steps = _number(content, "global_step")
    epochs = _number(content, "loops", "fit_loop", "epoch_progress", "current", "processed")
    return StoredNetwork("Lightning checkpoint of fusion_lab", description, tensors, origins, dropped, steps, epochs)


def _number(content: Any, *keys: str) -> int:
    """Return a whole number inside nested dictionaries, 0 where there is none."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, int) else 0


def _official(path: Path, content: dict[str, Any]) -> StoredNetwork | None:
    """Read the checkpoint of a release as it is, or as programs that train leave it: wrapped, beside other things."""
    wrappers = [content[key] for key in _WRAPPERS if isinstance(content.get(key), dict)]
    for state in [*wrappers, content]:
        for prefix in _prefixes(state):
            own = {key.removeprefix(prefix): key for key in state if isinstance(key, str) and key.startswith(prefix)}
            release = next((release for release in OFFICIAL.values() if release.marks <= own.keys()), None)
            if release is not None:
                return _of_release(path, state, release, own)
    return None


def _of_release(path: Path, state: dict[str, Any], release: Release, own: dict[str, str]) -> StoredNetwork:
    """Return the network of a release whose tensors have these names in a file."""
    # Numbers that a training has noted are no part of the network.
    noted = {name for name, key in own.items() if isinstance(state[key], np.generic)}
    strange = [key for key in state if not isinstance(key, str)]
    strange += [key for name, key in own.items() if name not in noted and not isinstance(state[key], Tensor)]
    if strange:
        raise FusionLabError(f"The weights {path} hold more than tensors: {some(strange)}.")
    tensors = {name: state[key] for name, key in own.items() if name not in noted}
    origins = {ours: own[name] for name, tensor in tensors.items() for ours in release.rename({name: tensor})}
    dropped = [key for key in state if key not in set(origins.values())]
    return StoredNetwork(release.kind, release.description(path), release.rename(tensors), origins, dropped)


def _prefixes(state: dict[str, Any]) -> list[str]:
    """List what may stand before the names of a network, such as ``module.`` of DDP: nothing first."""
    parts = [key.split(".")[:-1][:_DEEPEST_PREFIX] for key in state if isinstance(key, str)]
    found = (".".join([*names[:depth], ""]) for depth in range(1, _DEEPEST_PREFIX + 1) for names in parts)
    return ["", *dict.fromkeys(prefix for prefix in found if prefix)]


def is_file(path: Path) -> bool:
    """Tell whether there is a file; names that none can have are those of none."""
    try:
        return path.is_file()
    except OSError:
        return False


def some(keys: Iterable[Any]) -> str:
    """Name the first few of many keys."""
    names = [str(key) for key in keys]
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "") if names else "nothing"
