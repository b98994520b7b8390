"""The output of a batch: for each result a line in the form of OpenAI's Batch output, which is written whole or not."""

import errno
import json
import os
import select
import stat
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from llmnet.batch.rows import BatchResult
from llmnet.cli.file_lock import claim
from llmnet.cli.terminal import plain
from llmnet.core.chat import ChatResponse, Usage
from llmnet.core.errors import APIStatusError, ConfigurationError, LLMNetError
from llmnet.providers.writing import VENDOR


def line_of(result: BatchResult) -> bytes:
    """The line of a result."""
    said: dict[str, Any] = {"id": f"batch_req_{uuid.uuid4().hex}", "custom_id": result.custom_id}
    said |= {"response": None, "error": None}
    if result.response is not None:
        reply = result.response
        said["response"] = _response(reply.meta.status, reply.meta.request_id, completion(reply))
    elif result.error is not None:
        said |= failure(result.error)
    try:
        return msgspec.json.encode(said) + b"\n"
    except UnicodeEncodeError:  # half an emoji, which some vendors send, can only be written as an escape
        return json.dumps(said).encode() + b"\n"


def _response(status: int | None, request_id: str | None, body: Any) -> dict[str, Any]:
    return {"status_code": status, "request_id": request_id, "body": body}


def failure(error: Exception) -> dict[str, Any]:
    """What a line says of an error; where the server has answered with one, its answer, too."""
    if not isinstance(error, APIStatusError):
        return {"error": {"code": type(error).__name__, "message": str(error)}}
    return {
        "response": _response(error.http_status, error.request_id, error.body),
        "error": {"code": error.code or error.type or type(error).__name__, "message": str(error)},
    }


def completion(reply: ChatResponse) -> dict[str, Any]:
    """A reply as an OpenAI chat completion: as it came, if it came as one."""
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
    """Tokens in OpenAI's names; what is unknown is left out."""
    counts: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": None if usage.cached_tokens is None else {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": None
        if usage.reasoning_tokens is None
        else {"reasoning_tokens": usage.reasoning_tokens},
    }
    return {name: count for name, count in counts.items() if count is not None} or None


class Output:
    """Where lines go: each is in there whole, or not at all, as far as that is up to the writer.

    A file is claimed before it is emptied: of two writers each would write over the other's lines.

    Args:
        path: a file, which is emptied, or `-` for standard output.
        whole: entered while a line is written, so that nothing interrupts it.
        overwrite: whether a file that is not empty may be emptied.

    Raises:
        ConfigurationError: it cannot be written, or another program writes it.
    """

    def __init__(
        self, path: str, whole: Callable[[], AbstractContextManager[object]], *, overwrite: bool = False
    ) -> None:
        self._whole = whole
        self.name = "standard output" if path == "-" else path
        try:
            self._descriptor = _STDOUT if path == "-" else _claimed(path, overwrite=overwrite)
            self._terminal = os.isatty(self._descriptor)
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror or error}") from None

    def write(self, line: bytes) -> None:
        """Write a line.

        Raises:
            BrokenPipeError: the reader of standard output has left.
            LLMNetError: it cannot be written, as on a full disk.
        """
        rest = memoryview(plain(line.decode()).encode() if self._terminal else line)
        size = len(rest)
        with self._whole():
            try:
                while rest:
                    rest = rest[self._some(rest) :]
            except OSError as error:
                self._take_back(size - len(rest))
                if error.errno == errno.EPIPE and self._descriptor == _STDOUT:
                    raise
                raise LLMNetError(f"cannot write {self.name}: {error.strerror}; the batch was stopped") from None

    def close(self) -> None:
        """Nothing more is written."""
        if self._descriptor != _STDOUT:
            os.close(self._descriptor)

    def _some(self, data: memoryview) -> int:
        """Write as much as there is room for."""
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:  # standard output may be shared with a program that has made it so
            select.select([], [self._descriptor], [])
            return 0

    def _take_back(self, written: int) -> None:
        """Cut off half a line, where that can be done and nothing stands behind it."""
        state = os.fstat(self._descriptor)
        if written and stat.S_ISREG(state.st_mode):
            end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            if end == state.st_size:
                os.ftruncate(self._descriptor, end - written)
                os.lseek(self._descriptor, end - written, os.SEEK_SET)


_STDOUT = 1
# It is emptied once it is ours.
_FLAGS = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def _claimed(path: str, *, overwrite: bool) -> int:
    """A file that is ours alone, and empty; what is none, as a device, is nobody's."""
    descriptor = os.open(path, _FLAGS, 0o666)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        if not claim(descriptor):
            os.close(descriptor)
            raise ConfigurationError(f"another program is writing {path}; nothing was sent")
        if os.fstat(descriptor).st_size and not overwrite:
            os.close(descriptor)
            raise ConfigurationError(f"{path} is not empty; nothing was sent: name another output, or give --overwrite")
        os.ftruncate(descriptor, 0)
    return descriptor


def refuse_same(source: int, path: str) -> None:
    """Refuse to write the results over the input.

    Args:
        source: the descriptor of the input.
        path: the output, as given.

    Raises:
        ConfigurationError: they are one file.
    """
    try:
        target = os.fstat(_STDOUT) if path == "-" else os.stat(path)
    except OSError:
        return  # it is not there yet, or cannot be written either
    if stat.S_ISREG(target.st_mode) and os.path.samestat(target, os.fstat(source)):
        raise ConfigurationError("input and output are the same file")
