"""What goes out over HTTP and what is known of the way it went, as plain values; nothing here sends or waits."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from llmnet.core.plain import Value, public
from llmnet.core.retry_after import parse_reset

Pairs = Iterable[tuple[str, str]]

# Where the vendors put the id of a request (docs/vendors.md, Request ids), the most telling first.
REQUEST_ID_HEADERS = (
    "x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "x-ds-trace-id", "x-generation-id",
    "x-bce-request-id", "x-baidu-request-id",
)  # fmt: skip
_LIMIT_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-")
# What else of the headers goes into plain JSON, and so perhaps to somebody's browser: no cookie, nobody's name.
_SHOWN = {*REQUEST_ID_HEADERS, "content-type", "date", "retry-after", "retry-after-ms"}
_LIMIT_FIELDS = ("limit", "remaining", "reset")


class Headers(Mapping[str, str]):  # noqa: PLW1641 - a mapping has no hash
    """Response headers: names match whatever their case, repeated ones are joined by a comma (RFC 9110, 5.3)."""

    __slots__ = ("_items",)

    def __init__(self, pairs: Pairs | Mapping[str, str] = ()) -> None:
        said = [*(pairs.items() if isinstance(pairs, Mapping) else pairs)]
        # Of a thousand open replies, most headers have the same few names.
        self._items: dict[str, str] = {sys.intern(name.lower()): value for name, value in said}
        if len(self._items) < len(said):
            self._items = _joined(said)

    def __getitem__(self, name: str) -> str:
        return self._items[lowered(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def first(self, names: Iterable[str]) -> str | None:
        """The first of some headers, named in lower case, that says anything."""
        return next(filter(None, map(self._items.get, names)), None)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self._items == {name.lower() if isinstance(name, str) else name: other[name] for name in other}

    def __repr__(self) -> str:
        return f"Headers({self._items!r})"


NO_HEADERS = Headers()


def lowered(name: object) -> str:
    """A name of a header as it is looked up.

    Raises:
        KeyError: it is none, as anything but a text.
    """
    if not isinstance(name, str):
        raise KeyError(name)
    return name.lower()


def _joined(pairs: Pairs) -> dict[str, str]:
    said: dict[str, list[str]] = {}
    for name, value in pairs:
        said.setdefault(name.lower(), []).append(value)
    return {name: ", ".join(values) for name, values in said.items()}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request; header names are lower-case. Its repr shows neither headers nor body: they hold secrets."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"Request(method={self.method!r}, url={self.url!r})"

    def with_headers(self, headers: Mapping[str, str | None]) -> "Request":
        """The same request with more headers; they replace those of their name, `None` removes one."""
        return Request(method=self.method, url=self.url, headers=merged(self.headers, headers), body=self.body)


def merged(ours: Mapping[str, str], theirs: Mapping[str, str | None]) -> dict[str, str]:
    """Headers with others laid over them, whatever their case; `None` removes one."""
    both = dict(ours)
    for name, value in theirs.items():
        if value is None:
            both.pop(name.lower(), None)
        else:
            both[name.lower()] = value
    return both


@public
class Attempt(Value, msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a call.

    Attributes:
        status: the HTTP status, or `None` where no head arrived.
        cause: why it failed, in a few words, or `None` for the final success.
        wait: seconds that the call then waits before its next attempt.
        sent: whether the server may have seen it; one that died on a stale connection was not sent.
        transparent: whether it was replayed at once, outside retries and budget.
        throttled: whether a limit turned it away, so that it counts as no failure.
        elapsed: seconds from its start to its end.
    """

    status: int | None = None
    cause: str | None = None
    wait: float = 0.0
    sent: bool = False
    transparent: bool = False
    throttled: bool = False
    elapsed: float = 0.0

    def __str__(self) -> str:
        came = str(self.cause or self.status or "nothing came")
        status = (
            f" (HTTP {self.status})" if self.cause and self.status and not came.startswith(str(self.status)) else ""
        )
        unsent = "" if self.sent else ", not sent"
        again = ", again at once" if self.transparent else f", again in {self.wait:.2f} s" if self.wait else ""
        return f"{came}{status} after {self.elapsed:.2f} s{unsent}{again}"


def billed(attempts: Iterable[Attempt]) -> bool:
    """Whether the vendor may have done, and charged for, the work of one of them."""
    return any(attempt.sent and (attempt.status is None or attempt.status < 400) for attempt in attempts)


class RateLimitState(Value, msgspec.Struct, frozen=True, kw_only=True):
    """What the server says is left of one limit; unknown is `None`, `reset` is in seconds."""

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


@public
class Meta(Value, msgspec.Struct, kw_only=True):
    """How a call went: the same on responses, streams and errors.

    Attributes:
        status: HTTP status of the last attempt.
        request_id: the vendor's id of the last attempt.
        headers: response headers of the last attempt.
        attempts: all attempts so far, the final success included.
        queued: seconds from the call's start to its first attempt.
        time_to_first_token: seconds from the call's start to the first chunk of a stream, or `None`.
        elapsed: seconds from the call's start to its end.
    """

    status: int | None = None
    request_id: str | None = None
    headers: Headers = NO_HEADERS
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    queued: float = 0.0
    time_to_first_token: float | None = None
    elapsed: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types; of the headers only ids, limits, waits, date and content type, and no cookie."""
        shown = {key: text for key, text in self.headers.items() if key in _SHOWN or key.startswith(_LIMIT_PREFIXES)}
        return {**super().to_dict(), "headers": shown}

    def __str__(self) -> str:
        lines = [f"attempt {number}: {attempt}" for number, attempt in enumerate(self.attempts, 1)]
        return "\n".join(lines) or "no attempt"

    def __repr__(self) -> str:
        named = {"status": self.status, "request_id": self.request_id, "attempts": len(self.attempts)}
        facts = [f"{name}={value!r}" for name, value in named.items()]
        return f"Meta({', '.join(facts)}, queued={self.queued:.3f}, elapsed={self.elapsed:.3f})"

    @property
    def rate_limits(self) -> dict[str, RateLimitState]:
        """What the rate-limit headers say, by what they count (`requests`, `tokens`, `input-tokens`, …)."""
        # Read by the caller at any time after the call: dates become seconds from the moment of reading.
        return rate_limits(self.headers, time.time())


def answers(head: bytes) -> bool:
    """Whether the first bytes of a reply are those of a final one: an informational one says nothing of the request."""
    return head.startswith(b"HTTP/1.") and head[8:9] == b" " and head[9:10] in b"23456789" and len(head) > 9


def rate_limits(headers: Mapping[str, str], now: float) -> dict[str, RateLimitState]:
    """Read `x-ratelimit-*` and `anthropic-ratelimit-*`; a value that does not parse is unknown, never an error."""
    found: dict[str, dict[str, str]] = {}
    for name, value in headers.items():
        field, what = _limit_name(name.lower())
        if field:
            found.setdefault(what, {})[field] = value
    return {
        what: RateLimitState(
            limit=_count(said.get("limit")),
            remaining=_count(said.get("remaining")),
            reset=parse_reset(said["reset"], now) if said.get("reset") else None,
        )
        for what, said in found.items()
    }


def _limit_name(name: str) -> tuple[str, str]:
    """`x-ratelimit-limit-tokens` and `anthropic-ratelimit-tokens-limit` are both the limit of tokens."""
    prefix = next((p for p in _LIMIT_PREFIXES if name.startswith(p)), None)
    words = name.removeprefix(prefix).split("-") if prefix else []
    field = next((w for w in words if w in _LIMIT_FIELDS), "")
    return field, "-".join(w for w in words if w != field) or "requests"


def _count(text: str | None) -> int | None:
    number = text.strip() if text else ""
    return int(number) if number.isascii() and number.isdigit() and len(number) < 16 else None
