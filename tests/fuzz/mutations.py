"""Damage to bytes, to trees of values and to lines of YAML, as a random generator decides."""

from collections.abc import Callable
from typing import Any

import numpy as np

Random = np.random.Generator


def choose(random: Random, things) -> Any:
    """Give one of several things."""
    things = list(things)
    return things[int(random.integers(len(things)))]


def cut(data: bytes, random: Random) -> bytes:
    return data[: int(random.integers(len(data)))]


def flip(data: bytes, random: Random) -> bytes:
    """Change up to 20 bytes, in the first kilobyte as often as elsewhere: headers are short."""
    spoilt = bytearray(data)
    reach = choose(random, [len(data), min(len(data), 1024)])
    for place in random.integers(reach, size=int(random.integers(1, 21))):
        spoilt[place] = int(random.integers(256))
    return bytes(spoilt)


def insert_zeros(data: bytes, random: Random) -> bytes:
    place = int(random.integers(len(data)))
    return data[:place] + bytes(int(random.integers(1, 300))) + data[place:]


def leave_out(data: bytes, random: Random) -> bytes:
    first = int(random.integers(len(data)))
    return data[:first] + data[first + int(random.integers(1, 300)) :]


def empty(data: bytes, random: Random) -> bytes:
    return b""


def noise(data: bytes, random: Random) -> bytes:
    return random.bytes(int(random.integers(1, 2000)))


def whole(data: bytes, random: Random) -> bytes:
    return data


BYTES: list[Callable[[bytes, Random], bytes]] = [cut, flip, flip, flip, insert_zeros, leave_out, empty, noise]

ODD = [
    None, True, -1, 0, 1.5, 10**30, -(2**63), 1e308, float("nan"), float("inf"), "", " ", "none", "two", "1e400",
    "../..", "ä€🙂", "a\nb", "a\0b", "x" * 5000, "${", "${exp.name}", "${exp}", "???", "${nothing}", "os.system",
    "fusion_lab.networks.TITTA", "fusion_lab.", ".", "torch.optim.Adam", "builtins.exit", [], {}, [[]], [None], {"": 1},
    {"class_path": "builtins.print"}, {"class_path": 3}, {"class_path": "fusion_lab.networks.TITA", "init_args": []},
]  # fmt: skip
# What is built piece by piece takes as long as it is asked for, which is no mistake to be told.
_COUNTS = {"num_extraction_blocks", "num_interaction_blocks", "num_reconstruction_blocks"}


def places(tree: Any, path: tuple = ()) -> list[tuple]:
    """Give the path to every value inside dictionaries and lists."""
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    return [found for key in keys for found in ((*path, key), *places(tree[key], (*path, key)))]


def spoil_tree(tree: Any, random: Random, deep: bool = True) -> str:
    """Remove, replace or add a value somewhere inside, or right below the top; returns what was done, in words."""
    *outer, last = choose(random, places(tree) if deep else [(key,) for key in tree])
    for key in outer:
        tree = tree[key]
    told = ".".join(map(str, [*outer, last]))
    what = choose(random, ["remove", "replace", "replace", "replace", "add"])
    if what == "remove":
        del tree[last]
        return f"without {told}"
    odd = choose(random, ODD)
    if last in _COUNTS and isinstance(odd, int | float) and odd > 1e3:
        odd = -1
    if what == "add" and isinstance(tree, dict):
        name = choose(random, ["", "x", f"{last}+", f"{last}x", "class_path", "init_args", "a.b", "ä", "_base_"])
        tree[name] = odd
        return f"{told} beside {name!r}: {odd!r:.80}"
    tree[last] = odd
    return f"{told} = {odd!r:.80}"


_LINES = [
    "\tx: 1", "x: [1", "x: *nothing", "x: &a [*a]", "x: &a {b: *a}", "? [1, 2]\n: 3", "1: 2", "null: 3", "x: !!int y",
    "x: !!python/object/apply:os.getcwd []", "x: 2020-02-30", "x: !!bool y", "x: !!timestamp y", "<<: 3", "- 1", "...",
    "--- {}", "x: " + "[" * 300, "x: " + "9" * 5000, "%YAML 9.9", "x: 'y", "\ufeff", "\x07", "x: !!binary y", "x: ${",
    "x: &a [1,1,1,1,1,1]\ny: &b [*a,*a,*a,*a,*a,*a]\nz: &c [*b,*b,*b,*b,*b,*b]\nv: &d [*c,*c,*c,*c,*c,*c]\n"
    "w: &e [*d,*d,*d,*d,*d,*d]\nu: [*e,*e,*e,*e,*e,*e]",
    "_base_: own.yaml", "_base_: [other.yaml]", "_base_: nowhere.yaml", "_base_: .", "_base_: 3", "_base_: [3]",
    '_base_: "a\\0b"', "_base_: " + "x" * 300,
]  # fmt: skip


def spoil_lines(text: str, random: Random) -> tuple[bytes, str]:
    """Damage a text of YAML somewhere; returns it with what was done, in words."""
    lines = text.splitlines()
    place = int(random.integers(len(lines)))
    what = choose(random, ["remove", "double", "swap", "indent", "insert", "insert", "insert", "bytes", "cut"])
    if what == "remove":
        del lines[place : place + int(random.integers(1, 6))]
    elif what == "double":
        lines.insert(place, lines[place])
    elif what == "swap":
        other = int(random.integers(len(lines)))
        lines[place], lines[other] = lines[other], lines[place]
    elif what == "indent":
        lines[place] = f"   {lines[place]}"
    elif what == "insert":
        what = choose(random, _LINES)
        lines.insert(choose(random, [0, len(lines)]), what)
    data = "\n".join(lines).encode()
    if what == "cut":
        data = cut(data, random)
    elif what == "bytes":
        data = choose(random, [flip, insert_zeros, noise, lambda d, r: "ä".encode("latin-1") + d])(data, random)
    return data, f"{what:.60} at line {place}"
