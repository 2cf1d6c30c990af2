"""Turning the parser's nested complaints into one sentence."""

import inspect
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module

_MAX_CHOICES = 15
_LONGEST_VALUE = 60
_LONGEST_REASON = 400
_UNKNOWN_KEY = re.compile(
    r"unrecognized arguments: --(?P<flag>[\w.+-]+)"
    r"|Option '(?P<option>[^']+)' is not accepted"
    r"|Group '(?P<group>[^']+)' does not accept option '(?P<member>[^']+)'"
)
_DULL = re.compile(
    r"Does not validate|Subtypes:|Errors:|Given value|Problem with|Expected a <class 'NoneType'>|Expected a path|$"
)
_WRONG_TYPE = re.compile(
    r"Expected an? (?:<class '(?P<kind>[\w.]+)'>|typing\.Literal\[(?P<choices>.*?)\])\.?(?: Got value: (?P<value>.*))?"
)
_GIVEN = re.compile(r"^ *Given value: (.*)", re.MULTILINE | re.DOTALL)
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list",
    "dict": "a dictionary of `key: value`",
}


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
    reasons = [line for line in lines if not _DULL.match(line)] or [" ".join(message.split())]
    reason = _wrong_type(reasons, _GIVEN.search(body)) if _WRONG_TYPE.fullmatch(reasons[0]) else _plain(reasons[0])
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]} ..."
    if not reason.endswith((".", "?")):
        reason += "."
    if head is None:
        return reason
    return f"{head[1]}.{reason}" if re.match(r"[\w.]+: ", reason) else f"{head[1]}: {reason}"


def _wrong_type(reasons: list[str], given: re.Match[str] | None) -> str:
    """Say what is expected instead of a value; several types may be allowed."""
    wrong = [match for reason in reasons if (match := _WRONG_TYPE.fullmatch(reason))]
    value = wrong[0]["value"] if wrong[0]["value"] is not None else given[1].strip() if given else None
    kinds = [_KINDS.get(match["kind"], match["kind"].rpartition(".")[2]) for match in wrong if match["kind"]]
    if choices := ", ".join(match["choices"] for match in wrong if match["choices"]):
        kinds.append(f"one of {choices}")
    told = "" if value is None else f", not {_shortened(value)}"
    return f"should be {' or '.join(dict.fromkeys(kinds))}{told}"


def _shortened(value: str) -> str:
    value = " ".join(value.split())
    return f"'{value[:_LONGEST_VALUE]} ...'" if len(value) > _LONGEST_VALUE else f"'{value}'"


def _plain(reason: str) -> str:
    """Say in plain words what the parser, or Python while it looks for a class, complains about."""
    for pattern, words in _REWORDED.items():
        if match := pattern.match(reason):
            return words(match)
    return reason


def _unknown_key(key: str, known_keys: list[str]) -> str:
    """Name the keys that stand where an unknown one was given."""
    parent, _, name = key.rpartition(".")
    prefix = f"{parent}." if parent else ""
    if prefix and not any(known.startswith(prefix) for known in known_keys):
        return _unknown_key(parent, known_keys)
    siblings = {k.removeprefix(prefix).split(".")[0] for k in known_keys if k.startswith(prefix)}
    choices = sorted(siblings - {"help", "print_config", "print_shtab"})
    return _instead(f"there is no key {_shortened(key)}", name, choices)


def _unknown_class(match: re.Match[str]) -> str:
    """Name the classes of a module, where none has the name that was given."""
    module = import_module(match["module"])
    public = getattr(module, "__all__", None) or [n for n, value in vars(module).items() if inspect.isclass(value)]
    choices = sorted(choice for choice in public if choice[0].isupper())
    return _instead(f"there is no '{match['name']}' in {match['module']}", match["name"], choices)


def _instead(start: str, name: str, choices: list[str]) -> str:
    """Go on from ``start`` with what may have been meant by ``name``, or with all choices."""
    spelt = {choice.lower(): choice for choice in choices}
    if close := get_close_matches(name.lower(), spelt, n=3):
        return f"{start}: did you mean {' or '.join(repr(spelt[choice]) for choice in close)}?"
    more = ", ..." if len(choices) > _MAX_CHOICES else ""
    return f"{start}: choose one of {', '.join(choices[:_MAX_CHOICES])}{more}." if choices else f"{start}."


def _words(text: str) -> Callable[[re.Match[str]], str]:
    """Give what writes the parts that a pattern has found into a text."""
    return lambda match: text.format(*match.groups())


_REWORDED: dict[re.Pattern[str], Callable[[re.Match[str]], str]] = {
    re.compile(pattern): words
    for pattern, words in {
        # Factories, such as those of optimizers, put this in front.
        r"Type .* expects a function or a callable class: (.*?)\.*(?: Got value: .*)?$": lambda m: _plain(m[1]),
        r"module '(?P<module>[\w.]+)' has no attribute '(?P<name>\w+)'$": _unknown_class,
        r"No module named '([\w.]+)'": _words(
            "there is no module '{0}': check the class path, and that its package is installed"
        ),
        r"Expected a dot import path string: (.*?)\.?$": _words(
            "'{0}' is no class path: write the package and the class, such as fusion_lab.networks.TITA"
        ),
        r"Import path (\S+) does not correspond to a subclass of (\w+)": _words(
            "{0} is no {1}: name a class of that kind"
        ),
        r"Expected '(\S+)' to be a subclass of <class '(\w+)'>": _words("{0} is no {1}: name a class of that kind"),
        r"Expected an instantiatable class, but (\S+) is abstract": _words(
            "{0} is only the base of other classes: name one of those"
        ),
        r"Not a valid subclass of (\w+)": _words("should be a {0}, told by `class_path` and `init_args`"),
        r"the following arguments are required: (.*)": _words("`{0}` is missing: it has no default"),
        r"'(\w+)' object has no attribute 'keys'": _words(
            "`init_args` should be a dictionary of `key: value`, not of type {0}"
        ),
        r"Interpolation key '(.*)' not found": _words("there is no key '{0}', which is referred to with a dollar sign"),
        r".*\bNoneType\b": _words("a value is empty (null) where one is needed"),
    }.items()
}
