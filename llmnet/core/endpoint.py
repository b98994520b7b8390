"""The arguments of `client.request`, checked before any I/O, and its reply, read as bytes, whatever they mean."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from llmnet.core.errors import ConfigurationError
from llmnet.core.extras import query_text
from llmnet.core.form_contract import Kind
from llmnet.core.http import Headers
from llmnet.core.inflate import Inflater
from llmnet.core.json import check_json, encode
from llmnet.core.reply_reader import ReplyReader

_METHOD = re.compile(r"[A-Z]{1,20}")
# They are about the connection itself.
_NO_METHODS = ("CONNECT", "TRACE")
# A body of their own is expected of them, be it an empty one.
_WITH_BODY = ("POST", "PUT", "PATCH")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
# What stays as it is in a path (RFC 3986, 3.3), an escape too.
_PATH_SIGNS = "/:@!$&'()*+,;=-._~%"
_QUERY_SIGNS = _PATH_SIGNS + "?"
_ESCAPED_DOT = re.compile("%(?:25)*2e", re.IGNORECASE)
_SEPARATOR = re.compile("/|%(?:25)*(?:2f|5c)", re.IGNORECASE)
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

FORM_TYPE = "application/x-www-form-urlencoded"


def checked_method(method: Any) -> str:
    """The method in capital letters.

    Raises:
        ConfigurationError: it is none.
    """
    name = method.upper() if isinstance(method, str) else ""
    if not _METHOD.fullmatch(name) or name in _NO_METHODS:
        raise ConfigurationError(f"method must be an HTTP method like 'GET' or 'POST', not {method!r:.40}")
    return name


def checked_path(path: Any) -> tuple[str, str]:
    """The path below the base address, escaped and with a slash before it, and its query.

    Raises:
        ConfigurationError: it is an address, or would lead out of the base address; then a key would go with it.
    """
    if not isinstance(path, str):
        raise ConfigurationError(f"path must be a text like '/moderations', not {type(path).__name__}")
    check_json(path, "path")  # half of a surrogate pair has no UTF-8
    if _SCHEME.match(path) or path.startswith(("//", "\\")):
        raise ConfigurationError(
            "path must be a path below base_url, like '/moderations', not an address: the key goes nowhere else; "
            "give another address as base_url="
        )
    if "#" in path or "\\" in path or any(character < " " or character == "\x7f" for character in path):
        raise ConfigurationError("path must have no '#', backslash or control character; escape them, as in '%23'")
    plain, _, query = path.partition("?")
    _check_below(plain)
    return _escaped("/" + plain.removeprefix("/"), _PATH_SIGNS), _escaped(query, _QUERY_SIGNS)


def _escaped(text: str, safe: str) -> str:
    """A text as an address has it; escapes that are there already stay."""
    return quote(_LONE_PERCENT.sub("%25", text), safe=safe)


def _check_below(path: str) -> None:
    """Check that no `..` leads out of the base, whoever on the way undoes its escapes, once or again, or does not."""
    shown = _ESCAPED_DOT.sub(".", path)
    segments = [segment.partition(";")[0] for segment in _SEPARATOR.split(shown)]
    if ".." in segments and len(segments) > shown.count("/") + 1:
        raise ConfigurationError("path has '..' beside an escaped slash, which not all read alike; leave '..' out")
    depth = 0
    for segment in segments:
        depth += {"": 0, ".": 0, "..": -1}.get(segment, 1)
        if depth < 0:
            raise ConfigurationError("path leads out of base_url by '..'; give the path below base_url")


def checked_query(params: Any, name: str = "params") -> dict[str, list[str]]:
    """The texts of each parameter; `None` has none, a list or tuple one for each of its items.

    Raises:
        ConfigurationError: one of them is no text, number, `True`, `False` or `None`.
    """
    if params is None:
        return {}
    if not isinstance(params, Mapping) or not all(isinstance(key, str) for key in params):
        raise ConfigurationError(f"{name} must be a dict of names and values, not {type(params).__name__}")
    for key in params:
        check_json(key, f"a key of {name}")
    return {key: list(_texts(value, f"{name}[{key!r}]")) for key, value in params.items()}


def _texts(value: Any, path: str) -> Iterator[str]:
    for item in value if isinstance(value, list | tuple) else [value]:
        if (text := query_text(item, path)) is not None:
            yield text


def body_of(method: str, json: Any, data: Any) -> tuple[bytes | None, str | None]:
    """The body of a request without files, and its content type; `None` where it has none.

    Raises:
        ConfigurationError: it cannot be sent.
    """
    if json is not None:
        return encode(json, "json"), "application/json"
    if isinstance(data, Mapping):
        return urlencode(checked_query(data, "data"), doseq=True).encode(), FORM_TYPE
    if isinstance(data, str):
        check_json(data, "data")
        return data.encode(), None
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data), None
    if data is not None:
        raise ConfigurationError(
            f"data must be bytes, a text or a dict of form fields, not {type(data).__name__}: it may have to be sent "
            "again; read it first"
        )
    return (b"" if method in _WITH_BODY else None), None


def check_one_body(json: Any, data: Any, files: Any) -> None:
    """Check that there is one body.

    Raises:
        ConfigurationError: there are several; form fields may go with files.
    """
    if json is not None and (data is not None or files is not None):
        raise ConfigurationError("json cannot go with data or files: a request has one body; give one of them")
    if files is not None and data is not None and not isinstance(data, Mapping):
        raise ConfigurationError(f"data beside files must be a dict of form fields, not {type(data).__name__}")


def check_stream(stream: Any) -> None:
    """Check what says whether the body is a stream.

    Raises:
        ConfigurationError: it is neither `True` nor `False`.
    """
    if not isinstance(stream, bool):
        raise ConfigurationError(f"stream must be True or False, not {type(stream).__name__}")


def model_in(json: Any, data: Any) -> str:
    """The model that a request names, by which events and counts know it, or `""`."""
    model = next((body.get("model") for body in (json, data) if isinstance(body, Mapping)), None)
    return model if isinstance(model, str) else ""


class BytesReader(ReplyReader):
    """Reads a success as bytes, their coding undone: all at once, or piece by piece, of which there may be any number.

    An error is read as that of a chat is.
    """

    def open(self, status: int, headers: Headers) -> Kind:
        """Say what the reply is, from its head."""
        kind = super().open(status, headers)
        if self.stream and kind != "error":
            self._take_apart(Inflater(headers.get("content-encoding"), None))
        return kind

    def _kind_of(self, content_type: str) -> Kind:
        # `json` is what begins with its head, and is read to the end of its body.
        return "json" if 200 <= (self.status or 0) < 300 else "error"

    def _is_events(self, piece: bytes) -> bool:
        return False

    def _gather(self, piece: bytes, chunks: list[Any]) -> None:
        if not self.stream:
            super()._gather(piece, chunks)
        elif piece:
            chunks.append(piece)

    def _end_json(self, chunks: list[Any]) -> None:
        if self._inflater is not None:
            self._inflater.end()
        self.value = bytes(self._body)
