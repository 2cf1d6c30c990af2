"""What is wrong with a configuration, in one sentence: found by the signatures of the classes that it names."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser

_MAX_CHOICES = 15
_LONGEST_VALUE = 60
_LONGEST_REASON = 400
_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list: "a list",
    dict: "a dictionary of `key: value`",
}


def explain(message: str, config: Mapping[str, Any], kinds: Mapping[str, Any]) -> str:
    """Say what is wrong with a configuration that a parser has refused.

    Args:
        message: What the parser says: told where nothing better is found.
        config: The configuration; values that are text may be of a command line.
        kinds: The type of each key at the top.
    """
    found = next(_keys(config, kinds, ""), None)
    if found is None:
        found = next((told for key, kind in kinds.items() for told in _value(config.get(key), kind, key)), None)
    if (
        found is None
        and config
        and kinds
        and (absent := [key for key in ("model", "data") if key in kinds and not config.get(key)])
    ):
        found = f"`{absent[0]}` is missing: it has no default"
    reason = found or " ".join(message.split()).rstrip(".")
    # The whole configuration is the value of `--config`.
    reason = reason.removeprefix('Parser key "config": ')
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]} ..."
    return reason if reason.endswith((".", "?")) else f"{reason}."


def first_cause(error: BaseException) -> BaseException:
    """Return what a class has raised, which the parser wraps in what it makes of it."""
    while isinstance(inner := error.__cause__ or error.__context__, ValueError | TypeError):
        error = inner
    return error


def _value(value: Any, kind: Any, place: str) -> Iterator[str]:
    """Tell what is wrong with a value that should be of a type."""
    if isinstance(value, str) and "${" in value:
        return
    if inspect.isclass(kind) and kind not in _KINDS and isinstance(value, Mapping) and "class_path" not in value:
        if not _takes_keys(kind):
            yield f"{place}: should be a {kind.__name__}, told by `class_path` and `init_args`"
            return
        yield from _arguments(kind, value, place, needed=False, dotted=True)
        return
    if isinstance(value, Mapping) and "class_path" in value:
        yield from _class(value, kind, place)
        return
    if isinstance(value, Mapping):
        inner = [one for kind_ in _parts(kind) for one in get_args(kind_)[1:2]]
        for key, one in value.items():
            yield from _value(one, _union(inner), f"{place}.{key}")
    elif isinstance(value, list):
        inner = [one for kind_ in _parts(kind) for one in get_args(kind_)[:1] if get_origin(kind_) is not dict]
        for one in value:
            yield from _value(one, _union(inner), place)
    if value is not None and kind is not Any and not _refers(value) and not _fits(copy.deepcopy(value), kind):
        yield f"{place}: should be {_told(kind)}, not {_shortened(str(value))}"


def _class(value: Mapping[str, Any], kind: Any, place: str) -> Iterator[str]:
    """Tell what is wrong with a class and its arguments."""
    path, arguments = value["class_path"], value.get("init_args") or {}
    if beside := [key for key in value if key not in ("class_path", "init_args", "dict_kwargs")]:
        yield f"{place}: the key '{beside[0]}' should be in `init_args`"
    if not isinstance(path, str):
        yield f"{place}: `class_path` is empty or no text: name a class, such as fusion_lab.networks.TITA"
        return
    found = _find(path)
    if isinstance(found, str):
        yield f"{place}: {found}"
        return
    bases = [one for one in _parts(kind) if inspect.isclass(one) and one is not NoneType]
    made = [one for one in map(_made_by, _parts(kind)) if one is not None]
    if inspect.isclass(found) and (bases or made) and not issubclass(found, tuple(bases or made)):
        yield f"{place}: {path} is no {(bases or made)[0].__name__}: name a class of that kind"
    elif inspect.isabstract(found):
        yield f"{place}: {path} is only the base of other classes: name one of those"
    elif not isinstance(arguments, Mapping):
        yield f"{place}: `init_args` should be {_KINDS[dict]}, not of type {type(arguments).__name__}"
    else:
        yield from _arguments(found, arguments, place, needed=not made)


def _arguments(
    made: Callable[..., Any], given: Mapping[str, Any], place: str, needed: bool, dotted: bool = False
) -> Iterator[str]:
    parameters = _parameters(made)
    if parameters is None:
        return
    yield from _keys(given, {name: kind for name, (kind, _) in parameters.items()}, place, dotted)
    for name, (kind, required) in parameters.items():
        if name in given:
            yield from _value(given[name], kind, f"{place}.{name}")
        elif required and needed:
            yield f"{place}: `{name}` is missing: it has no default"


def _keys(given: Mapping[str, Any], known: Mapping[str, Any], place: str, dotted: bool = False) -> Iterator[str]:
    """Name the keys that stand where an unknown one was given."""
    for key in given:
        if key not in known:
            told = f"{place}.{key}" if dotted else key
            start = f"{place}: " if place and not dotted else ""
            yield f"{start}{_instead(f'there is no key {_shortened(told)}', key, sorted(known))}"


@cache
def _parameters(made: Callable[..., Any]) -> dict[str, tuple[Any, bool]] | None:
    """Return type of each parameter, and whether it is needed; None where any may be given."""
    found: dict[str, tuple[Any, bool]] = {}
    for one in made.__mro__ if inspect.isclass(made) else (made,):
        function = one.__dict__.get("__init__") if inspect.isclass(one) else one
        if function is None or one is object:
            continue
        try:
            signature, hints = inspect.signature(function), get_type_hints(function)
        except (TypeError, ValueError, NameError):
            return None
        others = False
        for name, parameter in list(signature.parameters.items())[inspect.isclass(one) :]:
            if parameter.kind is parameter.VAR_KEYWORD:
                others = True
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                kind = (hints.get(name, Any), parameter.default is parameter.empty)
                found.setdefault(name, kind)
        if not others:
            return found
    return found if inspect.isclass(made) else None


def _find(path: str) -> Any:
    """Import a class; what is wrong with its path, where there is none."""
    module, _, name = path.rpartition(".")
    if not module:
        return f"'{path}' is no class path: write the package and the class, such as fusion_lab.networks.TITA"
    try:
        home = import_module(module)
    except ImportError as error:
        return f"there is no module '{error.name or module}': check the class path, and that its package is installed"
    if hasattr(home, name):
        return getattr(home, name)
    public = getattr(home, "__all__", None) or [n for n, value in vars(home).items() if inspect.isclass(value)]
    return _instead(f"there is no '{name}' in {module}", name, sorted(one for one in public if one[0].isupper()))


def _instead(start: str, name: str, choices: list[str]) -> str:
    """Go on from ``start`` with what may have been meant by ``name``, or with all choices."""
    spelt = {choice.lower(): choice for choice in choices}
    if close := get_close_matches(name.lower(), spelt, n=3):
        return f"{start}: did you mean {' or '.join(repr(spelt[choice]) for choice in close)}?"
    more = ", ..." if len(choices) > _MAX_CHOICES else ""
    return f"{start}: choose one of {', '.join(choices[:_MAX_CHOICES])}{more}." if choices else f"{start}."


def _fits(value: Any, kind: Any) -> bool:
    """Ask the parser about one value."""
    try:
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--value", type=kind)
        # Text may be that of a command line.
        if isinstance(value, str):
            parser.parse_args([f"--value={value}"])
        else:
            parser.parse_object({"value": value})
    except Exception:
        return False
    return True


def _refers(value: Any) -> bool:
    """Tell whether a value holds classes, whose mistakes are told one by one, or references to other keys."""
    if isinstance(value, Mapping):
        return "class_path" in value or any(map(_refers, value.values()))
    return any(map(_refers, value)) if isinstance(value, list) else isinstance(value, str) and "${" in value


def _parts(kind: Any) -> Sequence[Any]:
    """Return the alternatives of a type."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _union(kinds: Sequence[Any]) -> Any:
    return Union[tuple(kinds)] if kinds else Any  # noqa: UP007 - made from a list


def _made_by(kind: Any) -> type | None:
    """Return the class that a factory makes."""
    if get_origin(kind) is not Callable and getattr(get_origin(kind), "__name__", "") != "Callable":
        return None
    return next((one for one in _parts((get_args(kind) or (None,))[-1]) if inspect.isclass(one)), None)


def _takes_keys(kind: type) -> bool:
    """Tell whether a class is given by its keys alone, as a dataclass is."""
    return hasattr(kind, "__dataclass_fields__") or kind.__name__ == "Trainer"


def _told(kind: Any) -> str:
    """Say what a type is."""
    words, choices = [], []
    for one in _parts(kind):
        if get_origin(one) is Literal:
            choices += [repr(choice) for choice in get_args(one)]
        elif one is not NoneType:
            plain = get_origin(one) or one
            words.append(_KINDS.get(plain, getattr(plain, "__name__", str(plain))))
    words += [f"one of {', '.join(dict.fromkeys(choices))}"] if choices else []
    return " or ".join(dict.fromkeys(words))


def _shortened(value: str) -> str:
    value = " ".join(value.split())
    return f"'{value[:_LONGEST_VALUE]} ...'" if len(value) > _LONGEST_VALUE else f"'{value}'"
