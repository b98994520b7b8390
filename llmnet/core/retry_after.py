"""Reads how long a server asks to wait, from headers and error bodies; whatever the input, nothing is raised.

A value that cannot be read, that is too long to be one, or that no server can mean (below zero, not finite, beyond 31
bits), counts as absent and is `None`. They are scanned from left to right, in time that
grows as their length does. `Retry-After` is RFC 9110, 10.2.3, with the fractions that vendors send; dates are measured
against the response's own `Date`, so that a wrong clock on our side does no harm.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

MS_HEADERS = ("retry-after-ms", "x-ms-retry-after-ms")

# RFC 9111, 1.2.2: what does not fit into 31 bits is an overflow.
LONGEST = float(2**31)

# No delay, date or span has more characters; in a message, only so many are searched for advice.
VALUE_CHARS = 128
ADVICE_CHARS = 16 * 1024

# Reset headers hold spans and moments alike; no span has this many seconds, no moment since 2001 has fewer.
EPOCH_SECONDS = 1e9
EPOCH_MILLISECONDS = 1e12

UNITS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "millisecond": 1e-3,
    "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0,
}  # fmt: skip

# All readers take lower-case text, and ASCII digits alone: `float` would take "٣", "1_0" and "infinity" too.
_DIGITS = frozenset("0123456789")
_NUMERIC = _DIGITS | frozenset(".e+-")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz") | frozenset("".join(UNITS))
_ADVICE = tuple(f"{verb} {word} " for verb in ("try again", "retry") for word in ("in", "after"))

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_UTC = ("gmt", "utc", "z")


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read the wait that response headers ask for.

    Args:
        headers: the response's headers; names match whatever their case.
        now: the Unix time, used only where the headers carry no readable `Date`.

    Returns:
        Seconds, 0.0 for a date that has passed, or `None` where no header has a usable value.
    """
    values = {str(name).lower(): _short(value).lower() for name, value in headers.items()}
    after, sent = values.get("retry-after", ""), values.get("date", "")
    exact = _first(_seconds(values.get(name, ""), 1e-3) for name in MS_HEADERS)
    start = _http_date(sent)
    plain = _first((_seconds(after), _seconds_until(_http_date(after), now if start is None else start)))
    # Azure was seen to send `Retry-After: 1` beside `Retry-After-Ms: 0`: that 0 does not mean at once.
    return exact if exact or plain is None else plain


def hint_in_body(payload: object) -> float | None:
    """Read the wait that an error body names: Gemini's `retryDelay`, or advice in its message."""
    error = _error_in(payload)
    if isinstance(error, str):
        return _advised(error)
    if not isinstance(error, Mapping):
        return None
    details = error.get("details")
    delays = [d.get("retryDelay") for d in details if isinstance(d, Mapping)] if isinstance(details, list) else []
    return _first([*map(_span_seconds, delays), _advised(error.get("message"))])


def parse_reset(value: str, now: float) -> float | None:
    """Read a rate-limit reset header: seconds, a Go duration (`1m13.588s`), RFC 3339, or a Unix time in s or ms.

    Args:
        value: the header's value.
        now: the Unix time that moments are measured against.

    Returns:
        Seconds until the limit is reset, 0.0 for a moment that has passed, `None` where the value is not usable.
    """
    text = _short(value)
    number = _number(text.lower())
    if number is None:
        return _first((_span_seconds(text), _seconds_until(_rfc3339(text), now)))
    if number < EPOCH_SECONDS:
        return number
    return _seconds_until(number if number < EPOCH_MILLISECONDS else number / 1e3, now)


def _first(hints: Iterable[float | None]) -> float | None:
    return next((hint for hint in hints if hint is not None), None)


def _short(value: object) -> str:
    """A header's value without surrounding blanks; one that is longer than any that can be read is none."""
    text = str(value).strip()
    return text if len(text) <= VALUE_CHARS else ""


def _plausible(seconds: float) -> float | None:
    """Seconds that a server can mean; no reader gives any below zero, and NaN is none."""
    return seconds if seconds <= LONGEST else None


def _seconds(text: str, unit: float = 1.0) -> float | None:
    number = _number(text)
    return None if number is None else _plausible(number * unit)


def _number(text: str) -> float | None:
    """A decimal number, with a fraction or an exponent; a sign below zero is no wait."""
    if text.startswith("-") or not _NUMERIC.issuperset(text):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _seconds_until(moment: float | None, now: float) -> float | None:
    return None if moment is None else _plausible(max(moment - now, 0.0))


def _http_date(text: str) -> float | None:
    """The Unix time of an HTTP date in any of the three forms of RFC 9110, 5.6.7; no zone is UTC, others are read.

    `email.utils` reads dates too, but takes the zone `+02` for two minutes and the year 0000 for 2000, knows no leap
    second, and brings sockets with it.
    """
    words = text.partition(",")[2].split() or text.split()
    if words and words[0].count("-") == 2:  # 29-sep-23 16:26:57 gmt
        words[:1] = words[0].split("-")
    elif words and words[0].isalpha():  # fri sep 29 16:26:57 2023
        words[:5] = [words[at] for at in (2, 1, 4, 3)] if len(words) >= 5 else []
    if len(words) not in (4, 5) or words[1] not in _MONTHS:
        return None
    try:
        day, month, year = _number_of(words[0], 1, 2), _MONTHS.index(words[1]) + 1, _year(words[2])
        hour, minute, second = (_number_of(part, 2, 2) for part in words[3].split(":"))
        # Python has no leap seconds.
        date = datetime(year, month, day, hour, minute, 59 if second == 60 else second, tzinfo=UTC)
        return date.timestamp() - _offset(words[4] if len(words) == 5 else "gmt")
    except ValueError:
        return None


def _number_of(digits: str, least: int, most: int) -> int:
    """A whole number of so many digits."""
    if not least <= len(digits) <= most or not _DIGITS.issuperset(digits):
        raise ValueError(digits)
    return int(digits)


def _year(digits: str) -> int:
    """A year; of two digits, those from 70 on are of the last century."""
    century = ("19" if digits >= "70" else "20") if len(digits) == 2 else ""
    return _number_of(century + digits, 4, 4)


def _offset(zone: str) -> int:
    """Seconds east of Greenwich: `+0200`."""
    if zone in _UTC:
        return 0
    if zone[:1] not in ("+", "-"):
        raise ValueError(zone)
    hhmm = _number_of(zone[1:], 4, 4)
    return (hhmm // 100 * 60 + hhmm % 100) * (-60 if zone[0] == "-" else 60)


def _rfc3339(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _span_seconds(text: object) -> float | None:
    """Seconds of a span with units: `6ms`, `1h8m25.745s`, `33 seconds`."""
    short = _short(text).lower() if isinstance(text, str) else ""
    seconds, end = _span(short)
    return _plausible(seconds) if short and end == len(short) else None


def _advised(message: object) -> float | None:
    """The span in "Please try again in 59.977s." or "Please retry after 33 seconds."."""
    text = message[:ADVICE_CHARS].lower() if isinstance(message, str) else ""
    spans = (_span(text[at : at + VALUE_CHARS]) for at in sorted(_after_advice(text)))
    return next((_plausible(seconds) for seconds, end in spans if 0 < end < VALUE_CHARS), None)


def _after_advice(text: str) -> Iterable[int]:
    """Where the words that come before a span end."""
    for words in _ADVICE:
        at = text.find(words)
        while at >= 0:
            at += len(words)
            yield at
            at = text.find(words, at)


def _span(text: str) -> tuple[float, int]:
    """The seconds of the numbers with units that a text begins with, and where they end."""
    seconds, at = 0.0, 0
    while at < len(text):
        end = _run(text, at, _DIGITS)
        if end > at and text[end : end + 1] == "." and (fraction := _run(text, end + 1, _DIGITS)) > end + 1:
            end = fraction
        begin = end + (text[end : end + 1] == " ")
        over = _run(text, begin, _LETTERS)
        word = text[begin:over]
        unit = UNITS.get(word, UNITS.get(word.removesuffix("s")))
        if end == at or unit is None:
            break
        seconds += float(text[at:end]) * unit
        at = over + (text[over : over + 1] == " ")
    return seconds, at


def _run(text: str, at: int, kind: frozenset[str]) -> int:
    """Where a run of characters of one kind ends."""
    while at < len(text) and text[at] in kind:
        at += 1
    return at


def _error_in(payload: object) -> object:
    """The error object of a body: `{"error": …}`, the same in a list (Gemini), bare, or text."""
    if isinstance(payload, list):
        payload = payload[0] if payload else None
    inner = payload.get("error") if isinstance(payload, Mapping) else None
    return inner if isinstance(inner, Mapping | str) else payload
