"""The wire form of each path, the fields that its requests must have, and the vendor that refuses them."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from llmnet.testing.script import Received
from llmnet.testing.wire_forms import chat, messages, native, responses
from llmnet.testing.wire_forms.common import ReplyFormat, Vendor

Kinds = type | tuple[type, ...]


class Route(NamedTuple):
    """How requests to a path are answered.

    Attributes:
        reply_format: how its replies are written.
        method: its only HTTP method, GET also stands for HEAD; None for an unknown path.
        needs: the fields that the body must have, with their types; of several names one is enough.
        listed: whether the model must be in the list.
    """

    reply_format: ReplyFormat
    method: str | None = "POST"
    needs: tuple[tuple[tuple[str, ...], Kinds], ...] = ()
    listed: bool = False


def _post(reply_format: ReplyFormat, needs: Mapping[str, Kinds]) -> Route:
    """Make a route; a field may have several names, with a bar between them."""
    return Route(reply_format, needs=tuple((tuple(names.split("|")), kinds) for names, kinds in needs.items()))


def _unknown(vendor: Vendor) -> Route:
    return Route(
        ReplyFormat(lambda answer, _: answer.text or "", vendor, type="text/plain; charset=utf-8"), method=None
    )


_NATIVE: dict[str, Kinds] = {"model": str, "input": dict}
_RESPONSES: dict[str, Kinds] = {
    "model|prompt": (str, dict),
    "input|prompt|previous_response_id|conversation": (str, list, dict),
}
_LIST, _NATIVE_LIST = Route(chat.MODELS, "GET"), Route(native.MODELS, "GET")
_ROUTES = (
    # by the end of the path
    ("/chat/completions", _post(chat.FORMAT, {"model": str, "messages": list})),
    ("/responses", _post(responses.FORMAT, _RESPONSES)),
    ("/messages", _post(messages.FORMAT, {"model": str, "max_tokens": int, "messages": list})),
    ("/messages/count_tokens", _post(messages.COUNT, {"model": str, "messages": list})),
    ("/text-generation/generation", _post(native.FORMAT, _NATIVE)),
    ("/multimodal-generation/generation", _post(native.FORMAT, _NATIVE)),
    ("/text-embedding/text-embedding", _post(native.EMBEDDINGS, _NATIVE)),
    ("/embeddings", _post(chat.EMBEDDINGS, {"model": str, "input": (str, list)})),
    ("/api/v1/models", _NATIVE_LIST),
    ("/models", _LIST),
)
_PARTS = (
    # by a part of other paths
    ("/api/v1/", _unknown(native.VENDOR)),
    ("/models/", Route(chat.MODEL, "GET", listed=True)),
    ("/messages", _unknown(messages.VENDOR)),
    ("", _unknown(chat.VENDOR)),
)
_ANTHROPIC = {
    # recognised by Anthropic's mandatory header only
    chat.MODELS: Route(messages.MODELS, "GET"),
    chat.MODEL: Route(messages.MODEL, "GET", listed=True),
    _PARTS[-1][1].reply_format: _PARTS[-2][1],
}


def route_of(request: Received) -> Route:
    """Find how a request is answered; every path has a route."""
    found = _by_path(request.path)
    if found is _NATIVE_LIST and "page_no" not in request.query:  # OpenRouter has this path, too, and no pages
        found = _LIST
    return _ANTHROPIC.get(found.reply_format, found) if "anthropic-version" in request.headers else found


@lru_cache(maxsize=64)
def _by_path(path: str) -> Route:
    ends = (route for end, route in _ROUTES if path.endswith(end))
    return next(ends, None) or next(route for part, route in _PARTS if part in path)
