"""Sums up the figures of a running batch, and shows them now and then by a function or on a terminal.

A function of the caller's is called where the results are taken; a terminal's figures change while nothing finishes,
too. Neither can break a batch.
"""

import atexit
import contextlib
import threading
import time
from collections import deque
from typing import Self

from llmnet.batch.rows import BatchProgress, Result, Show
from llmnet.batch.state import BatchState
from llmnet.core.bounds import Clock
from llmnet.core.events import CallEvent, Hook, Throttled
from llmnet.core.interrupts import Latch
from llmnet.core.logger import log_failure

# Seconds between two calls of a function, and between two drawings on a terminal; the last figures are always shown.
_PAUSE, _REFRESH = 0.1, 0.2
# Seconds that the end of a batch waits for the last drawing.
_LAST_DRAWING = 2.0


class Pace:
    """How fast counts have grown recently: since the sixtieth mark before, or since the start.

    Marks are a second apart at least, and none is made while nothing is done: slow rows are measured over a longer time
    than quick ones, and rates that stand still go down slowly.
    """

    def __init__(self, start: float) -> None:
        self._marks = deque([(start, 0, 0)], maxlen=60)

    def rates(self, now: float, done: int, tokens: int) -> tuple[float, float]:
        """Rows and tokens in a second."""
        last_at, last_done, _ = self._marks[-1]
        at, done_then, tokens_then = self._marks[0]
        if done > last_done and now - last_at >= 1.0:
            self._marks.append((now, done, tokens))
        seconds = max(now - at, 1e-9)
        return (done - done_then) / seconds, (tokens - tokens_then) / seconds


class Reporter:
    """Sums up the results of one batch, and now and then has *show* show the figures; entered for each result.

    Several threads may take results, and events of calls come on others: `_counting` guards the counters and the start,
    `_throttling` that of throttles, so that no worker waits for a thread that takes results; `_closed` is taken by the
    one who ends it. Figures are read without a lock: each was right a moment ago. The marks of the pace are a deque,
    whose `append` and `[]` are one step of the interpreter each.

    Args:
        live: show them also while nothing finishes, on a thread of its own.
    """

    def __init__(
        self,
        state: BatchState,
        total: int | None,
        show: Show | None,
        *,
        live: bool = False,
        clock: Clock = time.monotonic,
    ) -> None:
        self._state, self._total, self._show, self._clock = state, total, show, clock
        self._started: float | None = None
        self._pace = Pace(0.0)
        self._shown_at = -1.0
        self._done = self._failed = self._tokens = self._throttled = 0
        self._counting, self._throttling = threading.RLock(), threading.RLock()
        # The display may wait for `_ended` when the garbage collector ends the batch on that very thread.
        self._ended, self._closed = Latch(), threading.Lock()
        self._thread = threading.Thread(target=self._draw, name="llmnet-bar", daemon=True) if live else None

    def hook(self, own: Hook | None) -> Hook | None:
        """The hook for the calls of the batch: it counts throttles as they happen, and calls the caller's own hook."""
        if self._show is None:
            return own

        def count(event: CallEvent) -> None:
            if isinstance(event, Throttled):
                with self._throttling:
                    self._throttled += 1
            if own is not None:
                own(event)

        return count

    def __enter__(self) -> Self:
        """A result is about to be waited for."""
        with self._counting:
            begins = self._started is None
            if begins:
                now = self._clock()
                self._pace, self._started = Pace(now), now
        if begins and self._thread is not None:
            atexit.register(self.close)  # a display must be gone before the interpreter is
            with contextlib.suppress(RuntimeError):  # the system has no thread left
                self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A cancelled task may come back for the next result; Ctrl-C and the end of the iteration are final.
        if kind is not None and issubclass(kind, Exception | KeyboardInterrupt):
            self.close()

    def __call__(self, result: Result) -> None:
        """A result is delivered."""
        if self._show is None:
            return
        with self._counting:
            self._done += 1
            self._failed += result.error is not None
            if result.response is not None:
                self._tokens += result.response.usage.output_tokens or 0
        if self._thread is None and self._clock() - self._shown_at >= _PAUSE:
            self._show_figures(over=False)

    def close(self, failures: type[BaseException] = Exception) -> None:
        """Show the last figures, once; from any thread. What the function raises is logged, if it is one of these."""
        if self._started is None or not self._closed.acquire(blocking=False):
            return
        if self._thread is None:
            self._show_figures(over=True, failures=failures)
            return
        self._ended.set()
        atexit.unregister(self.close)
        self._join(self._thread)

    def drop(self) -> None:
        """The same from a finalizer, which may run inside a lock that the caller's function takes, too."""
        if self._thread is not None or self._show is None or self._started is None:
            self.close()
            return
        ending = threading.Thread(target=self.close, args=(BaseException,), name="llmnet-progress", daemon=True)
        with contextlib.suppress(RuntimeError):  # the system has no thread left
            ending.start()
            self._join(ending)

    def _join(self, thread: threading.Thread) -> None:
        if thread.is_alive() and threading.current_thread() is not thread:  # the collector may run there
            thread.join(_LAST_DRAWING)

    def _draw(self) -> None:
        while not self._ended.wait(_REFRESH):
            self._show_figures(over=False)
        self._show_figures(over=True)

    def _show_figures(self, *, over: bool, failures: type[BaseException] = Exception) -> None:
        self._shown_at = self._clock()
        try:
            if self._show is not None:
                self._show(self._figures(self._shown_at, over=over))
        except failures as error:  # what it raises is logged, and ends no batch
            log_failure("progress failed", error)

    def _figures(self, now: float, *, over: bool) -> BatchProgress:
        done, tokens = self._done, self._tokens
        elapsed = now - self._started if self._started is not None else 0.0
        whole_time = over and elapsed > 0
        rows, received = (done / elapsed, tokens / elapsed) if whole_time else self._pace.rates(now, done, tokens)
        missing = None if self._total is None else max(0, self._total - done)
        return BatchProgress(
            done=done,
            failed=self._failed,
            total=self._total,
            in_flight=max(0, self._state.in_flight),  # read without its lock
            throttled=self._throttled,
            elapsed=elapsed,
            requests_per_second=rows,
            tokens_per_second=received,
            left=missing / rows if missing is not None and rows else None,
            over=over,
        )
