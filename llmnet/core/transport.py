"""The contract between a client and what carries its requests; `ClientConfig.transport` takes an object that keeps it.

An attempt goes through these phases, always in this order; whoever does them, and what is told of them:

========= ========= ======================================================== ================== =======================
phase     who       what happens                                             the bound that runs told to the exchange
========= ========= ======================================================== ================== =======================
enter     driver    the delay after the previous failure, the gate, a slot   queue
authorise driver    the key is asked for; `Call.begin` makes the exchange    total
connect   transport name, TCP, TLS and proxy; or an idle connection          connect            `connecting`,`connected`
send      transport the request goes out                                     response           `sending`, `uploaded`
head      transport status and headers are read, and `send` returns          response
body      driver    iterates over the bytes; of an error within 2 s, 64 KiB  idle, see below    `silence`
leave     driver    closes the reply, gives the slot back, has a failure     0.25 s
                    judged, unless that was done already
========= ========= ======================================================== ================== =======================

Before each piece of the body the driver has a silence begin, and asks the bounds and whether the call was stopped.
Within `send`, and while a piece is awaited, the transport asks for both. What closing raises as `AttemptError` is
dropped. A reply that nobody has closed, for its stream was dropped, closes itself by a finalizer.

In the body `response` goes on until the first sign of output, then `idle` bounds each silence. While a stream has
nothing to show yet, each silence may last `response`.

A transport sees the exchange and the bounds alone: neither queue, gate, nor the function that gives a key. It may ask
the exchange how long to wait (`remaining`), must say how a wait is ended from outside (`on_stop`, `raise_if_stopped`),
and takes a new connection where it is told to (`fresh`). Calls to the exchange are optional: what was not told counts
as done when `send` returns.

It raises `AttemptError` with an `Outcome` for whatever goes wrong, and no `LLMNetError`, but for a `ConfigurationError`
where it cannot be used at all. Any error that it raises beside them is the caller's at once, and is not repeated. It
repeats nothing itself: one `send` is one request. Where its library asks inside `send` what to do about a failure, it
may ask `Exchange.decide` there, and raise the answer with the outcome: the driver then asks for no second verdict. The
sync transport does so, for urllib3 asks its `Retry` about each error that it
catches and each status that is not 2xx.

A transport may have one method more, `warm(exchange, bounds)`, which `client.warm()` calls: it connects as for a
request, tells `connecting`, and keeps the connection for the next one; `exchange.request` has the address of the
client, and is not sent. It fails as `send` does. A connection that was kept counts as reused even if it has served
nobody: where it turns out dead, the request is replayed at once.
"""

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from typing import Protocol

from llmnet.core.bounds import Bounds
from llmnet.core.exchange import Exchange


class OpenReply(Protocol):
    """A reply whose head has arrived, error statuses included.

    One that knows its end, by a length or a last chunk, may have an attribute `ended`, which says whether all of the
    body has been given out: the driver then asks for no more.

    Attributes:
        status: the HTTP status.
    """

    status: int

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, their names in any case."""

    def __iter__(self) -> Iterator[bytes]:
        """The body as it comes, not decoded; raises `AttemptError` where it breaks off."""

    def close(self) -> object:
        """Give the connection back, or close it where the body was not read to its end; idempotent."""


class Transport(Protocol):
    """Carries the requests of a sync client, from any number of threads."""

    def send(self, exchange: Exchange, bounds: Bounds) -> OpenReply:
        """Send `exchange.request` and read the head of the reply.

        Raises:
            AttemptError: it failed.
        """

    def close(self) -> object:
        """Close all connections; idempotent."""


class AsyncOpenReply(Protocol):
    """The same, awaited."""

    status: int

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, their names in any case."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it comes, not decoded; raises `AttemptError` where it breaks off."""

    def aclose(self) -> Awaitable[object]:
        """Give the connection back, or close it where the body was not read to its end; idempotent."""


class AsyncTransport(Protocol):
    """Carries the requests of an async client, from any number of event loops."""

    def send(self, exchange: Exchange, bounds: Bounds) -> Awaitable[AsyncOpenReply]:
        """Send `exchange.request` and read the head of the reply.

        Raises:
            AttemptError: it failed.
        """

    def aclose(self) -> Awaitable[object]:
        """Close all connections; idempotent."""
