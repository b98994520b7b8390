"""What the wire forms share when they write: addresses, parameters by table, and the vendor's items in a message."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from llmnet.core.errors import ConfigurationError
from llmnet.core.json import check_json, mended
from llmnet.core.request import ChatRequest
from llmnet.providers.reading import Fields, Object
from llmnet.providers.tool_rows import arguments_text

# What a parameter becomes: another name, what to merge into the body, or REFUSED where the vendor has no counterpart.
Rule = str | Callable[[Any], Object] | None
REFUSED: Rule = None

# Values that ask for what happens anyway; so do `False` and empty values of every parameter.
_NEUTRAL = {"n": 1, "frequency_penalty": 0, "presence_penalty": 0, "top_logprobs": 0}


def url_below(base_url: str, path: str, query: Fields) -> str:
    """A base URL with a path and a query appended; parameters of the base's own query win."""
    parts = urlsplit(base_url)
    kept = dict(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
    added = urlencode({name: value for name, value in query.items() if name not in kept and value is not None})
    joined = "&".join(filter(None, (parts.query, added)))
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, joined, ""))


def translated(params: Fields, rules: Mapping[str, Rule], form: str) -> Object:
    """Parameters translated by a form's table; those without a rule pass as they are.

    Raises:
        ConfigurationError: the form has no counterpart for one of them, or one stands there under both its names.
    """
    body: Object = {}
    for name, value in params.items():
        rule = rules.get(name, name)
        if isinstance(rule, str):
            if rule != name and rule in params:
                raise ConfigurationError(f"{name} and {rule} are two names of one parameter here; give one of them")
            body[rule] = _merged(body.get(rule), value)
        elif rule is not None:
            body = _merged(body, rule(value))
        elif not is_neutral(name, value):
            raise ConfigurationError(f"{name} has no counterpart in the {form} form; leave it out for this provider")
    return body


def _merged(value: Any, more: Any) -> Any:
    """A value with another one over it; two dicts are merged, and the dicts in them."""
    if not (isinstance(value, dict) and isinstance(more, dict)):
        return more
    return {**value, **{name: _merged(value.get(name), one) for name, one in more.items()}}


def is_neutral(name: str, value: Any) -> bool:
    """Whether a parameter asks for what happens without it."""
    if isinstance(value, bool | Mapping | list | tuple):
        return not value
    return name in _NEUTRAL and bool(value == _NEUTRAL[name])


def store_if_asked(value: Any) -> Object:
    """The rule of `store`: sent as it is, for the vendor to accept or refuse, unless it is neutral."""
    return {} if is_neutral("store", value) else {"store": value}


def set_params(params: Fields) -> Object:
    """The parameters that are not `None`."""
    return {name: value for name, value in params.items() if value is not None}


def params_of(chat: ChatRequest, lacks: Sequence[str] = ()) -> Object:
    """The parameters of a chat, but neutral ones that a service *lacks* and, of a plain call, those of a stream."""
    params = chat.params
    left_out = {name for name in lacks if name in params and is_neutral(name, params[name])}
    if not chat.stream and "stream_options" in params:
        left_out.add("stream_options")
    return {name: value for name, value in params.items() if name not in left_out} if left_out else params


def without_usage(options: Any) -> Object:
    """The stream options of a form that always sends usage and has no parameter that asks for it."""
    left = {name: value for name, value in options.items() if name != "include_usage"}
    return {"stream_options": left} if left else {}


def without_options(options: Any) -> Object:
    """The stream options of a form that has none; neutral ones are dropped.

    Raises:
        ConfigurationError: one of them asks for something.
    """
    for name, value in options.items():
        if name != "include_usage" and not is_neutral(name, value):
            raise ConfigurationError(f"stream_options: {name!r} has no counterpart in this form; leave it out")
    return {}


VENDOR = "vendor"


def without_empty(message: Fields) -> Object:
    """A message of the chat form without null and empty lists, which vendors refuse, except in `content`.

    The vendor's own items are left out, too, and the arguments of its calls become JSON text.
    """
    kept = {
        name: value
        for name, value in message.items()
        if name == "content" or (name != VENDOR and (value or value not in (None, [], ())))
    }
    if "tool_calls" in kept:
        kept["tool_calls"] = [_with_text(call) for call in kept["tool_calls"]]
    return kept


def _with_text(call: Fields) -> Object:
    function = call.get("function")
    if not isinstance(function, Mapping):
        return dict(call)
    return {**call, "function": {**function, "arguments": sent_arguments(function.get("arguments"))}}


def sent_arguments(arguments: Any) -> str:
    """The arguments of a call as they are sent: JSON text, an empty object where there are none."""
    if not isinstance(arguments, str):
        check_json(arguments, "arguments")  # as text they are looked at no more
    text = arguments_text(arguments)
    return text if text.strip() else "{}"


def with_items(message: Object, form: str, items: list[Object]) -> Object:
    """An assistant message that also carries the vendor's own items, for the next turn with the same wire form."""
    own = {"form": form, "items": mended(items), "said": _compared(message)}
    return {**message, VENDOR: own} if items else message


def items_in(message: Fields, form: str) -> list[Object] | None:
    """The vendor's own items in a message, if they are of this form and the caller has not edited the message since."""
    own = message.get(VENDOR)
    if not isinstance(own, dict) or own.get("form") != form or own.get("said") != _compared(message):
        return None
    items = own.get("items")
    return items if isinstance(items, list) else None


def _compared(message: Fields) -> Object:
    """The fields that show whether a message was edited."""
    return {name: message.get(name) for name in ("content", "tool_calls")}
