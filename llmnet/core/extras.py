"""Merges a caller's `extra_body` and `extra_query` into a finished request.

They are for what we do not know, so names are sent as they are. As in the vendors' own clients, a value replaces the
one that has its name.
"""

import json
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import unquote_plus, urlencode, urlsplit

import msgspec

from llmnet.core.credentials import in_query
from llmnet.core.errors import ConfigurationError
from llmnet.core.http import Request
from llmnet.core.json import check_json, encode


class Extras(msgspec.Struct, frozen=True, kw_only=True):
    """The extras of one call, checked; its repr shows none of them, for they may hold a key.

    Attributes:
        body: values of the body by their names.
        query: values of the query by their names, `None` to take one out.
        secrets: the credentials in the query.
    """

    body: Mapping[str, Any] = {}
    query: Mapping[str, str | None] = {}
    secrets: Sequence[str] = ()

    def __repr__(self) -> str:
        return "Extras()"

    def over(self, request: Request) -> Request:
        """The request with the extras merged into it."""
        if self.query:
            query = {name: [] if value is None else [value] for name, value in self.query.items()}
            request = msgspec.structs.replace(request, url=with_query(request.url, "", query))
        if self.body and request.body is not None:
            request = msgspec.structs.replace(request, body=encode({**json.loads(request.body), **self.body}))
        return request


def with_query(url: str, query: str, params: Mapping[str, Sequence[str]]) -> str:
    """An address with the query of a path behind its own, and parameters, which replace all of their name."""
    parts = urlsplit(url)
    pairs = [pair for pair in f"{parts.query}&{query}".split("&") if pair]
    kept = [pair for pair in pairs if unquote_plus(pair.partition("=")[0]) not in params]
    written = urlencode(params, doseq=True)
    return parts._replace(query="&".join([*kept, *filter(None, [written])])).geturl()


NONE = Extras()
_NAMES = ("extra_body", "extra_query")


def take_extras(params: MutableMapping[str, Any]) -> Extras:
    """Take the extras out of the parameters of a call.

    Raises:
        ConfigurationError: one of them cannot be sent.
    """
    if params.keys().isdisjoint(_NAMES):
        return NONE
    body, query = (_named(params.pop(name, None), name) for name in _NAMES)
    check_json(body, "extra_body")
    texts = {name: query_text(value, f"extra_query[{name!r}]") for name, value in query.items()}
    return Extras(body=body, query=texts, secrets=in_query(f"?{_written(texts)}"))


def _named(values: Any, name: str) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{name} must be a dict of names and values, not {type(values).__name__}")
    for key in values:
        if not isinstance(key, str):
            raise ConfigurationError(f"{name} has a key of the type {type(key).__name__}; keys are text")
        check_json(key, f"a key of {name}")
    return dict(values)


def query_text(value: Any, path: str) -> str | None:
    """A value as the query of an address has it."""
    if value is not None and not isinstance(value, str | int | float):
        raise ConfigurationError(f"{path} must be a text, a number, True, False or None, not {type(value).__name__}")
    check_json(value, path)
    return value if value is None or isinstance(value, str) else encode(value).decode()


def _written(query: Mapping[str, str | None]) -> str:
    return urlencode({name: value for name, value in query.items() if value is not None})
