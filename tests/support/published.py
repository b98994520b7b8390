"""What the vendors publish of their requests, the types of their SDKs, held against a body: strictly, no key too many."""

import collections.abc
import functools
import types
import typing

import typing_extensions

_UNIONS = (typing.Union, types.UnionType)
_LISTS = (list, tuple, collections.abc.Iterable, collections.abc.Sequence)
_WRAPPERS = (typing.Annotated, typing.Required, typing.NotRequired, typing_extensions.Required)


def problems(value, kind, path="body"):
    """What is wrong with a value by a type: texts with the path, none where nothing is."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in _WRAPPERS:
        return problems(value, args[0], path)
    if origin in _UNIONS:
        return min((problems(value, one, path) for one in args), key=_weight)
    if origin is typing.Literal:
        return [] if value in args else [f"{path} is {value!r}, not one of {args}"]
    if typing_extensions.is_typeddict(kind):
        return _object(value, kind, path)
    if origin in _LISTS:
        return _each(list, value, args[0], path)
    if origin in (dict, collections.abc.Mapping):
        return _each(dict, value, args[1], path)
    if kind is float:
        kind = (int, float)
    if origin is not None:  # a generic of the SDK's own, such as `SequenceNotStr`
        return _each(list, value, args[0], path)
    fits = kind in (object, typing.Any) or isinstance(value, kind)
    return [] if fits else [f"{path} is {value!r}, no {getattr(kind, '__name__', kind)}"]


def _weight(found):
    """Of the members of a union the one that was meant is wrong in the fewest places, and in the deepest."""
    return len(found), -max((text.count(".") for text in found), default=0)


def _each(kind, value, item, path):
    if not isinstance(value, kind):
        return [f"{path} is {value!r}, no {kind.__name__}"]
    rows = value.items() if kind is dict else enumerate(value)
    return [text for key, one in rows for text in problems(one, item, f"{path}.{key}")]


def _object(value, kind, path):
    if not isinstance(value, dict):
        return [f"{path} is {value!r}, no object"]
    hints = _hints(kind)
    missing = [f"{path}.{name} is missing" for name in sorted(_required(kind) - value.keys())]
    unknown = [f"{path}.{name} is unknown" for name in sorted(value.keys() - hints.keys())]
    inside = [
        text for name, one in value.items() if name in hints for text in problems(one, hints[name], f"{path}.{name}")
    ]
    return missing + unknown + inside


@functools.cache
def _hints(kind):
    return typing.get_type_hints(kind, include_extras=True)


@functools.cache
def _required(kind):
    """`__required_keys__` does not have them where annotations are strings."""
    marked = {name for name, hint in _hints(kind).items() if typing.get_origin(hint) is typing.Required}
    return marked if not kind.__total__ else kind.__required_keys__ | marked
