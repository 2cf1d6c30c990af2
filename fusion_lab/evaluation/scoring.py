"""Scoring fused images of files: on any number of processes, going on where it was interrupted."""

import inspect
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any, Literal, TypedDict, Unpack

import torch
from rich.console import Console
from rich.progress import track

from fusion_lab.data.images import Pixels, read_picture
from fusion_lab.data.input_range import FULL, InputRange
from fusion_lab.data.pairs import PairDataset, find_images, read_source
from fusion_lab.environment import environment
from fusion_lab.errors import UNGUARDED, FusionLabError
from fusion_lab.files import write_rows, write_text
from fusion_lab.inference.weights import find_device
from fusion_lab.metrics.base import FusionMetric, check_shapes
from fusion_lab.metrics.protocols import Protocol
from fusion_lab.metrics.reference import ReferencePSNR, ReferenceSSIM

Scores = dict[str, float]

REFERENCE_METRICS = {metric.label: metric for metric in (ReferencePSNR(), ReferenceSSIM())}
"""What is scored besides where an ideal fused image is known."""

_SAVE_EVERY = 5.0
"""Seconds after which results are saved while the evaluation goes on."""
_MISSING = "has no fused image of the same name"


class SourceOptions(TypedDict, total=False):
    """What the user may say of the sources, as of `PairDataset`."""

    range_a: str
    range_b: str
    range_over: Literal["image", "dataset"]
    unpaired: Literal["raise", "leave_out"]


@dataclass(frozen=True)
class FusedPair:
    """The files of one fused image, which is None where it is missing, and the input ranges of its sources."""

    name: str
    a: Path
    b: Path
    fused: Path | None
    reference: Path | None = None
    range_a: InputRange = FULL
    range_b: InputRange = FULL

    @property
    def fingerprint(self) -> list[Any]:
        """Tell these files from changed ones: by their sizes in bytes, the times of their last change, their ranges."""
        files = (self.fused, self.a, self.b, self.reference)
        stats = [file.stat() for file in files if file is not None]
        ranges = [str(self.range_a), str(self.range_b)]
        return [*([stat.st_size, stat.st_mtime_ns] for stat in stats), *([ranges] if set(ranges) != {"full"} else [])]


@dataclass(frozen=True)
class Evaluation:
    """What came of an evaluation.

    Attributes:
        rows: The scores of each image by the label of the metric, by its name in order.
        bad: What is wrong with the images that could not be scored, a sentence by their name.
    """

    rows: dict[str, Scores]
    bad: dict[str, str]

    @property
    def mean(self) -> Scores:
        """The mean of each metric over all images."""
        labels = next(iter(self.rows.values()), {})
        return {label: sum(row[label] for row in self.rows.values()) / len(self.rows) for label in labels}

    def write_rows(self, target: Path) -> None:
        """Write a row for each image and one of the means as CSV."""
        rows = {**self.rows, "mean": self.mean}
        write_rows(target, ["name", *self.mean], ([name, *row.values()] for name, row in rows.items()))

    def write_json(self, target: Path, protocol: Protocol) -> None:
        """Write the scores as JSON, with the metrics and the versions of all packages."""
        told = {
            "protocol": protocol.name,
            "source": protocol.source,
            "metrics": describe(protocol),
            "mean": self.mean,
            "images": self.rows,
            "not_scored": self.bad,
            "environment": environment(["evaluate"]),
        }
        write_text(target, json.dumps(told, indent=1) + "\n")


def find_fused(
    a: Path, b: Path, fused: Path, reference: Path | None = None, **options: Unpack[SourceOptions]
) -> list[FusedPair]:
    """Find the fused image of each pair, by name as `PairDataset` does; single files go together as they are.

    Args:
        a: Where the first sources are.
        b: Where the second sources are.
        fused: Where the fused images are.
        reference: Where the ideal fused images are, if there are any.
        options: What `PairDataset` takes of the same name.

    Raises:
        FusionLabError: A folder is missing or empty, sources do not pair, no fused image has the name of a pair, or a
            pair has no reference.
    """
    if fused.is_file():
        for path in (a, b, *([] if reference is None else [reference])):
            if not path.is_file():
                raise FusionLabError(f"The image {path} that goes with {fused} does not exist: check the path.")
        ranges = options.get("range_a", "full"), options.get("range_b", "full")
        return [FusedPair(fused.stem, a, b, fused, reference, *map(InputRange.of, ranges))]
    dataset = PairDataset(".", str(a), str(b), target=None if reference is None else str(reference), **options)
    images = find_images(Path(), str(fused))
    pairs = [
        FusedPair(pair.name, pair.a, pair.b, images.get(pair.key), pair.target, pair.range_a, pair.range_b)
        for pair in dataset.pairs
    ]
    if all(pair.fused is None for pair in pairs):
        raise FusionLabError(
            f"No image of {fused} has the name of a pair ({pairs[0].name}, ...): check the folders, or give patterns "
            "such as 'DIR/{name}_fused'."
        )
    return pairs


def score_pairs(
    pairs: list[FusedPair],
    protocol: Protocol,
    state: Path | None = None,
    device: str = "cpu",
    workers: int = 1,
    progress: str | None = None,
) -> Evaluation:
    """Score all images, but those whose results are in ``state`` already and whose files have not changed since.

    Args:
        pairs: The images.
        protocol: The metrics, and how images are prepared for them.
        state: File of all results with what they belong to, written while the evaluation goes on; none unless given.
        device: Where the arithmetic happens.
        workers: Processes, each with one thread; with 1 it happens in this one.
        progress: Title of a bar on stderr; none unless given.

    Raises:
        FusionLabError: The results in ``state`` are those of another protocol or other metrics, or there is no such
            device.
    """
    find_device(device)
    asked = {"protocol": protocol.name, "metrics": describe(protocol)}
    known: dict[str, Any] = _read(state, asked)
    prints = {pair.name: pair.fingerprint for pair in pairs}
    done = {name: entry for name, entry in known.items() if prints.get(name) == entry["files"]}
    waiting = [pair for pair in pairs if pair.name not in done and pair.fused is not None]
    bad = {pair.name: f"{pair.a} {_MISSING}" for pair in pairs if pair.fused is None}
    saved = monotonic()
    try:
        results = _results(waiting, protocol, device, workers)
        for pair, result in track(
            results, progress or "", len(waiting), console=Console(stderr=True), disable=progress is None
        ):
            if isinstance(result, str):
                bad[pair.name] = result
                continue
            done[pair.name] = {"files": prints[pair.name], "scores": result}
            if monotonic() - saved > _SAVE_EVERY:
                _write(state, asked, done)
                saved = monotonic()
    finally:
        _write(state, asked, done)
    rows = {pair.name: done[pair.name]["scores"] for pair in pairs if pair.name in done}
    return Evaluation(rows, {pair.name: bad[pair.name] for pair in pairs if pair.name in bad})


def describe(protocol: Protocol) -> dict[str, str]:
    """Tell each metric with its variant, so that other results are told apart."""
    return {
        label: f"{type(metric).__name__}({', '.join(f'{k}={v!r}' for k, v in sorted(_options(metric).items()))})"
        for label, metric in protocol.metrics.items()
    }


def _options(metric: FusionMetric) -> dict[str, Any]:
    names = inspect.signature(type(metric).__init__).parameters
    return {name: getattr(metric, name) for name in names if hasattr(metric, name)}


def _results(
    pairs: list[FusedPair], protocol: Protocol, device: str, workers: int
) -> Iterator[tuple[FusedPair, Scores | str]]:
    """Return the scores of each image, or what is wrong with it, as they come."""
    if workers <= 1 or len(pairs) <= 1:
        for pair in pairs:
            yield pair, _score(pair, protocol, device)
        return
    # Forked processes would inherit locks of PyTorch's threads in whatever state they are.
    with ProcessPoolExecutor(min(workers, len(pairs)), get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        futures = {pool.submit(_score, pair, protocol, device): pair for pair in pairs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise FusionLabError(UNGUARDED) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _score(pair: FusedPair, protocol: Protocol, device: str) -> Scores | str:
    """Return the scores of one image, or the sentence that says what is wrong with it."""
    assert pair.fused is not None
    try:
        images = read_levels(pair.fused), *source_levels(pair)
        fused, a, b = (protocol.prepare(image).to(device) for image in images)
        # A metric of the fused image alone would not notice another size.
        check_shapes(fused=fused, source_a=a, source_b=b)
        scores = {label: metric.score(fused, a, b).item() for label, metric in protocol.metrics.items()}
        if pair.reference is not None:
            reference = protocol.prepare(read_levels(pair.reference)).to(device)
            scores |= {label: metric.score(fused, reference).item() for label, metric in REFERENCE_METRICS.items()}
        return scores
    except FusionLabError as error:
        # Metrics know no files.
        return str(error) if str(pair.fused) in str(error) else f"{pair.fused} cannot be scored: {error}"


def read_levels(path: Path) -> Pixels:
    """Read an image as the 8-bit file that the field scores; alpha is left out."""
    return read_picture(path).flatten().pixels


def source_levels(pair: FusedPair) -> tuple[Pixels, Pixels]:
    """Read both sources so, each in its input range."""
    a, b = read_source(pair.a, pair.range_a), read_source(pair.b, pair.range_b)
    return a.flatten().pixels, b.flatten().pixels


def _read(state: Path | None, asked: dict[str, Any]) -> dict[str, Any]:
    if state is None or not state.is_file():
        return {}
    try:
        kept = json.loads(state.read_text(encoding="utf-8"))
        before, rows = dict(kept["asked"]), dict(kept["rows"])
        if not all(isinstance(row["files"], list) and isinstance(row["scores"], dict) for row in rows.values()):
            raise ValueError("a row is none")
    except (OSError, ValueError, KeyError, TypeError):
        raise FusionLabError(
            f"The file {state} holds no results of an evaluation: remove it, or name another output."
        ) from None
    if before != asked:
        raise FusionLabError(
            f"The results in {state} are of other metrics (of the protocol {before.get('protocol')}): remove the file, "
            "or name another output."
        )
    return rows


def _write(state: Path | None, asked: dict[str, Any], rows: dict[str, Any]) -> None:
    if state is not None:
        write_text(state, json.dumps({"asked": asked, "rows": rows}) + "\n")
