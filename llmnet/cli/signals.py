"""What SIGINT, SIGTERM and SIGHUP do to a command: the first asks it to end, the second does not wait for that.

Before there is anything to be ended in order, the first one ends the command at once.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from llmnet.cli.exit_codes import HungUpError, TerminatedError

_NAMED = (("SIGINT", KeyboardInterrupt), ("SIGTERM", TerminatedError), ("SIGHUP", HungUpError))
# Windows has no SIGHUP.
_ERRORS: dict[int, type[KeyboardInterrupt]] = {
    getattr(signal, name): error for name, error in _NAMED if hasattr(signal, name)
}


class Signals:
    """Listens to the signals while it is entered.

    Attributes:
        stop: asks the command to end, and returns at once; `None` as long as nobody can be asked.
    """

    def __init__(self) -> None:
        self.stop: Callable[[], object] | None = None
        self._asked: int | None = None
        self._due: int | None = None
        self._whole = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            # What is ignored stays so, as Ctrl-C is for a job in the background.
            heard = [number for number in _ERRORS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._take) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def raise_asked(self) -> None:
        """Raise what stands for the signal, if there was one.

        Raises:
            KeyboardInterrupt: there was one.
        """
        if self._asked is not None:
            raise _ERRORS[self._asked]

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Do something that the second signal has to wait for."""
        self._whole = True
        try:
            yield
        finally:
            self._whole = False
        if self._due is not None:
            raise _ERRORS[self._due]

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._asked is None and self.stop is not None:
            self._asked = number
            self.stop()
        elif not self._whole:
            raise _ERRORS[number]
        elif self._due is None:
            self._due = number
        else:  # it is stuck in there
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
