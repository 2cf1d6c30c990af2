"""Turning the parser's nested complaints into one sentence."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module

_MAX_CHOICES = 15
_UNKNOWN_KEY = re.compile(
    r"unrecognized arguments: --(?P<flag>[\w.+-]+)"
    r"|Option '(?P<option>[^']+)' is not accepted"
    r"|Group '(?P<group>[^']+)' does not accept option '(?P<member>[^']+)'"
)
_DULL = re.compile(
    r"Does not validate|Subtypes:|Errors:|Given value|Problem with|Expected a <class 'NoneType'>|Expected a path|$"
)
_UNKNOWN_CLASS = re.compile(r"module '(?P<module>fusion_lab[\w.]*)' has no attribute '(?P<name>\w+)'")


def explain(message: str, known_keys: Iterable[str]) -> str:
    """Say in one sentence which key of a configuration is wrong, why, and what would be right.

    The parser asks a parser of its own for every nested class, so that ``message`` may hold such a sentence about a
    key further inside; its path is then joined to the outer one.

    Args:
        message: What jsonargparse says.
        known_keys: All keys that this parser knows, such as ``trainer.max_steps``.
    """
    if match := _UNKNOWN_KEY.search(message):
        key = match["flag"] or match["option"] or f"{match['group']}.{match['member']}"
        return _unknown_key(key, sorted(known_keys))
    head = re.match(r'Parser key "([^"]+)":', message)
    body = message[head.end() :] if head else message
    lines = [re.sub(r"^\s*(- )?", "", line) for line in body.splitlines()]
    reason = next((line for line in lines if not _DULL.match(line)), message)
    reason = re.sub(r"an? <class '([\w.]+)'>", r"\1", reason)
    if match := _UNKNOWN_CLASS.fullmatch(reason):
        reason = _unknown_class(match["module"], match["name"])
    if not reason.endswith((".", "?")):
        reason += "."
    if head is None:
        return reason
    return f"{head[1]}.{reason}" if re.match(r"[\w.]+: ", reason) else f"{head[1]}: {reason}"


def _unknown_key(key: str, known_keys: list[str]) -> str:
    """Name the keys that stand where an unknown one was given."""
    parent, _, name = key.rpartition(".")
    prefix = f"{parent}." if parent else ""
    if prefix and not any(known.startswith(prefix) for known in known_keys):
        return _unknown_key(parent, known_keys)
    siblings = {k.removeprefix(prefix).split(".")[0] for k in known_keys if k.startswith(prefix)}
    choices = sorted(siblings - {"help", "print_config", "print_shtab"})
    return _instead(f"there is no key '{key}'", name, choices)


def _unknown_class(module: str, name: str) -> str:
    """Name the classes of ``module``, where ``name`` is none of."""
    choices = sorted(choice for choice in getattr(import_module(module), "__all__", ()) if choice[0].isupper())
    return _instead(f"there is no '{name}' in {module}", name, choices)


def _instead(start: str, name: str, choices: list[str]) -> str:
    """Go on from ``start`` with what may have been meant by ``name``, or with all choices."""
    if close := get_close_matches(name, choices, n=3):
        return f"{start}: did you mean {' or '.join(repr(choice) for choice in close)}?"
    more = ", ..." if len(choices) > _MAX_CHOICES else ""
    return f"{start}: choose one of {', '.join(choices[:_MAX_CHOICES])}{more}." if choices else f"{start}."
