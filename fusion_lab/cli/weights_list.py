"""``fusion-lab weights list``: the weights that are shipped, and those that can be fetched, in one table."""

from jsonargparse import ArgumentParser, Namespace


def parser() -> ArgumentParser:
    """Make the parser of the command, which takes nothing."""
    return ArgumentParser(
        description="List the weights that are shipped and those that can be fetched: network, parameters, source, "
        "terms, and whether they are here.",
        exit_on_error=False,
    )


# PyTorch takes seconds to load: `--help` need not wait for it.


def run(_: Namespace) -> int:
    """Run the command; returns the exit code."""
    from rich.console import Console
    from rich.table import Table

    from fusion_lab.inference.weights import SHIPPED_WEIGHTS, load_network
    from fusion_lab.public.weights import PUBLIC_WEIGHTS, cached_weights

    table = Table("name", "network", "parameters", "source", "terms", "here")
    table.columns[2].justify = "right"
    table.columns[3].overflow = "fold"
    for file in sorted(SHIPPED_WEIGHTS.glob("*.safetensors")):
        network = load_network(file)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        source = f"trained for the package: {file.with_suffix('.md').name} beside it"
        table.add_row(file.stem, type(network).__name__, f"{parameters:,}", source, "MIT, as fusion_lab", "shipped")
    for name, weights in PUBLIC_WEIGHTS.items():
        repository = weights.repository
        here = "fetched" if cached_weights(name).is_file() else f"weights get {name}"
        source = f"github.com/{repository.name} at {str(repository.commit)[:8]}"
        table.add_row(name, weights.network, f"{weights.parameters:,}", source, weights.terms, here)
    Console().print(table)
    return 0
