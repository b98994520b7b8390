"""A lock on an output file: one program writes it at a time; it ends with the descriptor, however the program ends."""

import errno
import importlib
import os
from typing import Any

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
