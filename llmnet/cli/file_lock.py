"""Who writes a file: one program at a time, whose claim ends with its descriptor, however the program ends."""

import errno
import importlib
import os
from typing import Any

# Where the lock of Windows lies: what is locked nobody else can read, so it is a byte that few outputs ever have.
_FAR = 2**31 - 2
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_POSIX, _WINDOWS = _module("fcntl"), _module("msvcrt")


def claim(descriptor: int) -> bool:
    """Claim an open file; whether nobody else has. Where locks are not known, nobody has."""
    try:
        if _POSIX:
            _POSIX.flock(descriptor, _POSIX.LOCK_EX | _POSIX.LOCK_NB)
        elif _WINDOWS:
            _lock_far(descriptor)
    except OSError as error:
        return error.errno not in _TAKEN
    return True


def _lock_far(descriptor: int) -> None:
    os.lseek(descriptor, _FAR, os.SEEK_SET)
    try:
        _WINDOWS.locking(descriptor, _WINDOWS.LK_NBLCK, 1)
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
