"""One attempt of a call without its I/O: where it goes, what the transport has told of it, and the reply so far."""

import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from llmnet.core.admission.gate import Gate
from llmnet.core.admission.lanes import Bucket
from llmnet.core.errors import LLMNetError
from llmnet.core.form_contract import Kind, WireForm
from llmnet.core.http import REQUEST_ID_HEADERS, Headers, Request
from llmnet.core.outcome import AttemptError, Decision, Outcome
from llmnet.core.record import Record
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.secrets import Secrets
from llmnet.core.stop import Stop


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call goes and on whose account; its repr shows no credential.

    Attributes:
        form: the wire form, at its address.
        host: as errors and events name it.
        key: the credential: text, `None`, or a callable that is asked for every attempt.
        headers: what goes over all other headers, the credential too; `None` removes one.
        gate: where calls wait after a throttle.
        bucket: what their retries draw from, or `None` for no limit.
        secrets: what nobody may see.
    """

    form: WireForm
    host: str = ""
    key: Any = None
    headers: Mapping[str, str | None] = {}
    gate: Gate = msgspec.field(default_factory=Gate)
    bucket: Bucket | None = None
    secrets: Secrets = msgspec.field(default_factory=Secrets)

    def __repr__(self) -> str:
        return f"Route(form={self.form!r}, host={self.host!r})"

    def authorise(self, request: Request, key: str | None) -> Request:
        """The request of one attempt, with its credential."""
        signed = self.form.authorise(request, key)
        return signed.with_headers(self.headers) if self.headers else signed


class Decides(Protocol):
    """What has a failure judged: the call."""

    def decide(self, outcome: Outcome) -> Decision:
        """Judge a failed attempt."""


class Exchange:
    """One attempt: all that a transport needs of a call (`core.transport` has the contract).

    Attributes:
        request: what to send, with its credential.
        reply: reads the reply.
        bounds: how long each part may still take.
        secrets: what no log line may show.
        fresh: whether it must take a new connection.
        outer: the `id` of the exception that the caller was handling when it called, see `tracebacks.reachable`.
        proxy: the address, without credentials, of the proxy that it goes through.
        sent: whether a byte of the request has gone out.
        uploading: whether a part of the request is going out right now.
        reused: whether its connection had served before.
        received: whether a byte of the reply has come in.
    """

    def __init__(
        self,
        request: Request,
        reply: ReplyReader,
        stop: Stop,
        record: Record,
        secrets: Secrets,
        call: Decides,
        *,
        fresh: bool = False,
        outer: int = 0,
    ) -> None:
        self.request, self.reply, self.secrets, self.fresh, self.outer = request, reply, secrets, fresh, outer
        self.bounds = stop.bounds
        self._call = weakref.ref(call)  # which holds its attempt: neither is to wait for the collector
        self._stop, self._record = stop, record
        self.on_stop, self.raise_if_stopped, self.remaining = stop.on_stop, stop.raise_if_stopped, stop.remaining
        self.proxy = ""
        self.sent = self.uploading = self.reused = self.received = self._closing = False

    # -- what a transport tells ---------------------------------------------------------------------------------------

    def routed(self, proxy: str, secrets: Iterable[str]) -> None:
        """It goes through a proxy, whose credentials are secrets."""
        self.proxy = proxy
        for secret in secrets:
            self.secrets.learn(secret)

    def connecting(self) -> None:
        """A connection is being made: the connect bound counts from now."""
        self.reused = False
        self.bounds.start("connect")

    def connected(self, *, reused: bool) -> None:
        """There is a connection, which has served before or has not."""
        self.reused = reused

    def sending(self) -> None:
        """The connection is ready and a part of the request goes out: the response bound counts from the first one."""
        self.uploading = True
        if not self.sent:
            self.sent = True
            self.bounds.start("response")
            self._record.sent(1)

    def uploaded(self) -> None:
        """The part of the request, or all of it, has gone out."""
        self.uploading = False

    def head(self, status: int, headers: Mapping[str, str]) -> Kind:
        """The head of the reply has arrived; what the reply is."""
        headers = headers if isinstance(headers, Headers) else Headers(headers)
        if not self.sent:  # a library that answers in the transport's place has told nothing
            self.sending()
            self.uploading = False
        self.received = True
        secrets, request_id = self.secrets, headers.first(REQUEST_ID_HEADERS)
        self._record.received(status, secrets.clean_headers(headers), request_id and secrets.hide(request_id))
        return self.reply.open(status, headers)

    def silence(self) -> float:
        """A wait for bytes begins: of a begun reply each silence is measured on its own; seconds to the nearest bound.

        Raises:
            AttemptError: the call was stopped.
        """
        bound = self.reply.bound
        if self._closing or bound is None or self._stop.error is not None:
            return self.remaining()
        return self.bounds.start("idle", bound=bound)

    def between(self) -> None:
        """The driver is about to ask for the next bytes: what never waits, or asks for no bound, ends here.

        Raises:
            AttemptError: a bound has expired, or the call was stopped.
        """
        # A silence begins here: what has passed since the last bytes may have been the caller's time.
        if self.silence() <= 0 and not self.bounds.may_look():
            raise AttemptError(Outcome(self.expired()))

    def drain(self, seconds: float) -> None:
        """What is still read of this reply is read for the connection's sake, and for so long at most."""
        self._closing = True
        self.bounds.start("idle", seconds)

    def receiving(self) -> None:
        """The first byte of the reply has come."""
        self.received = True

    # -- what it asks -------------------------------------------------------------------------------------------------

    @property
    def stopped(self) -> LLMNetError | None:
        """What the call ends with, once somebody has stopped it."""
        return self._stop.error

    def decide(self, outcome: Outcome) -> Decision:
        """Have a failure judged, there where a library asks what to do with it."""
        call = self._call()
        assert call is not None  # noqa: S101 - whoever sends holds the call
        return call.decide(outcome)

    def expired(self, detail: str = "") -> LLMNetError:
        """The error of a wait that ran into its bound, with some detail, or that of the stop that ended it."""
        arrived = self.reply.arrived
        return self._stop.expired(detail or (f"after {arrived} bytes of the body" if arrived else ""))
