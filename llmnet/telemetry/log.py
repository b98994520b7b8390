"""Log lines of calls on the logger `llmnet`: INFO has calls and waits, DEBUG each attempt; no prompt, no secret.

The logger is silent until the program, or the variable `LLMNET_LOG` (`debug`, `info`, `warning`), sets a level.
"""

import logging
import re
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from llmnet.core.errors import ConfigurationError
from llmnet.core.events import AttemptFailed, CallEvent, CallFinished, Held
from llmnet.core.http import Attempt
from llmnet.core.logger import LOG
from llmnet.core.outcome import cause_of
from llmnet.core.preview import cut

_VARIABLE = "LLMNET_LOG"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_WORD = re.compile(r"[\w.:/@+\[\]-]+")
_LONGEST, _LONGEST_FIELD = 200, 1000


class _Own(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard error what no handler of the program's writes, so that no line is written twice."""

    def emit(self, record: logging.LogRecord) -> None:
        handlers = [*LOG.handlers, *(logging.root.handlers if LOG.propagate else ())]
        others = (one for one in handlers if one is not self and not isinstance(one, logging.NullHandler))
        if not any(record.levelno >= other.level for other in others):
            self.stream = sys.stderr
            super().emit(record)


_OWN = _Own()
_OWN.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))


def set_up(environ: Mapping[str, str]) -> None:
    """Write to standard error from the level on that the variable names; the first client does it for all.

    Raises:
        ConfigurationError: it names no level.
    """
    level = environ.get(_VARIABLE, "").strip().lower()
    if level and level not in _LEVELS:
        raise ConfigurationError(f"{_VARIABLE} must be one of {', '.join(_LEVELS)}, not {cut(level, _LONGEST)!r}")
    if level and _OWN not in LOG.handlers:
        LOG.setLevel(_LEVELS[level])
        LOG.addHandler(_OWN)


def log(event: CallEvent) -> None:
    """Write the lines of an event, if it has any."""
    if not LOG.isEnabledFor(logging.INFO):
        return
    if isinstance(event, AttemptFailed):
        _write(logging.DEBUG, event, _attempt(event.number, event.attempt, event.reason))
        if event.retried and event.attempt.wait:
            _write_wait(event, f"again in {_seconds(event.attempt.wait)}:", _retry(event))
    elif isinstance(event, Held):
        _write_wait(event, f"held for {_seconds(event.seconds)}:", {"cause": event.cause, "wait": event.seconds})
    elif isinstance(event, CallFinished):
        if event.outcome == "ok":
            _write(logging.DEBUG, event, _attempt(len(event.attempts), event.attempts[-1]))
        _write(logging.INFO, event, _call(event))


def _attempt(number: int, attempt: Attempt, reason: str | None = None) -> dict[str, Any]:
    return {
        "attempt": number,
        "status": attempt.status,
        "sent": attempt.sent,
        "elapsed": attempt.elapsed,
        "cause": attempt.cause,
        "reason": reason,
        "wait": attempt.wait or None,
    }


def _retry(event: AttemptFailed) -> dict[str, Any]:
    again, attempt = event.number + 1, event.attempt
    return {
        "attempt": again,
        "of": again + event.left,
        "cause": attempt.cause,
        "reason": event.reason,
        "wait": attempt.wait,
    }


def _call(event: CallFinished) -> dict[str, Any]:
    meta, usage = event.meta, event.usage
    return {
        "outcome": event.outcome,
        "status": meta.status,
        "elapsed": meta.elapsed,
        "first_token": meta.time_to_first_token,
        "attempts": len(event.attempts),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "request_id": meta.request_id,
        "cause": None if event.error is None else cause_of(event.error),
    }


def _write_wait(event: CallEvent, verb: str, facts: dict[str, Any]) -> None:
    """Write that a call waits, unless many others of its model do: the first line after those counts them."""
    left_out = _WAITS.left_out((event.provider, event.host, event.model), time.monotonic())
    if left_out is not None:
        _write(logging.INFO, event, {**facts, "left_out": left_out or None}, verb)


def _write(level: int, event: CallEvent, facts: dict[str, Any], verb: str = "") -> None:
    """What happened as `name=value` pairs, and as fields of the record; what is not known is left out."""
    if LOG.isEnabledFor(level):
        known = {name: value for name, value in facts.items() if value is not None}
        model = f":{_word(event.model)}" if event.model else ""
        pairs = " ".join(f"{name}={_word(value)}" for name, value in known.items() if not (verb and name == "wait"))
        words = (f"call {event.call} {event.provider}{model} at {_word(event.host)}", verb, pairs)
        LOG.log(level, "%s", " ".join(filter(None, words)), extra=fields(event, known))


def _seconds(wait: float) -> str:
    return f"{wait:.1f} s" if wait >= 0.1 else f"{wait:.3f} s"


def _word(value: object) -> str:
    """A value that cannot be taken for another field: what is no plain word is quoted and escaped."""
    # Floats are seconds, as all of them here.
    text = f"{value:.3f}s" if isinstance(value, float) else cut(str(value), _LONGEST)
    return text if _WORD.fullmatch(text) else repr(text)


# Fields of a record, for structlog and formatters of JSON, by the name that a line has for them; the rest begins with
# `llmnet.`. Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/
_FIELDS = {
    "status": "http.response.status_code",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "first_token": "llmnet.time_to_first_token",
    "of": "llmnet.max_attempts",
}


def fields(event: CallEvent, facts: Mapping[str, Any]) -> dict[str, Any]:
    """All that a line says, as plain values; by OpenTelemetry's names where it has any, and in seconds."""
    host, _, port = event.host.rpartition(":")
    named = port.isdigit() and bool(host)
    known: dict[str, Any] = {
        "gen_ai.provider.name": event.provider,
        "gen_ai.request.model": event.model or None,
        "server.address": (host if named else event.host).strip("[]"),
        "server.port": int(port) if named else None,
        "error.type": _error_type(event),
        "llmnet.call": event.call,
        "llmnet.stream": event.stream,
        **{_FIELDS.get(name, f"llmnet.{name}"): value for name, value in facts.items()},
    }
    return {name: cut(v, _LONGEST_FIELD) if isinstance(v, str) else v for name, v in known.items() if v is not None}


def _error_type(event: CallEvent) -> str | None:
    error = event.error if isinstance(event, AttemptFailed | CallFinished) else None
    if error is None:
        return None
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class _Waits:
    """Counts the waits that are written: of each model so many in a period, however many calls wait.

    Threads and clients share it: `_lock` guards its one field.
    """

    MOST, PERIOD, LANES = 10, 10.0, 1000

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, str, str], tuple[float, int]] = {}
        self._lock = threading.RLock()  # a finalizer may write a line on the very thread that is in here

    def left_out(self, lane: tuple[str, str, str], now: float) -> int | None:
        """How many were left out before this one, which is to be written; `None` where it is left out itself."""
        with self._lock:
            since, count = self._lanes.get(lane, (now, 0))
            if len(self._lanes) >= self.LANES:
                self._lanes.clear()
            if now - since >= self.PERIOD:
                self._lanes[lane] = now, 1
                return max(0, count - self.MOST)
            self._lanes[lane] = since, count + 1
        return 0 if count < self.MOST else None


_WAITS = _Waits()
