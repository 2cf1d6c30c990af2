"""Beginning a training with weights that are there already: those of the network alone."""

from dataclasses import dataclass
from pathlib import Path

from fusion_lab.errors import FusionLabError
from fusion_lab.inference.stored import read_network, some
from fusion_lab.inference.weights import find_weights
from fusion_lab.networks import FusionNetwork


@dataclass(frozen=True)
class StartReport:
    """What became of the tensors of weights that a training begins with.

    Attributes:
        weights: The file.
        kind: What the file is, in words.
        used: Names of the network whose tensors were taken over.
        missing: Names of the network that the file has no fitting tensor for; they stay as the seed draws them.
        left_out: Keys of the file that were not taken over.
    """

    weights: Path
    kind: str
    used: list[str]
    missing: list[str]
    left_out: list[str]

    def __str__(self) -> str:
        """Return one sentence."""
        rest = {"missing": self.missing, "left out": self.left_out}
        told = [f"{len(names)} {what}" + (f" ({some(names)})" if names else "") for what, names in rest.items()]
        return f"Training begins with {self.weights}: {len(self.used)} tensors used, {', '.join(told)}."


def start_from(network: FusionNetwork, weights: str, leave_out_misfits: bool = False) -> StartReport:
    """Copy weights into a network, by the names of its tensors.

    Args:
        network: The network.
        weights: All that `fusion_lab.load_network` reads: a file, or the name of shipped or fetched weights.
        leave_out_misfits: Leave tensors out whose shape is another than in the network.

    Raises:
        FusionLabError: The file is missing or broken, a shape differs, or no tensor goes with one of the network.
    """
    path = find_weights(weights)
    stored = read_network(path)
    own = network.state_dict()
    misfits = [name for name, tensor in stored.tensors.items() if name in own and tensor.shape != own[name].shape]
    if misfits and not leave_out_misfits:
        first = misfits[0]
        raise FusionLabError(
            f"The weights {path} do not fit the network of the configuration: {len(misfits)} tensors have another "
            f"shape, such as {first} ({tuple(stored.tensors[first].shape)}, not {tuple(own[first].shape)}). Give the "
            f"network the arguments of the weights ({_told(stored.description)}), or leave such tensors out by "
            "`exp.leave_out_misfits: true`."
        )
    taken = {name: tensor for name, tensor in stored.tensors.items() if name in own and name not in misfits}
    if not taken:
        raise FusionLabError(
            f"The weights {path} are of another network ({stored.kind}): none of their tensors goes with one of "
            f"{type(network).__name__}."
        )
    network.load_state_dict(taken, strict=False)
    others = list(dict.fromkeys(stored.origins[name] for name in stored.tensors if name not in taken))
    return StartReport(path, stored.kind, list(taken), [name for name in own if name not in taken], others)


def _told(description: dict[str, object]) -> str:
    arguments = description.get("init_args")
    return ", ".join(f"{name}: {value}" for name, value in arguments.items()) if isinstance(arguments, dict) else ""
