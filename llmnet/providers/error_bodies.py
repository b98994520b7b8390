"""Reads what went wrong from an error of any vendor, whatever shape its body has; `error_codes` has the names.

The class comes from the status, corrected by the vendor's code; inside a success the body's own words give the status.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmnet.core.errors import APIStatusError
from llmnet.core.json import decode, encode
from llmnet.core.preview import SHOWN, cut, kept, shown
from llmnet.core.resets import reset_in_body
from llmnet.core.retry_after import hint_in_body, parse_retry_after
from llmnet.providers.error_codes import PERMANENT, STATUSES, WORDS, Codes, class_of, meaning
from llmnet.providers.error_phrases import word_of

# An error inside a success may be as large as a reply: of its message so much is kept.
LONGEST_MESSAGE = 16 * 1024
UNKNOWN_IN_SUCCESS = 500
_ERROR_STATUS = re.compile("[45][0-9]{2}")
_FINE = ("0", "200", "success", "ok")
_NOTHING = (*_FINE, "", "none", "null")
_FAILURE = re.compile("error|fail|exception|unavailable|overload|^err|^fault|^<html|^<!doctype", re.IGNORECASE)
_KINDS = ("status", "type", "__type", "state")
_REPLY = ("choices", "output", "content", "data")
_CODES = ("code", "error_code", "status_code", "statusCode")
_MESSAGES = ("message", "msg", "error_msg", "status_msg", "error_description", "detail")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What an error body says, whatever its shape.

    Attributes:
        names: all that a machine may read, in lower case, the most telling first.
        number: an HTTP status among it, or 0.
        behind: what a gateway quotes of the server behind it.
    """

    message: str
    code: str | None = None
    type: str | None = None
    request_id: str | None = None
    names: tuple[str, ...] = ()
    number: int = 0
    behind: str = ""

    @property
    def prose(self) -> str:
        """All that is said in words."""
        return f"{self.message} {self.behind}"


def find_error(payload: Any) -> bool:
    """Whether the JSON of a success is an error."""
    whole = _first_of(payload)
    if not isinstance(whole, dict):
        return False
    if whole.get("type") == "error" or whole.get("object") == "error" or _wrapped(whole):
        return True
    # Code alone is none: an event of a code interpreter has the program in a field of that name.
    return has_code(whole) and _has_message(whole) and not any(whole.get(name) for name in _REPLY)


def looks_failed(payload: Any) -> bool:
    """Whether something looks like a failure in words that nobody knows: what a server says where a reply belongs."""
    whole = _first_of(payload)
    if isinstance(whole, str):
        return _FAILURE.search(whole) is not None
    if not isinstance(whole, dict) or any(whole.get(name) for name in _REPLY):
        return False
    named = any(_FAILURE.search(name) and not is_hollow(value) for name, value in whole.items())
    named = named or any(_FAILURE.search(_text_at(whole, name) or "") for name in _KINDS)
    failed = any(whole.get(name) is False for name in ("success", "ok", "succeeded"))
    return named or failed or bool(whole.get("detail")) or bool(_number(whole)) or has_code(whole)


def is_hollow(value: Any) -> bool:
    """Whether what stands where an error would says that there is none, as in `{"code": 0, "message": "success"}`."""
    if isinstance(value, dict | list):
        return all(map(is_hollow, value.values() if isinstance(value, dict) else value))
    word = str(value or "").strip().lower()
    return word in _NOTHING or word.startswith("success")


def has_code(values: Mapping[str, Any]) -> bool:
    """Whether a code says that something went wrong; an empty one, 0 and 200 do not."""
    code = _text_at(values, *_CODES)
    return code is not None and code.lower() not in _FINE


def status_error(
    codes: Codes, http_status: int, headers: Mapping[str, str], payload: Any, said: int | None = None
) -> APIStatusError:
    """The typed error of an error body.

    Args:
        codes: the service's own codes.
        http_status: what the wire carried.
        headers: response headers.
        payload: the decoded body, or its text.
        said: the status that a stream's own words carry, as DashScope's comment lines do.
    """
    detail = detail_of(payload, headers)
    wire = said or (http_status if not 200 <= http_status < 300 else None)
    word = word_of(codes.word(detail.names, detail.message), detail.prose, wire, hinted=_hinted(headers, payload))
    status = wire or detail.number or _status_within(word, detail)
    name = detail.code or detail.type
    return _class(word, status)(
        f"HTTP {http_status}{f' {name}' if name else ''}: {detail.message}",
        status=status,
        http_status=http_status,
        code=detail.code,
        type=detail.type,
        body=kept(payload),
        request_id=detail.request_id,
        throttled=word in ("rate", "overloaded") or (word is None and status in (429, 529)),
        **({"final": True} if word in PERMANENT and (status == 429 or status >= 500) else {}),
    )


def _hinted(headers: Mapping[str, str], payload: Any) -> bool:
    """Whether it is said when to come back; how long that is from now is no matter here."""
    hints = (parse_retry_after(headers, 0.0), hint_in_body(payload), reset_in_body(payload, 0.0))
    return any(hint is not None for hint in hints)


def _class(word: str | None, status: int) -> type[APIStatusError]:
    """An overload that comes with a status below 500 is an ordinary throttle."""
    return WORDS["rate" if word == "overloaded" and status < 500 else word][0] if word else class_of(status)


def _status_within(word: str | None, detail: Detail) -> int:
    """The status that an error inside a success stands for."""
    if word:
        return WORDS[word][1]
    return next((status for name in detail.names if (status := meaning(name, STATUSES))), UNKNOWN_IN_SUCCESS)


# -- the grammar of bodies --------------------------------------------------------------------------------------------


def detail_of(payload: Any, headers: Mapping[str, str]) -> Detail:
    """Find message, code and type in an error body: nested, flat, a list, a string or no JSON at all."""
    whole = _first_of(payload)
    if not isinstance(whole, dict):
        return Detail(message=shown(whole) or headers.get("x-bce-error-message") or "no body")
    error = _error_in(whole)
    code, kind = _text_at(error, *_CODES), _text_at(error, "type", "status")
    details, metadata = error.get("details"), error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None  # as OpenRouter quotes what it was told
    if isinstance(details, dict):
        code = _text_at(details, "error_code") or code
    detail = Detail(
        message=_message(error, whole),
        code=code,
        type=kind if kind != "error" and not (kind or "").isdigit() else None,
        request_id=_text_at(whole, "request_id", "id"),
        names=tuple(name.lower() for name in (*_names_in(details), code, kind) if name),
        number=_number(error) or _number(whole),
        behind=raw if isinstance(raw, str) else encode(raw).decode() if isinstance(raw, dict) else "",
    )
    nested = _nested(detail.message) or _nested(detail.behind)
    return _together(detail, detail_of(nested, headers)) if nested else detail


def _first_of(payload: Any) -> Any:
    """Google sends its error object as the only item of a list."""
    return payload[0] if isinstance(payload, list) and payload else payload


def _wrapped(whole: dict[str, Any]) -> Any:
    """What a body wraps as its error: MiniMax and Groq have places of their own."""
    base, groq = whole.get("base_resp"), whole.get("x_groq")
    if not is_hollow(whole.get("error")):
        return whole["error"]
    if isinstance(base, dict) and has_code(base):
        return base
    return groq.get("error") if isinstance(groq, dict) else None


def _error_in(whole: dict[str, Any]) -> dict[str, Any]:
    """The object that has message and code; a bare string is the code if the body has a message beside it."""
    inner = _wrapped(whole)
    if isinstance(inner, dict):
        return inner
    if not isinstance(inner, str):
        return whole
    return {"code": inner, **whole} if _has_message(whole) else {**whole, "message": inner}


def _message(error: dict[str, Any], whole: dict[str, Any]) -> str:
    places = ((values, name) for values in (error, whole) for name in _MESSAGES)
    said = next((values[name] for values, name in places if values.get(name) not in (None, "")), None)
    return cut(said, LONGEST_MESSAGE) if isinstance(said, str) else shown(error if said is None else said)


def _names_in(details: Any) -> Iterator[str | None]:
    """The names in Google's details: the reason, and the quotas that were exceeded."""
    for item in _dicts(details):
        yield _text_at(item, "reason")
        for violation in _dicts(item.get("violations")):
            yield _text_at(violation, "quotaId")


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _nested(message: str) -> dict[str, Any] | None:
    """The error that a gateway hands on as its message, whole and as JSON, from the one behind it."""
    if not message.lstrip().startswith("{"):
        return None
    try:
        value = decode(message)
    except ValueError:
        return None
    return value if isinstance(value, dict) and (_wrapped(value) or _has_message(value)) else None


def _together(outer: Detail, inner: Detail) -> Detail:
    return dataclasses.replace(
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
    return next((int(text) for text in texts if _ERROR_STATUS.fullmatch(text)), 0)


def _text_at(values: Mapping[str, Any], *names: str) -> str | None:
    """The first of some names that has a text or a whole number, as text."""
    for name in names:
        value = values.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return cut(str(value), SHOWN)
    return None
