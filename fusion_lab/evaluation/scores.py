"""Methods against each other on the same pairs."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from fusion_lab.errors import FusionLabError
from fusion_lab.evaluation.choice import choose_protocol
from fusion_lab.evaluation.scoring import (
    REFERENCE_METRICS,
    Evaluation,
    FusedPair,
    SourceOptions,
    find_fused,
    score_pairs,
)
from fusion_lab.files import make_folder, write_text
from fusion_lab.metrics.protocols import Protocol
from fusion_lab.reporting.methods import MethodTable, grid, method_table, write_csv

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Scores:
    """The scores of methods, image by image.

    Attributes:
        methods: The scores of each method by its name, and what could not be scored.
        protocol: The metrics.
        pairs: The files of each method.
    """

    methods: dict[str, Evaluation]
    protocol: Protocol
    pairs: dict[str, list[FusedPair]]

    @property
    def images(self) -> "DataFrame":
        """A row for each method and image, a column for each metric."""
        import pandas as pd

        rows = {(method, image): row for method, found in self.methods.items() for image, row in found.rows.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["method", "image"])

    def table(self, against: str | None = None) -> "DataFrame":
        """Return the mean of each metric over the images that all methods have, a row a method.

        Args:
            against: A method to test the others against: adds the p of Wilcoxon's signed-rank test, ``p(METRIC)``.
        """
        import pandas as pd

        made = self.comparison(against)
        frame = pd.DataFrame(made.means, made.methods, made.labels).rename_axis("method")
        if against is None:
            return frame
        return frame.join(pd.DataFrame(made.p_values, made.methods, [f"p({label})" for label in made.labels]))

    def comparison(self, against: str | None = None) -> MethodTable:
        """Return what the tables of `write` show: means, deviations, places and tests."""
        higher = self.protocol.higher_is_better | {
            label: metric.higher_is_better for label, metric in REFERENCE_METRICS.items()
        }
        return method_table({name: found.rows for name, found in self.methods.items()}, higher, against)

    def write(self, folder: Path | str, against: str | None = None) -> MethodTable:
        """Write the table of a paper to a folder: ``table.csv``, ``.md`` and ``.tex``; returns what it shows."""
        folder = Path(folder)
        table = self.comparison(against)
        write_csv(folder / "table.csv", table)
        write_text(folder / "table.md", grid(table).markdown())
        write_text(folder / "table.tex", grid(table).latex())
        return table


def evaluate(
    methods: Mapping[str, Path | str] | Path | str,
    a: Path | str,
    b: Path | str,
    *,
    protocol: str = "tita",
    metrics: Sequence[str] | None = None,
    reference: Path | str | None = None,
    folder: Path | str | None = None,
    device: str = "cpu",
    workers: int = 1,
    progress: bool | None = None,
    **sources: Unpack[SourceOptions],
) -> Scores:
    """Score the fused images of one method or several.

    >>> import fusion_lab
    >>> from PIL import Image
    >>> for name, level in {"visible": 40, "infrared": 200, "average": 120}.items():
    ...     Image.linear_gradient("L").resize((32, 32)).point(lambda v: (v + level) // 2).save(f"{name}.png")
    >>> scores = fusion_lab.evaluate({"Average": "average.png"}, "visible.png", "infrared.png", metrics=["EN", "MI"])
    >>> scores.table().round(1)
              EN    MI
    method
    Average  5.0  10.0

    Args:
        methods: The fused images of each method by its name, or of the only one: a folder, a pattern with ``{name}``,
            or a file.
        a: Where the first sources are, alike.
        b: Where the second sources are.
        protocol: Metrics, variants and grey conversion of a table: ``tita``, ``gifnet``, ``vifb`` or ``cddfuse``.
        metrics: Metrics instead of all of the protocol's, by label or class path.
        reference: Where the ideal fused images are, if there are any: PSNR and SSIM against them are scored too.
        folder: Where results are kept, ``METHOD.csv`` of each and what an interrupted evaluation goes on from; nowhere
            unless given.
        device: Where the arithmetic happens.
        workers: Processes, each with one thread; in scripts, more than one needs ``if __name__ == "__main__"``.
        progress: Show a bar on stderr; in terminals unless given.
        sources: ``range_a``, ``range_b``, ``range_over`` and ``unpaired``, as of `PairDataset`.

    Raises:
        FusionLabError: Files do not go together, or no image of a method could be scored.
    """
    named = methods if isinstance(methods, Mapping) else {Path(methods).stem: methods}
    chosen = choose_protocol(protocol, metrics)
    ideal = None if reference is None else Path(reference)
    # All folders are looked at before the first image is scored.
    pairs = {name: find_fused(Path(a), Path(b), Path(place), ideal, **sources) for name, place in named.items()}
    kept = None if folder is None else make_folder(Path(folder))
    shown = sys.stderr.isatty() if progress is None else progress
    found: dict[str, Evaluation] = {}
    for name, own in pairs.items():
        state = None if kept is None else kept / f"{name}.state.json"
        found[name] = score_pairs(own, chosen, state, device, workers, f"Scoring {name}" if shown else None)
        if not found[name].rows:
            reason = next(iter(found[name].bad.values()))
            raise FusionLabError(f"No image of the method '{name}' could be scored, such as: {reason}")
        if kept is not None:
            found[name].write_rows(kept / f"{name}.csv")
    return Scores(found, chosen, pairs)
