"""What is known of the public data sets: ``data_sets.yaml`` and the configurations that read them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from fusion_lab.errors import FusionLabError
from fusion_lab.public.repository import Repository

_CONFIGS = Path(__file__).parents[1] / "configs" / "data"
_ROOT = "${exp.data_root}/"


@dataclass(frozen=True)
class Part:
    """Pairs of one task and one split, as `fusion_lab.data.PairDataset` reads them.

    Attributes:
        task: Such as ``ivf``.
        split: ``train`` or ``test``, as the configuration of the set has it.
        folder: The folder below ``exp.data_root``.
        a: Where the first sources are in it, a folder or a pattern.
        b: Where the second sources are.
        pairs: How many there should be; None where nobody says.
    """

    task: str
    split: str
    folder: str
    a: str
    b: str
    pairs: int | None


@dataclass(frozen=True)
class PublicDataSet:
    """A public data set.

    Attributes:
        name: What `fusion-lab data` calls it.
        title: Its name in papers.
        parts: Its pairs on disk.
        terms: Its licence or terms.
        home: Where people read about it and get it by hand.
        configs: Files of ``configs/data`` that read it, without suffix; the first one reads all parts.
        tasks: What its pairs are for; those of its parts unless given.
        megabytes: Size of the download, where known.
        repository: Where it is fetched from; None if it has to be got by hand.
        by_hand: What to do by hand, with ``{root}`` for the folder of all data sets.
        command: The command that fetches it by itself, if there is one.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    terms: str
    home: str
    configs: tuple[str, ...]
    tasks: tuple[str, ...]
    megabytes: int | None = None
    repository: Repository | None = None
    by_hand: str = ""
    command: str = ""

    @property
    def pairs(self) -> int | None:
        """All pairs; None where nobody says."""
        numbers = [part.pairs for part in self.parts if part.pairs is not None]
        return sum(numbers) if numbers and len(numbers) == len(self.parts) else None

    @property
    def summary(self) -> dict[str, str | int | None]:
        """What a table tells of it, by the titles of its columns."""
        how = self.command or "by hand"
        if self.repository is not None:
            how = "fetched" if self.repository.commit else "fetched, newest"
        return {
            "name": self.name,
            "tasks": ", ".join(self.tasks),
            "pairs": self.pairs,
            "MB": self.megabytes,
            "terms": self.terms,
            "how it is got": how,
            "configs/data/": "\n".join(self.configs),
        }

    def how_to_get(self, root: Path) -> str:
        """Say where and how to get a set that is not fetched from a repository, to be below ``root``."""
        if self.command:
            return f"`{self.command}`, in a clone, fetches {self.title} by itself, from {self.home}."
        place = f"{self.title} has to be got by hand.\n  From:  {self.home}\n  Terms: {self.terms}"
        return f"{place}\n  To do: {self.by_hand.format(root=root)}."

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders below ``exp.data_root`` that are this set's alone."""
        return tuple(dict.fromkeys(part.folder.split("/")[0] for part in self.parts))


SAMPLES: Mapping[str, tuple[str, int | None]] = MappingProxyType(
    {
        "harvard_ct_mri": ("harvard", 184),
        "harvard_pet_mri": ("harvard", 269),
        "harvard_spect_mri": ("harvard", 357),
        "m3fd_sample": ("m3fd", 4500),
        "mef_misc": ("sice", None),
        "mfiwhu": ("mfi_whu", 120),
        "nir": ("nirscene", 477),
        "pan": ("quickbird", None),
        "roadmf_sample": ("roadmf", None),
        "sice_gray": ("sice", None),
    }
)
"""Folders of the common layout FOLDER/SPLIT/a|b (``configs/data/collection.yaml``) that are not called as their set:
which set they are of, and how many pairs it has."""


@cache
def data_sets() -> Mapping[str, PublicDataSet]:
    """Return all public data sets by name."""
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    return MappingProxyType({name: _data_set(name, entry) for name, entry in yaml.safe_load(text).items()})


def find_data_set(name: str) -> PublicDataSet:
    """Return a data set by its name.

    Raises:
        FusionLabError: There is none of this name.
    """
    known = data_sets()
    if name not in known:
        raise FusionLabError(f"There is no data set '{name}': choose one of {', '.join(known)}.")
    return known[name]


def _data_set(name: str, entry: dict[str, Any]) -> PublicDataSet:
    given = entry.pop("repository", None)
    repository = given and Repository(**{**given, "take": tuple(given["take"].items())})
    numbers, folder = entry.pop("pairs", []), entry.pop("folder", "")
    places = [place for config in entry["configs"][:1] for place in _places(config) if place[2].startswith(folder)]
    parts = tuple(Part(*place, number) for place, number in zip(places, numbers, strict=True))
    return PublicDataSet(
        **{
            "home": repository and repository.home,
            **entry,
            "name": name,
            "parts": parts,
            "configs": tuple(entry["configs"]),
            "tasks": tuple(entry.get("tasks", dict.fromkeys(part.task for part in parts))),
            "repository": repository,
        }
    )


def _places(config: str) -> Iterator[tuple[str, str, str, str, str]]:
    """Return task, split, folder and both sources of all pairs that a file of ``configs/data`` reads."""
    text = (_CONFIGS / f"{config}.yaml").read_text(encoding="utf-8")
    read = yaml.safe_load(text)["data"]["init_args"]
    for split in ("train", "val", "test"):
        tasks = read.get(split, {})
        # The pairs of joint training have one task.
        for task, entries in ({"ivf": tasks} if isinstance(tasks, list) else tasks).items():
            for pairs in (entry["init_args"] for entry in entries):
                yield task.removesuffix("+"), split, pairs["root"].removeprefix(_ROOT), pairs["a"], pairs["b"]
