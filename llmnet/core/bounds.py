"""How long each part of a call may take, answered by arithmetic: the clock is handed in, nobody waits here."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

from llmnet.core.errors import APITimeoutError, ConfigurationError, TimeoutPhase
from llmnet.core.plain import Plain, public

Clock = Callable[[], float]

FLEX_SECONDS = 900.0
STREAM_TOTAL = 600.0
LOOK_SECONDS = 0.05
_HUGE = 1e300  # a whole number beyond it may be none that a float can hold


@public
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Timeout(Plain):
    """The bounds of a call, in seconds; all positive, `math.inf` allowed, `None` takes the value next above.

    Attributes:
        connect: name, TCP, TLS and proxy.
        response: from the ready connection (the upload counts) until the reply has begun.
        idle: the longest silence after that; any byte resets it.
        total: everything: queue, every attempt, backoff and the whole body.
        queue: the wait for a slot before the first attempt; `None`: `total` alone.

    Raises:
        ConfigurationError: a value is no positive number.
    """

    connect: float | None = 10.0
    response: float | None = 300.0
    idle: float | None = 60.0
    total: float | None = 600.0
    queue: float | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) is not None:
                check_field(self, field.name, f"timeout.{field.name}", positive)

    def over(self, base: "Timeout") -> "Timeout":
        """These bounds, with those of *base* where a field is `None`."""
        own = dataclasses.asdict(self)
        return dataclasses.replace(base, **{name: value for name, value in own.items() if value is not None})


def check_field(thing: object, field: str, name: str, check: Callable[[Any, str], float]) -> None:
    """Check a number of a frozen value; one greater than all floats, which no clock could be added to, is infinity."""
    if check(getattr(thing, field), name) == math.inf:
        object.__setattr__(thing, field, math.inf)


def positive(value: object, name: str) -> float:
    """Check a number of seconds or of anything else that must be above zero.

    Raises:
        ConfigurationError: it is not, or is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"{name} must be a positive number, not {type(value).__name__}")
    if value != value or value <= 0:  # noqa: PLR0124 - NaN; `math.isnan` refuses a whole number beyond all floats
        raise ConfigurationError(f"{name} must be a positive number, not {written(value)}")
    return math.inf if value > _HUGE else float(value)


def written(number: float) -> str:
    """A number for the text of an error; Python refuses to write one of more than some thousand digits."""
    try:
        return str(number)
    except ValueError:
        return "a number of thousands of digits"


@functools.lru_cache  # the calls of a client differ little
def resolve_timeout(
    value: "float | Timeout | None", base: "float | Timeout | None", *, stream: bool, flex: bool
) -> Timeout:
    """The bounds of one call: its own value over the client's over the defaults.

    A plain number x is `connect=min(10, x), response=x, idle=x` and `total=x`, for streams `max(600, x)`.
    The tier `flex` widens the defaults of `response` and `total` to 900.
    """
    defaults = Timeout(response=FLEX_SECONDS, total=FLEX_SECONDS) if flex else Timeout()
    for layer in (base, value):
        # A client that was given no timeout holds the defaults, which flex may widen.
        if layer is not None and layer != Timeout():
            defaults = _spread(layer, stream=stream).over(defaults)
    return defaults


def _spread(value: "float | Timeout", *, stream: bool) -> Timeout:
    if isinstance(value, Timeout):
        return value
    x = positive(value, "timeout")
    return Timeout(connect=min(10.0, x), response=x, idle=x, total=max(STREAM_TOTAL, x) if stream else x)


class Bounds:
    """Which bound of a call is nearest, and how far.

    A phase runs from `start(phase)`; `remaining()` is asked before each wait. The idle phase is started anew before
    each receive, so that a slow consumer is never taken for a silent server.

    Args:
        timeout: the bounds.
        clock: the monotonic time.
        since: the moment from which `total` counts, if not from now: these are part of something longer.

    Attributes:
        due: when the nearest bound expires, by the clock.
    """

    __slots__ = ("_end", "_limit", "_own", "_seen", "_timeout", "clock", "due", "phase", "started")

    def __init__(self, timeout: Timeout, clock: Clock, since: float | None = None) -> None:
        self._timeout = timeout
        self.clock = clock
        self.started = clock()
        self._end = (self.started if since is None else since) + _seconds(timeout.total)
        self._seen = math.inf
        self.start("queue")

    def start(self, phase: TimeoutPhase, limit: float | None = None, *, bound: TimeoutPhase | None = None) -> float:
        """Begin a phase; the seconds to the nearest bound.

        From now count its own bound, or another *limit* in seconds, or the *bound* of another phase.
        """
        self.phase = phase
        if limit is None:
            limit = getattr(self._timeout, bound or phase)
        self._limit = math.inf if limit is None else limit
        now = self.clock()
        self._own = now + self._limit
        self.due = min(self._own, self._end)
        if now < self._end:
            self._seen = math.inf
        return self.due - now

    def past_queue(self) -> None:
        """Begin a wait towards which `total` alone counts: for a key, or for a slot after the first attempt."""
        self.start("queue", math.inf)

    def remaining(self, now: float | None = None) -> tuple[TimeoutPhase, float]:
        """The nearest bound, of equal ones `total`, and the seconds to it, not above zero once it has expired."""
        now = self.clock() if now is None else now
        own, total = self._own - now, self._end - now
        return (self.phase, own) if own < total else ("total", total)

    def may_look(self) -> bool:
        """Whether what has arrived already is still to be read, though a bound has expired.

        Who comes late to its bound, for its loop or its thread had no turn, must not take that for a silent server. It
        is so for a moment from the first time on, for there are servers that are never silent.
        """
        now = self.clock()
        self._seen = min(self._seen, now)
        return now - self._seen < LOOK_SECONDS

    def total_left(self) -> float:
        """Seconds until the call as a whole must have ended."""
        return self._end - self.clock()

    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self.clock() - self.started

    def error(self, detail: str = "") -> APITimeoutError:
        """The error of the bound that is nearest now, which is the one that expired; *detail* goes on from there."""
        phase, _ = self.remaining()
        limit = _seconds(self._timeout.total) if phase == "total" else self._limit
        return APITimeoutError(f"the {phase} bound of {limit:g}s expired {detail}".rstrip(), phase=phase)


def _seconds(value: float | None) -> float:
    return math.inf if value is None else value
