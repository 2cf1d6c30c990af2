"""Composing one configuration from several files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import yaml

from fusion_lab.errors import FusionLabError, one_line
from fusion_lab.files import expand_home

Config = dict[str, Any]

SHIPPED = Path(__file__).parents[1]
"""Where `configs/` and `experiments/` are in an installed package; in a clone, links lead from there to them."""

_BASE = "_base_"
_VARIANTS = "_variants_"
# OmegaConf takes 10,000 keys and values.
_MOST_VALUES = 4_000
_DEEPEST = 100


def compose(files: Sequence[Path]) -> Config:
    """Merge configuration files, later ones over earlier ones.

    What is no file here is looked for in the package: ``tita/embedded``, or ``configs/data/embedded.yaml``.

    A file may name others that it builds on: ``_base_: ../base.yaml``, or a list, relative to itself. Dictionaries
    merge; anything else replaces what was there. A dictionary with another ``class_path`` replaces the old one, because
    its arguments belong to another class. ``key+`` appends a list to the list ``key``.

    A file may hold several experiments, ``_variants_: {NAME: ...}``, each laid over the rest of the file: the variant
    ``pcgrad`` of ``weighting.yaml`` is named as the file ``weighting/pcgrad.yaml`` would be.

    Raises:
        FusionLabError: A file is missing, is no YAML dictionary, builds on itself, contains itself, or holds several
            experiments of which none is named.
    """
    config: Config = {}
    for layer in (layer for file in files for layer in _layers(find_file(file), ())):
        config = merge(config, layer)
    return config


def find_file(file: Path) -> Path:
    """Return the file of a configuration: this one, or that of the package where there is none of this name here."""
    try:
        if file.is_file() or file.is_absolute():
            return file
        named = [file, Path(f"{file}.yaml")]
        places = [*named, *(SHIPPED / one for one in named), *(SHIPPED / "experiments" / one for one in named)]
        return next((place for place in places if place.is_file() or place in variants(_holder(place))), file)
    except (OSError, ValueError):
        return file


def variants(file: Path) -> list[Path]:
    """Return the names of the experiments that a file of several holds, ``FOLDER/FILE/NAME.yaml``; of others none."""
    # What is no configuration is told where it is composed.
    with suppress(OSError, UnicodeDecodeError, FusionLabError):
        held = _parsed(file.read_text(encoding="utf-8"), file).get(_VARIANTS)
        return [file.with_suffix("") / f"{name}.yaml" for name in held] if isinstance(held, dict) else []
    return []


def _holder(file: Path) -> Path:
    """Return the file that would hold ``file`` as one of its variants."""
    return file.parent.with_name(f"{file.parent.name}.yaml") if file.parent.name else file


def override(config: Config, values: Mapping[str, Any]) -> Config:
    """Lay values over a configuration by their keys, such as ``trainer.max_steps``, by the rules of `compose`.

    ``init_args`` may be left out of a key: ``model.network.embed_dim``.

    Raises:
        FusionLabError: A key leads into a list or a number.
    """
    for key, value in values.items():
        place: Any = config
        *parents, last = key.split(".")
        path: list[str] = []
        for part in [*parents, last]:
            if isinstance(place, Mapping) and "class_path" in place and part not in ("class_path", "init_args"):
                path.append("init_args")
                place = place.get("init_args") or {}
            elif place is not None and not isinstance(place, Mapping):
                raise FusionLabError(
                    f"There is no key '{key}': `{'.'.join(path)}` is a {type(place).__name__}, which is given as a "
                    "whole, or appended to as a list (`KEY+`)."
                )
            path.append(part)
            place = place.get(part.removesuffix("+")) if isinstance(place, Mapping) else None
        layer: Any = plain(value)
        for part in reversed(path):
            layer = {part: layer}
        config = merge(config, layer)
    return config


def plain(value: Any) -> Any:
    """Return a value as YAML writes it: paths as text, numbers of NumPy as such of Python."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def merge(old: Config, new: Config) -> Config:
    """Lay ``new`` over ``old`` by the rules of `compose`."""
    merged = dict(old)
    for key, value in new.items():
        if key.endswith("+"):
            name = key[:-1]
            if not isinstance(value, list):
                raise FusionLabError(f"`{key}` appends to a list, but is a {type(value).__name__}: write a list.")
            before = merged.get(name)
            earlier = [before] if isinstance(before, dict) else before or []
            if not isinstance(earlier, list):
                raise FusionLabError(
                    f"`{key}` appends to a list, but `{name}` is {before!r}: make it a list, or false."
                )
            merged[name] = [*earlier, *value]
        elif isinstance(value, dict) and isinstance(merged.get(key), dict) and _same_class(merged[key], value):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = merge({}, value) if isinstance(value, dict) else value
    return merged


def _same_class(old: Config, new: Config) -> bool:
    return "class_path" not in old or "class_path" not in new or new["class_path"] == old["class_path"]


def _layers(file: Path, inside: tuple[Path, ...]) -> list[Config]:
    """Read everything that a file, or a variant of one, builds on, and then itself."""
    where, parts = _parts(file, inside)
    if file.resolve() in inside:
        raise FusionLabError(f"The configuration {file} builds on itself: remove it from `{_BASE}`.")
    layers: list[Config] = []
    for part in parts:
        bases = part.pop(_BASE, [])
        below = [bases] if isinstance(bases, str) else bases
        if not isinstance(below, list) or not all(isinstance(base, str) for base in below):
            raise FusionLabError(f"`{_BASE}` in {where} should be the name of a file, or a list of names.")
        for base in below:
            layers += _layers(where.parent / base, (*inside, file.resolve()))
        layers.append(part)
    return layers


def _parts(file: Path, inside: tuple[Path, ...]) -> tuple[Path, list[Config]]:
    """Return the file that a configuration stands in and its content; of a variant what all share, and its own."""
    try:
        where = file if file.is_file() or file not in variants(_holder(file)) else _holder(file)
        if not where.is_file():
            named = f", which {inside[-1]} names as its base" if inside else ""
            raise FusionLabError(f"The configuration {file}{named} does not exist: check the path.")
        text = where.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FusionLabError(f"The configuration {file} is no text in UTF-8: save it as such.") from None
    except OSError as error:
        raise FusionLabError(f"The configuration {file} cannot be read ({error.strerror}): check the path.") from None
    shared = _parsed(text, where)
    held = shared.pop(_VARIANTS, None)
    if where != file:
        own = held[file.stem] or {}
        if not isinstance(own, dict):
            raise FusionLabError(f"The variant {file.stem} in {where} should hold `key: value` lines.")
        return where, [shared, own]
    if held is not None:
        names = [path.stem for path in variants(file)]
        one = file.with_suffix("") / (names or ["NAME"])[0]
        raise FusionLabError(
            f"{file} holds several experiments ({', '.join(names)}): name one, such as {one}, or run all by `ablate`."
        )
    return where, [shared]


def _parsed(text: str, file: Path) -> Config:
    """Read the dictionary that a file holds."""
    # PyYAML raises whatever the types raise that it makes, such as ValueError for the 30th of February.
    try:
        own = yaml.safe_load(text) or {}
    except Exception as error:
        reason = one_line(error)
        raise FusionLabError(f"The configuration {file} is no valid YAML: {reason}.") from None
    if not isinstance(own, dict):
        raise FusionLabError(
            f"The configuration {file} should hold `key: value` lines, but holds a {type(own).__name__}."
        )
    return _plain(own, file, count())


def _plain(value: Any, file: Path, number: Iterator[int], depth: int = 0) -> Any:
    """Copy a value so that no part of it is another part of it, as YAML's aliases allow; ``~/`` is the home folder.

    Raises:
        FusionLabError: It contains itself, or a key is no text: no parser can take that in.
    """
    if depth > _DEEPEST or next(number) > _MOST_VALUES:
        raise FusionLabError(
            f"The configuration {file} has too many values inside each other: look for an alias (`*name`) that "
            "contains itself."
        )
    if isinstance(value, list):
        return [_plain(inner, file, number, depth + 1) for inner in value]
    if isinstance(value, str):
        return expand_home(value)
    if not isinstance(value, dict):
        return value
    if strange := [key for key in value if not isinstance(key, str)]:
        raise FusionLabError(f"The configuration {file} has the key {strange[0]!r}: keys are text, quote it.")
    return {key: _plain(inner, file, number, depth + 1) for key, inner in value.items()}
