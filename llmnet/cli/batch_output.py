"""The output of a batch: a line for each result, in the form of OpenAI's Batch output, complete or not there."""

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
from llmnet.cli.batch_resume import keep_answers
from llmnet.cli.file_lock import try_lock
from llmnet.cli.terminal import without_controls
from llmnet.core.chat import ChatResponse, Usage
from llmnet.core.errors import APIStatusError, ConfigurationError, LLMNetError, OutputError
from llmnet.providers.writing import VENDOR


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


class Output:
    """The destination of lines: each is written completely, or not at all, as far as the writer can decide that.

    A file is locked before it is emptied: two writers would overwrite each other's lines.

    Args:
        path: a file, which is emptied, or `-` for standard output.
        uninterrupted: makes a context that defers signals while a line is written.
        overwrite: whether a file that is not empty may be emptied.
        resume: whether such a file is gone on with: its answers stay.

    Attributes:
        answered: the custom_ids of the rows whose answers it had.

    Raises:
        ConfigurationError: it cannot be written, is not empty, or another program writes it.
    """

    def __init__(
        self,
        path: str,
        uninterrupted: Callable[[], AbstractContextManager[object]],
        *,
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        self._uninterrupted = uninterrupted
        self.answered: set[str] = set()
        self.name = "standard output" if path == "-" else path
        try:
            self._descriptor = _STDOUT if path == "-" else os.open(path, _FLAGS, 0o666)
            try:
                if path != "-" and stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                    self._prepare(path, overwrite=overwrite, resume=resume)
                self._terminal = os.isatty(self._descriptor)
            except BaseException:
                self.close()
                raise
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror or error}") from None

    def _prepare(self, path: str, *, overwrite: bool, resume: bool) -> None:
        """Lock the file, and empty it or go on with it; a device is neither locked nor emptied."""
        if not try_lock(self._descriptor):
            raise ConfigurationError(f"another program is writing {path}; nothing was sent")
        if resume:
            self.answered = keep_answers(self._descriptor, path, self._uninterrupted)
        elif os.fstat(self._descriptor).st_size and not overwrite:
            raise ConfigurationError(
                f"{path} is not empty; nothing was sent: name another output, or give --resume or --overwrite"
            )
        else:
            os.ftruncate(self._descriptor, 0)

    def write(self, line: bytes) -> None:
        """Write a line.

        Raises:
            BrokenPipeError: the reader of standard output has closed it.
            LLMNetError: it cannot be written, as on a full disk.
        """
        rest = memoryview(without_controls(line.decode()).encode() if self._terminal else line)
        size = len(rest)
        with self._uninterrupted():
            try:
                while rest:
                    rest = rest[self._write_some(rest) :]
            except OSError as error:
                self._take_back(size - len(rest))
                if error.errno == errno.EPIPE and self._descriptor == _STDOUT:
                    raise
                raise LLMNetError(f"cannot write {self.name}: {error.strerror}; the batch was stopped") from None

    def close(self) -> None:
        """Close the file."""
        if self._descriptor != _STDOUT:
            os.close(self._descriptor)

    def _write_some(self, data: memoryview) -> int:
        """Write as much as there is room for."""
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:  # another program may have made a shared standard output non-blocking
            select.select([], [self._descriptor], [])
            return 0

    def _take_back(self, written: int) -> None:
        """Remove a partial line, where the file allows it and nothing follows."""
        state = os.fstat(self._descriptor)
        if written and stat.S_ISREG(state.st_mode):
            end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            if end == state.st_size:
                os.ftruncate(self._descriptor, end - written)
                os.lseek(self._descriptor, end - written, os.SEEK_SET)


_STDOUT = 1
# Without O_TRUNC: it is emptied only after it is locked.
_FLAGS = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def check_not_input(source: int, path: str) -> None:
    """Check that the results do not overwrite the input, whose descriptor is *source*.

    Raises:
        ConfigurationError: they are the same file.
    """
    try:
        target = os.fstat(_STDOUT) if path == "-" else os.stat(path)
    except OSError:
        return  # it does not exist yet, or cannot be written either
    if stat.S_ISREG(target.st_mode) and os.path.samestat(target, os.fstat(source)):
        raise ConfigurationError("input and output are the same file")
