"""The fields of a log record, which structlog and formatters of JSON write: named as OpenTelemetry names them.

What its conventions for HTTP and for generative AI have a name for has that name; the rest begins with `llmnet.`.
Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from collections.abc import Mapping
from typing import Any

from llmnet.core.events import AttemptFailed, CallEvent, CallFinished
from llmnet.core.preview import cut

Facts = dict[str, str | int | float | bool | None]
_LONGEST = 1000
# By the name that a line has for it.
_NAMES = {
    "status": "http.response.status_code",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "first_token": "llmnet.time_to_first_token",
    "of": "llmnet.max_attempts",
}


def fields(event: CallEvent, facts: Mapping[str, Any]) -> dict[str, Any]:
    """All that a line says, as plain values; seconds are floats."""
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
        **{_NAMES.get(name, f"llmnet.{name}"): value for name, value in facts.items()},
    }
    return {name: cut(v, _LONGEST) if isinstance(v, str) else v for name, v in known.items() if v is not None}


def _error_type(event: CallEvent) -> str | None:
    """The class of what has failed, as a program names it."""
    error = event.error if isinstance(event, AttemptFailed | CallFinished) else None
    if error is None:
        return None
    room = type(error).__module__
    return type(error).__qualname__ if room == "builtins" else f"{room}.{type(error).__qualname__}"
