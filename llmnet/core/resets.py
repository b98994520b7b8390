"""Reads from an error body when a limit ends: fields and quoted headers in which gateways name it.

Whatever the input, nothing is raised; what cannot be read counts as absent.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from llmnet.core.retry_after import parse_reset, parse_retry_after

# Fields for seconds, spans or moments; and those for milliseconds.
_FIELDS = (
    "retry_after", "retryAfter", "retry-after", "retry_after_seconds", "retryAfterSeconds", "resets_in_seconds",
    "reset_in_seconds", "resets_in", "reset_after", "resets_at", "resetsAt", "reset_at", "resetAt", "reset_time",
    "resetTime",
)  # fmt: skip
_MS_FIELDS = ("retry_after_ms", "retryAfterMs", "retry-after-ms")
# Words before a span, as in "Please wait 40000 seconds before retrying".
_ADVICE = ("wait ", "wait for ", "resets in ", "reset in ", "resets after ", "reset after ")
_WORDS = 6
_RESET, _REMAINING = "x-ratelimit-reset", "x-ratelimit-remaining"


def reset_in_body(payload: object, now: float) -> float | None:
    """Read how long it is until a limit ends, from an error body.

    Args:
        payload: the decoded body.
        now: the Unix time that moments are measured against.

    Returns:
        Seconds, the longest where several are named, or `None` where none is.
    """
    found = [hint for place in _places(payload) for hint in _hints(place, now)]
    return max(found, default=None)


def _places(payload: object) -> Iterator[Mapping[str, Any]]:
    """Where such fields stand: in the body, in its error, in the details and the metadata of that."""
    body = payload[0] if isinstance(payload, list) and payload else payload
    if not isinstance(body, Mapping):
        return
    yield body
    for outer in (body, body.get("error")):
        if isinstance(outer, Mapping):
            yield from (
                inner for name in ("error", "details", "metadata") if isinstance(inner := outer.get(name), Mapping)
            )


def _hints(place: Mapping[str, Any], now: float) -> Iterator[float]:
    fields = [(name, 1.0) for name in _FIELDS] + [(name, 1e-3) for name in _MS_FIELDS]
    for name, unit in fields:
        value = place.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            seconds = parse_reset(str(value), now)
            if seconds is not None:
                yield seconds * unit
    message = place.get("message")
    if isinstance(message, str) and (seconds := _advised(message[:4096].lower(), now)) is not None:
        yield seconds
    headers = place.get("headers")
    if isinstance(headers, Mapping):
        yield from _quoted({str(name).lower(): str(value) for name, value in headers.items()}, now)


def _advised(message: str, now: float) -> float | None:
    """The longest span that follows words of advice; a number alone is none."""
    for advice in _ADVICE:
        words = message.partition(advice)[2].split(maxsplit=_WORDS)[:_WORDS]
        for count in range(len(words), 0, -1):
            span = " ".join(words[:count]).rstrip(".,;!)")
            if span[:1].isdigit() and span[-1:].isalpha() and (seconds := parse_reset(span, now)) is not None:
                return seconds
    return None


def _quoted(headers: Mapping[str, str], now: float) -> Iterator[float]:
    """The hints in the headers of the server behind a gateway; a limit that is not used up yet gives none."""
    resets = [parse_retry_after(headers, now)]
    for name, value in headers.items():
        remaining = headers.get(name.replace(_RESET, _REMAINING), "0").strip()
        if name.startswith(_RESET) and remaining.startswith(("0", "-")):
            resets.append(parse_reset(value, now))
    yield from (seconds for seconds in resets if seconds is not None)
