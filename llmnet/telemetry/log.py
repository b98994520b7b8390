"""Log lines of calls on the logger `llmnet`: INFO has one per call, DEBUG one per attempt; never a prompt or a secret.

The logger is silent until the program, or the variable `LLMNET_LOG` (`debug`, `info`, `warning`), says otherwise.
"""

import logging
from collections.abc import Mapping

from llmnet.core.errors import ConfigurationError
from llmnet.core.events import AttemptFailed, AttemptStarted, CallEvent, CallFinished
from llmnet.core.outcome import cause_of

LOG = logging.getLogger("llmnet")
LOG.addHandler(logging.NullHandler())

VARIABLE = "LLMNET_LOG"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class _Own(logging.StreamHandler):  # type: ignore[type-arg]
    """The handler that the variable asks for; a class of its own, to be found again."""


def set_up(environ: Mapping[str, str]) -> None:
    """Do what the variable says: write to standard error from that level on.

    Raises:
        ConfigurationError: it names no level.
    """
    said = environ.get(VARIABLE, "").strip().lower()
    if not said:
        return
    if said not in _LEVELS:
        raise ConfigurationError(f"{VARIABLE} must be one of {', '.join(_LEVELS)}, not {said!r}")
    LOG.setLevel(_LEVELS[said])
    if not any(isinstance(handler, _Own) for handler in LOG.handlers):
        handler = _Own()
        handler.setFormatter(logging.Formatter(_FORMAT))
        LOG.addHandler(handler)


def log(event: CallEvent) -> None:
    """Write the line of an event that has one."""
    kind = type(event)
    if kind is CallFinished:
        if LOG.isEnabledFor(logging.INFO):
            LOG.info("%s", _finished(event))  # type: ignore[arg-type]
    elif LOG.isEnabledFor(logging.DEBUG):
        if isinstance(event, AttemptFailed):
            LOG.debug("%s attempt %d failed: %s", _who(event), event.number, _failed(event))
        elif isinstance(event, AttemptStarted):
            LOG.debug("%s attempt %d to %s", _who(event), event.number, event.host)


def _who(event: CallEvent) -> str:
    return f"call {event.call} {event.provider}:{event.model}"


def _failed(event: AttemptFailed) -> str:
    then = f"again in {event.attempt.wait:.2f}s" if event.retried else "no further attempt"
    return f"{event.attempt.cause}; {then} ({event.reason})"


def _finished(event: CallFinished) -> str:
    """What happened in one line of `name=value` pairs; what is not known is left out."""
    meta, usage = event.meta, event.usage
    facts = {
        "outcome": event.outcome,
        "status": meta.status,
        "elapsed": f"{meta.elapsed:.3f}s",
        "first_token": None if meta.time_to_first_token is None else f"{meta.time_to_first_token:.3f}s",
        "attempts": len(event.attempts),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "request_id": meta.request_id,
        "cause": None if event.error is None else cause_of(event.error),
    }
    said = " ".join(f"{name}={value}" for name, value in facts.items() if value is not None)
    return f"{_who(event)} at {event.host} {said}"
