"""The body of an error of any vendor, whatever its shape; what its names mean is in `error_codes`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from llmnet.core.json import decode, encode
from llmnet.core.preview import SHOWN, cut, shown
from llmnet.providers.reading import dict_of, dicts_of

# An error inside a success may be as large as a reply: this much of its message is kept.
LONGEST_MESSAGE = 16 * 1024
_SUCCESS_CODES = ("0", "200", "success", "ok")
_NO_ERROR = (*_SUCCESS_CODES, "", "none", "null")
_FAILURE = re.compile("error|fail|exception|unavailable|overload|^err|^fault|^<html|^<!doctype", re.IGNORECASE)
_KINDS = ("status", "type", "__type", "state")
_REPLY_FIELDS = ("choices", "output", "content", "data")
_CODES = ("code", "error_code", "status_code", "statusCode")
_MESSAGES = ("message", "msg", "error_msg", "status_msg", "error_description", "detail")


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """What an error body says, whatever its shape.

    Attributes:
        names: all codes, types and reasons in it, in lower case, the most precise first.
        number: an HTTP status in it, or 0.
        upstream: what a gateway quotes of the server that it called.
    """

    message: str
    code: str | None = None
    type: str | None = None
    request_id: str | None = None
    names: tuple[str, ...] = ()
    number: int = 0
    upstream: str = ""


def find_error(payload: Any) -> bool:
    """Whether the JSON of a success is an error."""
    body = _first_of(payload)
    if not isinstance(body, dict):
        return False
    if "error" in (body.get("type"), body.get("object")) or _wrapped(body):
        return True
    # A code alone is no error: an event of a code interpreter has the program in a field of that name.
    return has_code(body) and _has_message(body) and not any(body.get(name) for name in _REPLY_FIELDS)


def looks_failed(payload: Any) -> bool:
    """Whether what came instead of a reply looks like a failure, in a shape that no vendor documents."""
    body = _first_of(payload)
    if isinstance(body, str):
        return _FAILURE.search(body) is not None
    if not isinstance(body, dict) or any(body.get(name) for name in _REPLY_FIELDS):
        return False
    named = any(_FAILURE.search(name) and not is_no_error(value) for name, value in body.items())
    named = named or any(_FAILURE.search(_text_at(body, name) or "") for name in _KINDS)
    failed = any(body.get(name) is False for name in ("success", "ok", "succeeded"))
    return named or failed or bool(body.get("detail")) or bool(_number(body)) or has_code(body)


def is_no_error(value: Any) -> bool:
    """Whether the value of an error field means that there is no error, as in `{"code": 0, "message": "success"}`."""
    if value is None:
        return True
    if isinstance(value, dict | list):
        return all(map(is_no_error, value.values() if isinstance(value, dict) else value))
    text = str(value or "").strip().lower()
    return text in _NO_ERROR or text.startswith("success")


def has_code(values: Mapping[str, Any]) -> bool:
    """Whether there is the code of an error; an empty one, 0 and 200 are none."""
    code = _text_at(values, *_CODES)
    return code is not None and code.lower() not in _SUCCESS_CODES


def detail_of(payload: Any, headers: Mapping[str, str]) -> Detail:
    """Find message, code and type in an error body: nested, flat, a list, a string or no JSON at all."""
    body = _first_of(payload)
    if not isinstance(body, dict):
        return Detail(message=shown(body) or headers.get("x-bce-error-message") or "no body")
    error = _error_in(body)
    code, kind = _text_at(error, *_CODES), _text_at(error, "type", "status")
    details, raw = error.get("details"), dict_of(error.get("metadata")).get("raw")  # `raw`: OpenRouter's upstream
    if isinstance(details, dict):
        code = _text_at(details, "error_code") or code
    detail = Detail(
        message=_message(error, body),
        code=code,
        type=kind if kind != "error" and not (kind or "").isdigit() else None,
        request_id=_text_at(body, "request_id", "id"),
        names=tuple(name.lower() for name in (*_names_in(details), code, kind) if name),
        number=_number(error) or _number(body),
        upstream=raw if isinstance(raw, str) else encode(raw).decode() if isinstance(raw, dict) else "",
    )
    nested = _nested(detail.message) or _nested(detail.upstream)
    return _merged(detail, detail_of(nested, headers)) if nested else detail


def _first_of(payload: Any) -> Any:
    """Google sends its error object as the only item of a list."""
    return payload[0] if isinstance(payload, list) and payload else payload


def _wrapped(body: dict[str, Any]) -> Any:
    """The value of the field that holds the error: `error`, MiniMax's or Groq's."""
    if not is_no_error(body.get("error")):
        return body["error"]
    base, groq = body.get("base_resp"), body.get("x_groq")
    if isinstance(base, dict) and has_code(base):
        return base
    return groq.get("error") if isinstance(groq, dict) else None


def _error_in(body: dict[str, Any]) -> dict[str, Any]:
    """The object that has message and code; a string is the code if the body has a message next to it."""
    inner = _wrapped(body)
    if isinstance(inner, dict):
        return inner
    if not isinstance(inner, str):
        return body
    return {"code": inner, **body} if _has_message(body) else {**body, "message": inner}


def _message(error: dict[str, Any], body: dict[str, Any]) -> str:
    places = ((values, name) for values in (error, body) for name in _MESSAGES)
    message = next((values[name] for values, name in places if values.get(name) not in (None, "")), error)
    return cut(message, LONGEST_MESSAGE) if isinstance(message, str) else shown(message)


def _names_in(details: Any) -> Iterator[str | None]:
    """The names in Google's details: the reason, and the quotas that were exceeded."""
    for item in dicts_of(details):
        yield _text_at(item, "reason")
        for violation in dicts_of(item.get("violations")):
            yield _text_at(violation, "quotaId")


def _nested(message: str) -> dict[str, Any] | None:
    """The error of an upstream server that a gateway passes on, as complete JSON in its own message."""
    if not message.lstrip().startswith("{"):
        return None
    try:
        value = decode(message)
    except ValueError:
        return None
    return value if isinstance(value, dict) and (_wrapped(value) or _has_message(value)) else None


def _merged(outer: Detail, inner: Detail) -> Detail:
    return msgspec.structs.replace(
        outer,
        message=inner.message,
        code=outer.code or inner.code,
        type=outer.type or inner.type,
        names=outer.names + inner.names,
        number=outer.number or inner.number,
    )


def _has_message(values: Mapping[str, Any]) -> bool:
    return any(name in values for name in _MESSAGES)


def _number(values: dict[str, Any]) -> int:
    """An HTTP status of an error among the values."""
    texts = (_text_at(values, name) or "" for name in (*_CODES, "status", "type"))
    return next((int(text) for text in texts if re.fullmatch("[45][0-9]{2}", text)), 0)


def _text_at(values: Mapping[str, Any], *names: str) -> str | None:
    """The first of some fields that holds a text or an integer, as text."""
    for name in names:
        value = values.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return cut(str(value), SHOWN)
    return None
