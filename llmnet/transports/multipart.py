"""Writes files and form fields as `multipart/form-data`, for both fronts the same bytes."""

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from urllib3.fields import RequestField, guess_content_type
from urllib3.filepost import encode_multipart_formdata

from llmnet.core.errors import ConfigurationError
from llmnet.core.headers import checked_headers
from llmnet.core.json import check_json

_OURS = ("content-disposition", "content-type")
_EXPECTED = "a path, an open file, bytes, a text, or a tuple (name, one of these, content type, headers)"


def encoded(fields: Mapping[str, Sequence[str]], files: Any) -> tuple[bytes, str]:
    """The body, form fields first, and its content type; files are read here, so that the same bytes are sent again.

    Raises:
        ConfigurationError: a file is none, or cannot be read.
    """
    texts = [(name, text) for name, each in fields.items() for text in each]
    return encode_multipart_formdata([*texts, *_file_parts(files)])


def _file_parts(files: Any) -> Iterator[RequestField]:
    pairs = files.items() if isinstance(files, Mapping) else files
    if isinstance(pairs, str | bytes) or not hasattr(pairs, "__iter__"):
        raise ConfigurationError(f"files must be a dict of names and files, not {type(files).__name__}")
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ConfigurationError("files must be a dict of names and files, or a list of such pairs")
        name, given = pair
        check_json(name, "a key of files")
        for i, file in enumerate(given if isinstance(given, list) else [given]):
            yield _file_part(name, file, f"files[{name!r}]" + (f"[{i}]" if isinstance(given, list) else ""))


def _file_part(name: str, given: Any, path: str) -> RequestField:
    whole = given if isinstance(given, tuple) else (_name_of(given) or name, given)
    if not 2 <= len(whole) <= 4 or not isinstance(whole[0], str | None):
        raise ConfigurationError(f"{path} must be {_EXPECTED}")
    filename, file, content_type, headers = (*whole, None, None)[:4]
    check_json(filename, f"the name of {path}")
    checked_headers({"content-type": content_type}, path)
    more = checked_headers(headers, path)
    if said := next((one for one in more if one.lower() in _OURS), None):
        raise ConfigurationError(f"{path}: {said} is made of the names and the content type; give these")
    kept = {key: value for key, value in more.items() if value is not None}
    part = RequestField(name, _read(file, path), filename, kept)
    part.make_multipart(content_type=content_type or (guess_content_type(filename) if filename else None))
    return part


def _name_of(file: Any) -> str | None:
    """The name of an open file or a path, if it has one."""
    name = file if isinstance(file, os.PathLike) else getattr(file, "name", None)
    return os.path.basename(os.fsdecode(name)) if isinstance(name, str | bytes | os.PathLike) else None


def _read(file: Any, path: str) -> bytes:
    try:
        data: Any = _bytes_at(pathlib.Path(os.fsdecode(file)), path) if isinstance(file, os.PathLike) else file
        data = data.read() if callable(getattr(data, "read", None)) else data
    except (OSError, ValueError) as error:  # a `ValueError` of a closed file, and of a path that no system has
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    if isinstance(data, str):
        check_json(data, path)  # half of a surrogate pair has no UTF-8
        return data.encode()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ConfigurationError(f"{path} must be {_EXPECTED}, not {type(file).__name__}")
    return bytes(data)


def _bytes_at(place: pathlib.Path, path: str) -> bytes:
    if place.exists() and not place.is_file():  # a pipe or device may have no end, or give no byte
        raise ConfigurationError(f"{path} is no regular file; open it, and give what you read of it")
    return place.read_bytes()
