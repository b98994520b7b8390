"""Log lines of calls on the logger `llmnet`: INFO has one per call, DEBUG one per attempt; never a prompt or a secret.

The logger is silent until the program, or the variable `LLMNET_LOG` (`debug`, `info`, `warning`), sets a level.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

from llmnet.core.errors import ConfigurationError
from llmnet.core.events import AttemptFailed, CallEvent, CallFinished
from llmnet.core.http import Attempt
from llmnet.core.logger import LOG
from llmnet.core.outcome import cause_of
from llmnet.core.preview import cut

VARIABLE = "LLMNET_LOG"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_WORD = re.compile(r"[\w.:/@+\[\]-]+")
_LONGEST = 200


# -- the handler -------------------------------------------------------------------------------------------------------


class _Own(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard error what no handler of the program's writes, so that no line is written twice.

    One for the process; logging holds the handler's lock while it emits, and a handler is added but once.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless another handler does."""
        handlers = [*LOG.handlers, *(logging.root.handlers if LOG.propagate else ())]
        others = (one for one in handlers if one is not self and not isinstance(one, logging.NullHandler))
        if not any(record.levelno >= other.level for other in others):
            self.stream = sys.stderr
            super().emit(record)


_OWN = _Own()
_OWN.setFormatter(logging.Formatter(_FORMAT))


def set_up(environ: Mapping[str, str]) -> None:
    """Write to standard error from the level on that the variable names; the first client does it for all.

    Raises:
        ConfigurationError: it names no level.
    """
    level = environ.get(VARIABLE, "").strip().lower()
    if level and level not in _LEVELS:
        raise ConfigurationError(f"{VARIABLE} must be one of {', '.join(_LEVELS)}, not {cut(level, _LONGEST)!r}")
    if level and _OWN not in LOG.handlers:
        LOG.setLevel(_LEVELS[level])
        LOG.addHandler(_OWN)


# -- the lines ---------------------------------------------------------------------------------------------------------


def log(event: CallEvent) -> None:
    """Write the lines of an event, if it has any."""
    if not LOG.isEnabledFor(logging.INFO):
        return
    if isinstance(event, AttemptFailed):
        LOG.debug("%s", _attempt(event, event.number, event.attempt, event.reason))
    elif isinstance(event, CallFinished):
        if event.outcome == "ok":
            LOG.debug("%s", _attempt(event, len(event.attempts), event.attempts[-1]))
        LOG.info("%s", _call(event))


def _attempt(event: CallEvent, number: int, attempt: Attempt, reason: str | None = None) -> str:
    return _line(
        event,
        attempt=number,
        status=attempt.status,
        sent=attempt.sent,
        elapsed=f"{attempt.elapsed:.3f}s",
        cause=attempt.cause,
        reason=reason,
        wait=f"{attempt.wait:.3f}s" if attempt.wait else None,
    )


def _call(event: CallFinished) -> str:
    meta, usage, first = event.meta, event.usage, event.meta.time_to_first_token
    return _line(
        event,
        outcome=event.outcome,
        status=meta.status,
        elapsed=f"{meta.elapsed:.3f}s",
        first_token=None if first is None else f"{first:.3f}s",
        attempts=len(event.attempts),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        request_id=meta.request_id,
        cause=None if event.error is None else cause_of(event.error),
    )


def _line(event: CallEvent, **facts: Any) -> str:
    """What happened as `name=value` pairs; what is not known is left out."""
    model = f":{_word(event.model)}" if event.model else ""
    pairs = " ".join(f"{name}={_word(value)}" for name, value in facts.items() if value is not None)
    return f"call {event.call} {event.provider}{model} at {_word(event.host)} {pairs}"


def _word(value: object) -> str:
    """A value that cannot be taken for another field: what is no plain word is quoted and escaped."""
    text = cut(str(value), _LONGEST)
    return text if _WORD.fullmatch(text) else repr(text)
