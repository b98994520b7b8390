"""The output of a batch: a line for each result, complete or not there; one program writes a file at a time."""

import errno
import importlib
import os
import select
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from llmnet.cli.batch_lines import keep_answers
from llmnet.cli.terminal import without_controls
from llmnet.core.errors import ConfigurationError, LLMNetError


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


# -- a lock on a file, which ends with the descriptor, however the program ends ---------------------------------------

# The byte that is locked on Windows, where a locked byte cannot be read: beyond the end of nearly all files.
_OFFSET = 2**31 - 2
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


POSIX, WINDOWS = _module("fcntl"), _module("msvcrt")


def try_lock(descriptor: int) -> bool:
    """Lock an open file; False if another program has locked it. Without support for locks it is always True."""
    try:
        if POSIX:
            POSIX.flock(descriptor, POSIX.LOCK_EX | POSIX.LOCK_NB)
        elif WINDOWS:
            _lock_byte(descriptor)
    except OSError as error:
        return error.errno not in _TAKEN
    return True


def _lock_byte(descriptor: int) -> None:
    os.lseek(descriptor, _OFFSET, os.SEEK_SET)
    try:
        WINDOWS.locking(descriptor, WINDOWS.LK_NBLCK, 1)
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
