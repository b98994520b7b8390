"""How long a server asks to wait, read wherever vendors say it; whatever these functions are fed, they never raise.

The values come off the wire: one that cannot be read, or that no server can mean (below zero, not finite, beyond 31
bits), counts as absent and is `None`. `Retry-After` is RFC 9110, 10.2.3, with the fractions that vendors send; dates
are measured against the response's own `Date`, so that a wrong clock on our side does no harm.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

MS_HEADERS = ("retry-after-ms", "x-ms-retry-after-ms")

# RFC 9111, 1.2.2: what does not fit into 31 bits is an overflow.
LONGEST = float(2**31)

# Reset headers hold spans and moments alike; no span has this many seconds, no moment since 2001 has fewer.
EPOCH_SECONDS = 1e9
EPOCH_MILLISECONDS = 1e12

UNITS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "millisecond": 1e-3,
    "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0,
}  # fmt: skip

# All of these read lower-case text, and ASCII digits alone: `float` would take "٣", "1_0" and "infinity" too.
_UNIT = "|".join(sorted(UNITS, key=len, reverse=True))
_PART = rf"([0-9]+(?:\.[0-9]+)?) ?({_UNIT})s?(?![a-z]) ?"
_number = re.compile(r"\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?")
_part = re.compile(_PART)
_span = re.compile(f"(?:{_PART})+")
_advice = re.compile(rf"(?:try again|retry) (?:in|after) (?P<span>(?:{_PART})+)")

# RFC 9110, 5.6.7: `fri, 29 sep 2023 16:26:57 gmt`, `friday, 29-sep-23 16:26:57 gmt`, `fri sep 8 16:26:57 2023`; no zone
# is UTC, another one is understood. (email.utils reads dates too, but brings sockets with it.)
_DAY, _MONTH, _YEAR = r"(?P<day>[0-9]{1,2})", r"(?P<month>[a-z]{3})", r"(?P<year>[0-9]{4})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_ZONE = r"(?: (?:gmt|utc|z|(?P<zone>[+-][0-9]{4})))?"
_dates = (
    re.compile(rf"(?:[a-z]+, ?)?{_DAY} {_MONTH} {_YEAR} {_TIME}{_ZONE}"),
    re.compile(rf"(?:[a-z]+, ?)?{_DAY}-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME}{_ZONE}"),
    re.compile(rf"[a-z]+ {_MONTH} {_DAY} {_TIME} {_YEAR}{_ZONE}"),
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CLOCK = ("hour", "minute", "second")


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read the wait that response headers ask for.

    Args:
        headers: the response's headers; names match whatever their case.
        now: the Unix time, used only where the headers carry no readable `Date`.

    Returns:
        Seconds, 0.0 for a date that has passed, or `None` where no header says anything usable.
    """
    said = {str(name).lower(): str(value).strip().lower() for name, value in headers.items()}
    after, sent = said.get("retry-after", ""), said.get("date", "")
    exact = _first(_seconds(said.get(name, ""), 1e-3) for name in MS_HEADERS)
    plain = _first((_seconds(after), _until(after, sent, now)))
    # Azure was seen to send `Retry-After: 1` beside `Retry-After-Ms: 0`: a nought is no wish to be asked again at once
    return exact if exact or plain is None else plain


def hint_in_body(payload: object) -> float | None:
    """Read the wait that an error body names: Gemini's `retryDelay`, or advice in the words of the message."""
    error = _error_in(payload)
    if isinstance(error, str):
        return _advised(error)
    if not isinstance(error, Mapping):
        return None
    details = error.get("details")
    delays = [d.get("retryDelay") for d in details if isinstance(d, Mapping)] if isinstance(details, list) else []
    return _first([*map(_spelled, delays), _advised(error.get("message"))])


def parse_reset(value: str, now: float) -> float | None:
    """Read a rate-limit reset header: seconds, a Go duration (`1m13.588s`), RFC 3339, or a Unix time in s or ms.

    Args:
        value: the header's value.
        now: the Unix time that moments are measured against.

    Returns:
        Seconds until the limit is reset, 0.0 for a moment that has passed, `None` where the value says nothing usable.
    """
    text = str(value).strip()
    number = float(text) if _number.fullmatch(text.lower()) else None
    if number is None:
        return _first((_spelled(text), _left(_rfc3339(text), now)))
    if number < EPOCH_SECONDS:
        return number
    return _left(number if number < EPOCH_MILLISECONDS else number / 1e3, now)


def _first(hints: Iterable[float | None]) -> float | None:
    return next((hint for hint in hints if hint is not None), None)


def _sane(seconds: float) -> float | None:
    return seconds if 0.0 <= seconds <= LONGEST else None


def _seconds(text: str, unit: float = 1.0) -> float | None:
    return _sane(float(text) * unit) if _number.fullmatch(text) else None


def _left(moment: float | None, now: float) -> float | None:
    return None if moment is None else _sane(max(moment - now, 0.0))


def _until(date: str, sent: str, now: float) -> float | None:
    """Seconds from the moment that the response was sent to a date."""
    start = _http_date(sent)
    return _left(_http_date(date), now if start is None else start)


def _http_date(text: str) -> float | None:
    """The Unix time of an HTTP date in any of its three forms."""
    text = " ".join(text.split())
    found = next(filter(None, (form.fullmatch(text) for form in _dates)), None)
    if found is None or found["month"] not in _MONTHS:
        return None
    hour, minute, second = (int(found[part]) for part in _CLOCK)
    try:
        # a leap second is none of Python's
        date = datetime(_year(found["year"]), _MONTHS.index(found["month"]) + 1, int(found["day"]), tzinfo=UTC)
        return date.replace(hour=hour, minute=minute, second=59 if second == 60 else second).timestamp() - _offset(
            found["zone"]
        )
    except ValueError:
        return None


def _year(digits: str) -> int:
    """A year; of two digits, those from 70 on are of the last century."""
    return int(digits) if len(digits) == 4 else int(digits) + (1900 if digits >= "70" else 2000)


def _offset(zone: str | None) -> int:
    """Seconds east of Greenwich: `+0200`."""
    minutes = int(zone[1:3]) * 60 + int(zone[3:]) if zone else 0
    return minutes * (-60 if zone and zone[0] == "-" else 60)


def _rfc3339(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _spelled(text: object) -> float | None:
    """Seconds of a span with units: `6ms`, `1h8m25.745s`, `33 seconds`."""
    text = text.strip().lower() if isinstance(text, str) else ""
    if not _span.fullmatch(text):
        return None
    return _sane(sum(float(number) * UNITS[unit] for number, unit in _part.findall(text)))


def _advised(message: object) -> float | None:
    """The span in "Please try again in 59.977s." or "Please retry after 33 seconds."."""
    found = _advice.search(message.lower()) if isinstance(message, str) else None
    return _spelled(found["span"]) if found else None


def _error_in(payload: object) -> object:
    """The error object of a body: `{"error": …}`, the same in a list (Gemini), bare, or text."""
    if isinstance(payload, list):
        payload = payload[0] if payload else None
    inner = payload.get("error") if isinstance(payload, Mapping) else None
    return inner if isinstance(inner, Mapping | str) else payload
