"""The lines of a batch's output: results in the form of OpenAI's Batch output, written, and read to go on with them.

A row that has an answer keeps its line, all other lines go. Those that stay are moved towards the beginning of the
file, one by one, and never leave it. A signal waits until that is done; a machine that fails in the middle of it leaves
one line torn, which the next time names.
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

import msgspec

from llmnet.batch.rows import BatchResult
from llmnet.cli.batch_input import MAX_LINE
from llmnet.core.chat import ChatResponse, Usage
from llmnet.core.errors import APIStatusError, ConfigurationError, OutputError
from llmnet.providers.writing import VENDOR

# Bytes of a line at most: a reply may be as long as a line of the input, and longer once it is written anew.
_LONGEST = 4 * MAX_LINE
# How a line of a batch's output begins: a last line that was cut is one of those, or the file is something else.
_BEGINNING = b'{"id":'


def line_of(result: BatchResult) -> bytes:
    """The line of a result."""
    line: dict[str, Any] = {"id": f"batch_req_{uuid.uuid4().hex}", "custom_id": result.custom_id}
    line |= {"response": None, "error": None}
    if result.error is not None:
        line |= failure(result.error)
    if (reply := result.response or _misfit(result.error)) is not None:
        line["response"] = _response(reply.meta.status, reply.meta.request_id, completion(reply))
    try:
        return msgspec.json.encode(line) + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which some vendors send, must be escaped
        return json.dumps(line).encode() + b"\n"


def _misfit(error: Exception | None) -> ChatResponse | None:
    """The whole reply that does not fit `--output-type`; it was paid for."""
    return error.partial if isinstance(error, OutputError) else None


def _response(status: int | None, request_id: str | None, body: Any) -> dict[str, Any]:
    return {"status_code": status, "request_id": request_id, "body": body}


def failure(error: Exception) -> dict[str, Any]:
    """The fields of a line for an error; with the response, if the server sent one."""
    if not isinstance(error, APIStatusError):
        return {"error": {"code": type(error).__name__, "message": str(error)}}
    return {
        "response": _response(error.http_status, error.request_id, error.body),
        "error": {"code": error.code or error.type or type(error).__name__, "message": str(error)},
    }


def completion(reply: ChatResponse) -> dict[str, Any]:
    """A reply as an OpenAI chat completion: unchanged, if it came as one."""
    if isinstance(reply.raw, dict) and isinstance(reply.raw.get("choices"), list):
        return reply.raw
    message = {name: value for name, value in reply.message.items() if name != VENDOR}
    if reply.reasoning is not None:
        message.setdefault("reasoning_content", reply.reasoning)
    return {
        "id": reply.id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": reply.model,
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason}],
        "usage": _usage(reply.usage),
    }


def _usage(usage: Usage) -> dict[str, Any] | None:
    """Token counts under OpenAI's names; unknown ones are left out."""
    cached, reasoning = usage.cached_tokens, usage.reasoning_tokens
    counts: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": None if cached is None else {"cached_tokens": cached},
        "completion_tokens_details": None if reasoning is None else {"reasoning_tokens": reasoning},
    }
    return {name: count for name, count in counts.items() if count is not None} or None


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
        try:
            name = _answered(line)
        except ValueError:
            raise ConfigurationError(
                f"line {number} of {path} is no result of a batch; nothing was sent: remove it, or name another output"
            ) from None
        if name is not None and name not in seen:
            seen.add(name)
            yield name, start, line
        start += len(line)


def _answered(line: bytes) -> str | None:
    """The custom_id of a row with an answer; `None` where it failed, and for a blank line or a last one that was cut.

    Raises:
        ValueError: it is none as `line_of` writes it, but somebody else's.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        is_cut = not line.endswith(b"\n") and line[: len(_BEGINNING)] == _BEGINNING[: len(line)]
        if is_cut or line.isspace():
            return None
        raise ValueError("it is no JSON") from None
    if not (
        isinstance(value, dict) and isinstance(value.get("custom_id"), str) and {"response", "error"} <= value.keys()
    ):
        raise ValueError("it is no result")
    response = value["response"]
    # In OpenAI's own output a request that was refused has a response, and no error.
    fine = value["error"] is None and isinstance(response, dict) and (response.get("status_code") or 200) < 400
    return value["custom_id"] if fine else None


def write_at(descriptor: int, place: int, data: bytes) -> None:
    """Write all of a line at a place of the file."""
    os.lseek(descriptor, place, os.SEEK_SET)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
