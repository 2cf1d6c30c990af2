"""Networks as ONNX files, for programs without PyTorch, and such files as networks."""

import hashlib
import json
import logging
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fusion_lab.errors import FusionLabError, FusionLabWarning, one_line
from fusion_lab.files import atomic_path
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.layers.padding import pad_to_next_multiple

SOURCES, FUSED = ("source_a", "source_b"), "fused"
_LARGEST_DIFFERENCE = 1e-4
"""How far the file may be from PyTorch on images of random levels."""
_EXAMPLE = (75, 91)
_CHECKED = ((64, 80), (45, 83), (96, 120))
_PREFIX = "fusion_lab."

# It tells of packages that nobody needs.
logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)


def export_onnx(network: FusionNetwork, path: Path | str) -> float:
    """Write a network as an ONNX file that takes luminance ``(1, 1, H, W)`` in [0, 1] of any size from 16 pixels on.

    The padding of the official test program (`FusionNetwork.test_padding`) is inside the file, and its metadata tell
    how the network is built and used. It is compared with PyTorch before it gets its name.

    Returns:
        The largest difference from PyTorch over images of three sizes.

    Raises:
        FusionLabError: The packages of the extra ``onnx`` are missing, the name has another suffix, the network cannot
            be exported, or the file gives something else than the network.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise FusionLabError(f"The output {path} should end in .onnx.")
    runtime = _runtime(also="onnxscript")
    name = type(network).__name__
    whole = _WithPadding(network).eval()
    dynamic = dict.fromkeys((2, 3), torch.export.Dim.DYNAMIC)
    try:
        with warnings.catch_warnings(action="ignore"), torch.no_grad():
            program = torch.export.export(
                whole,
                tuple(torch.rand(2, 1, 1, *_EXAMPLE)),
                dynamic_shapes=(dynamic, dynamic),
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
            exported = torch.onnx.export(
                program, input_names=list(SOURCES), output_names=[FUSED], verbose=False, optimize=True
            )
    # Whatever a network does that ONNX has no word for ends in an error of its own kind.
    except Exception as error:
        reason = one_line(error)
        raise FusionLabError(f"{name} cannot be exported to ONNX: {reason}") from None
    assert exported is not None
    exported.model.metadata_props.update(_metadata(network))
    with atomic_path(path) as temporary:
        # Weights inside the file, not beside it.
        exported.save(temporary, external_data=False)
        try:
            difference = _difference(runtime.InferenceSession(str(temporary)), whole)
        except Exception as error:
            reason = one_line(error)
            raise FusionLabError(f"{name} cannot be exported to ONNX for images of any size: {reason}") from None
        if difference > _LARGEST_DIFFERENCE:
            raise FusionLabError(f"The ONNX file of {name} would differ from PyTorch by {difference:.2g}.")
    return difference


class OnnxNetwork(FusionNetwork):
    """A network in an ONNX file that `export_onnx` wrote, run by onnxruntime on the CPU.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        runtime = _runtime()
        try:
            content = Path(path).read_bytes()
            self._session = runtime.InferenceSession(content)
        except OSError as error:
            raise FusionLabError(f"The weights {path} cannot be read ({error.strerror}): check the path.") from None
        # onnxruntime has errors of its own for each way in which a file can be broken.
        except Exception:
            raise FusionLabError(f"The weights {path} are no ONNX file that onnxruntime can read.") from None
        told = self._session.get_modelmeta().custom_metadata_map
        if _PREFIX + "colour_rule" not in told:
            raise FusionLabError(f"The ONNX file {path} was not written by `fusion-lab export`.")
        self.colour_rule = told[_PREFIX + "colour_rule"]  # type: ignore[misc]
        self.bytes_per_pixel = int(told[_PREFIX + "bytes_per_pixel"])
        self.made_from: dict[str, Any] = json.loads(told[_PREFIX + "network"])
        self._digest = hashlib.sha256(content).hexdigest()

    @property
    def description(self) -> dict[str, Any]:
        """How to build it: from its file, of which the checksum is told."""
        return {**super().description, "sha256": self._digest}

    def ordered_by(self, source_a: Tensor, source_b: Tensor) -> AbstractContextManager[None]:
        """Warn where the file sorts its sources: no pair but the one that it is given can tell it how."""
        if self.made_from.get("init_args", {}).get("brighter_first"):
            warnings.warn(
                "The ONNX file sorts the sources of each frame or band by itself, so that frames may flicker and bands "
                "may differ: take the .safetensors that it was made from.",
                FusionLabWarning,
                stacklevel=2,
            )
        return nullcontext()

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse ``(1, 1, H, W)`` and ``(1, 1, H, W)`` to ``(1, 1, H, W)``."""
        given = {name: source.float().cpu().numpy() for name, source in zip(SOURCES, (source_a, source_b), strict=True)}
        (fused,) = self._session.run([FUSED], given)
        return torch.from_numpy(fused).to(source_a)


class _WithPadding(nn.Module):
    """A network with the padding of its official test program."""

    def __init__(self, network: FusionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        height, width = source_a.shape[-2:]
        if multiple := self.network.test_padding:
            source_a, source_b = (pad_to_next_multiple(source, multiple) for source in (source_a, source_b))
        fused: Tensor = self.network(source_a, source_b)
        return fused[..., :height, :width]


_ORDER = "ivf: visible, infrared; mff: either; mef: over-, under-exposed (TITA), under-, over-exposed (GIFNet)"


def _metadata(network: FusionNetwork) -> dict[str, str]:
    told = {
        "network": json.dumps(network.description),
        "inputs": "luminance of the sources, float32 (1, 1, H, W) in [0, 1]",
        "output": "fused luminance, float32 (1, 1, H, W); cut it to [0, 1]",
        "order": "any" if network.init_args.get("brighter_first") else _ORDER,
        "colour_rule": network.colour_rule,
        "bytes_per_pixel": str(network.bytes_per_pixel),
    }
    return {_PREFIX + key: value for key, value in told.items()}


def _difference(session: Any, network: nn.Module) -> float:
    largest = 0.0
    draw = torch.Generator().manual_seed(0)
    for size in _CHECKED:
        a, b = torch.rand(2, 1, 1, *size, generator=draw)
        (found,) = session.run([FUSED], {"source_a": a.numpy(), "source_b": b.numpy()})
        with torch.no_grad():
            largest = max(largest, float((torch.from_numpy(found) - network(a, b)).abs().max()))
    return largest


def _runtime(also: str = "onnxruntime") -> Any:
    try:
        __import__(also)
        import onnxruntime
    except ImportError:
        raise FusionLabError("ONNX files need the extra onnx: `pip install 'fusion_lab[onnx]'`.") from None
    return onnxruntime
