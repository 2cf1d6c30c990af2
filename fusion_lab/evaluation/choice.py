"""What a user names: the metrics, by a protocol, labels or class paths; and the methods."""

import re
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from inspect import isabstract
from pathlib import Path

from fusion_lab import metrics
from fusion_lab.errors import FusionLabError
from fusion_lab.metrics import FusionMetric
from fusion_lab.metrics.protocols import PROTOCOLS, Protocol


def choose_protocol(name: str, chosen: Sequence[str] | None = None) -> Protocol:
    """Return a protocol, with other metrics if some are named.

    Args:
        name: ``tita``, ``gifnet``, ``vifb`` or ``cddfuse``.
        chosen: Metrics instead of all of the protocol's: by label, in its variant where it has one, or by class path.

    Raises:
        FusionLabError: There is no such protocol or metric.
    """
    if name not in PROTOCOLS:
        raise FusionLabError(f"There is no protocol '{name}': choose one of {', '.join(PROTOCOLS)}.")
    protocol = PROTOCOLS[name]
    if not chosen:
        return protocol
    own = {label.lower(): label for label in protocol.metrics}
    found = {}
    for one in chosen:
        if label := own.get(one.lower()):
            found[label] = protocol.metrics[label]
        else:
            metric = _metric(one)
            found[metric.label] = metric
    source = f"Metrics chosen by hand; those of the protocol {protocol.name} are in its variants, and so are colours."
    return replace(protocol, metrics=found, source=source)


def _metric(name: str) -> FusionMetric:
    """Make the metric that has a label or a class path."""
    module, _, attribute = name.rpartition(".")
    if module:
        try:
            found = getattr(import_module(module), attribute)
        except (ImportError, AttributeError):
            raise FusionLabError(f"There is no metric {name}: check the class path.") from None
        if not (isinstance(found, type) and issubclass(found, FusionMetric)) or isabstract(found):
            raise FusionLabError(f"The class {name} is no FusionMetric that can be computed.")
        try:
            return found()
        except TypeError as error:
            raise FusionLabError(f"The metric {name} cannot be made without arguments ({error}).") from None
    classes = [value for value in vars(metrics).values() if isinstance(value, type) and issubclass(value, FusionMetric)]
    labels = {cls.label.lower(): cls for cls in classes if cls is not FusionMetric}
    if name.lower() not in labels:
        known = ", ".join(sorted(cls.label for cls in labels.values()))
        raise FusionLabError(f"There is no metric '{name}': choose of {known}, or name a class.")
    return labels[name.lower()]()


def named_folders(methods: Sequence[str]) -> dict[str, Path]:
    """Read ``METHOD=DIR`` arguments.

    Raises:
        FusionLabError: One has another form, or two have one name.
    """
    named: dict[str, Path] = {}
    for method in methods:
        name, _, folder = method.partition("=")
        # The table itself is called so.
        if not (folder and re.fullmatch(r"[^/\\=]+", name)) or name.lower() == "table":
            raise FusionLabError(
                f"The method '{method}' should be NAME=DIR, with a name that can be one of a file, other than 'table'."
            )
        if name in named:
            raise FusionLabError(f"Two methods are called '{name}': give each a name of its own.")
        named[name] = Path(folder)
    return named
