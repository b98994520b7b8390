"""Checks names and values of headers, and keys, which may come from a function; an error never shows a value."""

import inspect
import re
import types
from collections.abc import Mapping
from typing import Any

from llmnet.core.errors import ConfigurationError

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.1
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110, 5.5
_FRAMING = ("content-length", "transfer-encoding")


def checked_headers(headers: Any, name: str) -> dict[str, str | None]:
    """Check extra headers; `None` as a value removes one of ours.

    Raises:
        ConfigurationError: a name or value that no header can carry.
    """
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"{name} must be a dict of header names and values, not {type(headers).__name__}")
    return {_header_name(key, name): _header_value(value, f"{name}[{key!r}]") for key, value in headers.items()}


def _header_name(key: Any, name: str) -> str:
    """Check a header's name; a wrong one is not shown: it may be a complete header with its value."""
    if not isinstance(key, str) or not _NAME.fullmatch(key):
        raise ConfigurationError(f"{name} has a key that is no header name; write {{'name': 'value'}}")
    if key.lower() in _FRAMING:
        raise ConfigurationError(f"{name}[{key!r}] cannot be given: it follows from how the body is sent")
    return key


def _header_value(value: Any, path: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise ConfigurationError(f"{path} must be a text that a header can carry: latin-1, no line breaks")
    return value.strip(" \t")


def checked_key(key: Any, name: str = "api_key") -> str | None:
    """A key without surrounding white space, `None` where it is blank.

    Raises:
        ConfigurationError: it is no text, one that no header can carry, or begins with "Bearer".
    """
    if key is None:
        return None
    if not isinstance(key, str):
        raise ConfigurationError(f"{name} must be a string, not {type(key).__name__}")
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError(f"{name} holds characters that no header can carry; copy it again")
    if key.lower().startswith("bearer "):
        raise ConfigurationError(f"{name} begins with 'Bearer', which is sent before it anyway; give the key alone")
    return key or None


def drop(value: object) -> None:
    """Close a coroutine that nobody will await, of which Python would warn later, at some other place."""
    if inspect.iscoroutine(value):
        value.close()


def given_key(value: Any) -> str:
    """Check what a callable `api_key` has returned for an attempt.

    Raises:
        ConfigurationError: it is none.
    """
    drop(value)
    key = checked_key(value, "what the callable api_key gave")
    if key is None:
        raise ConfigurationError("the callable api_key gave no key")
    return key


class ByIdentity:
    """A function as a key of dicts, kept alive; equal to itself alone, whatever it says of its own hash and equality.

    A callable `api_key` is a credential of its own. Of a method each access makes another object; it is one function.
    """

    __slots__ = ("_parts",)

    def __init__(self, function: object) -> None:
        bound = isinstance(function, types.MethodType)
        self._parts = (function.__func__, function.__self__) if bound else (function,)  # type: ignore[attr-defined]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByIdentity) and [*map(id, self._parts)] == [*map(id, other._parts)]

    def __hash__(self) -> int:
        return hash(tuple(map(id, self._parts)))
