"""SIGINT, SIGTERM and SIGHUP: the first signal asks a command to stop, the second one ends it at once.

While nothing has set `Signals.stop`, the first one ends the command at once.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from llmnet.cli.errors import HungUpError, TerminatedError

_ERRORS: dict[int, type[KeyboardInterrupt]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: TerminatedError}
if hasattr(signal, "SIGHUP"):  # Windows has none
    _ERRORS[signal.SIGHUP] = HungUpError


class Signals:
    """Handles the signals inside its `with` block.

    Attributes:
        stop: asks the command to end, and returns at once; `None` while it cannot be asked.
    """

    def __init__(self) -> None:
        self.stop: Callable[[], object] | None = None
        self._requested: int | None = None
        self._deferred: int | None = None
        self._in_block = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _ERRORS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as Ctrl-C is in a background job
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def raise_if_signalled(self) -> None:
        """Raise the error of the signal, if there was one."""
        if self._requested is not None:
            raise _ERRORS[self._requested]

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """A block that a second signal interrupts only at its end."""
        self._in_block = True
        try:
            yield
        finally:
            self._in_block = False
        if self._deferred is not None:
            raise _ERRORS[self._deferred]

    def _handle(self, number: int, _: object) -> None:
        if self._requested is None and self.stop is not None:
            self._requested = number
            self.stop()
        elif not self._in_block:
            raise _ERRORS[number]
        elif self._deferred is None:
            self._deferred = number
        else:  # the block does not end
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
