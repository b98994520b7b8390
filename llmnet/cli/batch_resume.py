"""Goes on with the output of a batch that was stopped: a row that has an answer keeps its line, all other lines go.

The lines that stay are moved towards the beginning of the file, one by one, and never leave it. A signal waits until
that is done; a machine that fails in the middle of it leaves one line torn, which the next time names.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from llmnet.cli.batch_input import MAX_LINE
from llmnet.core.errors import ConfigurationError

# Bytes of a line at most: a reply may be as long as a line of the input, and longer once it is written anew.
_LONGEST = 4 * MAX_LINE
# How a line of a batch's output begins: a last line that was cut is one of those, or the file is something else.
_BEGINNING = b'{"id":'


def keep_answers(descriptor: int, path: str, uninterrupted: Callable[[], AbstractContextManager[object]]) -> set[str]:
    """Remove from an output all lines but those of answers, and stand behind the last one.

    Args:
        descriptor: the file, open for writing, and locked.
        path: its name.
        uninterrupted: makes a block that a signal does not end.

    Returns:
        The custom_ids of the rows with an answer.

    Raises:
        ConfigurationError: it is no output of a batch; it is left as it was.
    """
    with open(path, "rb") as file:
        for _ in _answers(file, path):
            pass  # all of it is read before any of it is changed
        file.seek(0)
        end, names = 0, set()
        with uninterrupted():
            for name, start, line in _answers(file, path):
                whole = line if line.endswith(b"\n") else line + b"\n"
                if start != end or whole is not line:
                    write_at(descriptor, end, whole)
                end += len(whole)
                names.add(name)
            os.ftruncate(descriptor, end)
            os.lseek(descriptor, end, os.SEEK_SET)
    return names


def _answers(file: BinaryIO, path: str) -> Iterator[tuple[str, int, bytes]]:
    """The lines with an answer, the first one of each row: its custom_id, where it begins, and the line."""
    start, seen = 0, set()
    for number, line in enumerate(iter(lambda: file.readline(_LONGEST), b""), 1):
        result = _result(line)
        if result is None and not _is_cut(line) and not line.isspace():
            raise ConfigurationError(
                f"line {number} of {path} is no result of a batch; nothing was sent: remove it, or name another output"
            )
        if result is not None and _is_answer(result) and result["custom_id"] not in seen:
            seen.add(result["custom_id"])
            yield result["custom_id"], start, line
        start += len(line)


def _result(line: bytes) -> dict[str, Any] | None:
    """A line as `line_of` writes it; `None` for all else, as for a last one that was cut."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_one = (
        isinstance(value, dict) and isinstance(value.get("custom_id"), str) and {"response", "error"} <= value.keys()
    )
    return value if is_one else None


def _is_cut(line: bytes) -> bool:
    """Whether it is the beginning of a line of ours; what is whole JSON, and none of them, is somebody else's."""
    if line.endswith(b"\n") or line[: len(_BEGINNING)] != _BEGINNING[: len(line)]:
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


def _is_answer(result: dict[str, Any]) -> bool:
    """Whether nothing failed; in OpenAI's own output a request that was refused has a response, and no error."""
    response = result["response"]
    return result["error"] is None and isinstance(response, dict) and (response.get("status_code") or 200) < 400


def write_at(descriptor: int, place: int, data: bytes) -> None:
    """Write all of a line at a place of the file."""
    os.lseek(descriptor, place, os.SEEK_SET)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
