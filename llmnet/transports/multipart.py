"""Writes files and form fields as `multipart/form-data`, by urllib3: for both fronts the same bytes."""

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from urllib3.fields import RequestField, guess_content_type
from urllib3.filepost import encode_multipart_formdata

from llmnet.core.errors import ConfigurationError

_EXPECTED = "a path, an open file, bytes, a text, or a tuple (name, one of these, content type, headers)"


def encoded(fields: Mapping[str, Sequence[str]], files: Any) -> tuple[bytes, str]:
    """The body and its content type; files are read here, once, so that the same bytes are sent again.

    Args:
        fields: the texts of each form field, which go first.
        files: a dict, or pairs, of a field's name and its file.

    Raises:
        ConfigurationError: a file is none, or cannot be read.
    """
    parts = [_part(name, None, text.encode(), None) for name, texts in fields.items() for text in texts]
    return encode_multipart_formdata([*parts, *_file_parts(files)])


def _file_parts(files: Any) -> Iterator[RequestField]:
    pairs = files.items() if isinstance(files, Mapping) else files
    if isinstance(pairs, str | bytes) or not hasattr(pairs, "__iter__"):
        raise ConfigurationError(f"files must be a dict of names and files, not {type(files).__name__}")
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ConfigurationError("files must be a dict of names and files, or a list of such pairs")
        name, given = pair
        for i, file in enumerate(given if isinstance(given, list) else [given]):
            yield _file_part(name, file, f"files[{name!r}]" + (f"[{i}]" if isinstance(given, list) else ""))


def _file_part(name: str, given: Any, path: str) -> RequestField:
    if not isinstance(given, tuple):
        return _part(name, _name_of(given) or name, _read(given, path), None)
    if not 2 <= len(given) <= 4 or not isinstance(given[0], str | None):
        raise ConfigurationError(f"{path} must be {_EXPECTED}")
    filename, file, *more = given
    content_type, headers = (*more, None, None)[:2]
    return _part(name, filename, _read(file, path), content_type, headers)


def _part(
    name: str, filename: str | None, data: bytes, content_type: str | None, headers: Mapping[str, str] | None = None
) -> RequestField:
    """A part; without a name of a file it is a form field."""
    part = RequestField(name, data, filename, headers)
    part.make_multipart(content_type=content_type or (guess_content_type(filename) if filename else None))
    return part


def _name_of(file: Any) -> str | None:
    """The name of an open file or of a path, if it has one."""
    name = file if isinstance(file, os.PathLike) else getattr(file, "name", None)
    return os.path.basename(os.fsdecode(name)) if isinstance(name, str | bytes | os.PathLike) else None


def _read(file: Any, path: str) -> bytes:
    try:
        data: Any = pathlib.Path(os.fsdecode(file)).read_bytes() if isinstance(file, os.PathLike) else file
        data = data.read() if callable(getattr(data, "read", None)) else data
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    if isinstance(data, str):
        return data.encode()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ConfigurationError(f"{path} must be {_EXPECTED}, not {type(file).__name__}")
    return bytes(data)
