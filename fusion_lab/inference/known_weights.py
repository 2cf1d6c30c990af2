"""The weights that are known by name: those that come with the package, and published ones that can be fetched."""

from pathlib import Path

from fusion_lab.errors import FusionLabError
from fusion_lab.files import working_folder
from fusion_lab.inference.weights import SHIPPED_WEIGHTS, convert, load_network
from fusion_lab.public.weights import PUBLIC_WEIGHTS, cached_weights, fetch_weights, find_public_weights


def known_weights() -> list[dict[str, str | int]]:
    """Return name, network, parameters, source, terms of each, and whether they are here: the rows of a table."""
    rows: list[dict[str, str | int]] = []
    for file in sorted(SHIPPED_WEIGHTS.glob("*.safetensors")):
        network = load_network(file)
        rows.append(
            {
                "name": file.stem,
                "network": type(network).__name__,
                "parameters": sum(parameter.numel() for parameter in network.parameters()),
                "source": f"trained for the package: {file.stem}.md beside it",
                "terms": "MIT, as fusion_lab",
                "here": "shipped",
            }
        )
    for name, weights in PUBLIC_WEIGHTS.items():
        rows.append(
            {
                "name": name,
                "network": weights.network,
                "parameters": weights.parameters,
                "source": f"github.com/{weights.repository.name} at {str(weights.repository.commit)[:8]}",
                "terms": weights.terms,
                "here": "fetched" if cached_weights(name).is_file() else f"weights get {name}",
            }
        )
    return rows


def get_weights(name: str, output: Path | None = None, progress: bool = False) -> Path:
    """Fetch published weights from their repository, make sure that they are the known ones, and convert them.

    Args:
        name: One of `PUBLIC_WEIGHTS`, such as ``gifnet-official``.
        output: The ``.safetensors`` file; in the user's cache unless given, where `load_network` finds them by name.
        progress: Show a bar on stderr.

    Returns:
        The file.

    Raises:
        FusionLabError: There are none of this name, they cannot be fetched, or are others; nothing is left then.
    """
    weights, target = find_public_weights(name), output or cached_weights(name)
    if target.suffix != ".safetensors":
        raise FusionLabError(f"The output {target} should end in .safetensors.")
    with working_folder(target.parent, "weights") as folder:
        convert(fetch_weights(weights, folder, progress), target, weights.release)
    return target
