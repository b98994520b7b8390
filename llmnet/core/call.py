"""One call from its first attempt to its last: the only judge of failures, and the record of what happened.

It lives as long as the caller's request. Time, chance and the key are handed in; whoever blocks on its behalf tells it
how to be woken, so that `stop` from any thread ends queueing, sleeping, connecting and reading alike.
"""

import random
import threading
from collections.abc import Callable
from typing import Any

from llmnet.core.admission.gate import Bucket, Gate, Turn
from llmnet.core.bounds import Bounds, Clock
from llmnet.core.chat import ChatResponse, Usage, replace_meta
from llmnet.core.errors import APIStatusError, LLMNetError
from llmnet.core.events import Ending, Listener, ending
from llmnet.core.exchange import Exchange
from llmnet.core.http import Attempt, Headers, Request, billed, request_id_of
from llmnet.core.judge import Judge, read_hint
from llmnet.core.outcome import Fault, Outcome, cause_of
from llmnet.core.record import Record
from llmnet.core.retry import Decision, RetryPolicy
from llmnet.core.secrets import Secrets
from llmnet.core.wire_form import Kind, WireForm


class Call:
    """One request of the caller: what to send, how long, how often, and what has come of it.

    One thread drives it at a time; any may `stop` it: `_lock` guards `_wake` and that `stopped` is set but once.

    Attributes:
        bounds: how long each part may still take.
        exchange: the attempt under way, or `None` between attempts.
        key: the key of the attempt under way.
        delivered: a chunk was handed out; from then on the call is never sent again.
        outer: the `id` of the exception that the caller was handling when it last asked, see `core.exception_graph`.
        proxy: the address, without credentials, of the proxy that the attempt goes through.
        stopped: the error that ends the call, once somebody has called `stop`.
    """

    def __init__(
        self,
        form: WireForm,
        request: Request,
        *,
        authorise: Callable[[Request, str | None], Request],
        policy: RetryPolicy,
        bounds: Bounds,
        rng: random.Random,
        wall: Clock,
        gate: Gate,
        bucket: Bucket | None,
        host: str,
        secrets: Secrets,
        key: Any = None,
        stream: bool = False,
        count: Callable[[int], None] = lambda _: None,
        read: Callable[[Any], Any] | None = None,
        model: str = "",
        listener: Listener | None = None,
    ) -> None:
        self.form, self.request, self.stream, self.host = form, request, stream, host
        self.policy, self.bounds, self.gate, self.secrets = policy, bounds, gate, secrets
        self._judge = Judge(policy, bounds, gate, bucket, rng, renewable=callable(key))
        self.exchange: Exchange | None = None
        self.stopped: LLMNetError | None = None
        self.delivered, self.proxy, self.outer, self._resume_at, self._closing = False, "", 0, bounds.started, False
        self._ending: Ending = "cancelled"
        self._record = Record(bounds, listener, (form.provider, host, model, stream))
        self.meta = self._record.meta
        self.ticket: Any = None
        self.sent = self.uploading = self.reused = self.heard = False
        self._turn = Turn(gate, rng)
        self._authorise, self._wall, self._read, self._model = authorise, wall, read, model
        self.key_source, self._count = key, count
        self._refused: tuple[str | None, LLMNetError] | None = None
        self.key: str | None = None
        self._lock = threading.RLock()  # a finalizer may stop or leave a call on the very thread that is in here
        self._wake: Callable[[], None] | None = None

    # -- an attempt, as the transport drives it ---------------------------------------------------------------------

    def hold(self) -> float:
        """Seconds to wait before the next attempt: the last delay, then the turn at the gate, asked again on waking.

        Raises:
            Fault: somebody has stopped the call.
            APIStatusError: the gate is shut for longer than the call can wait: one like the error that shut it.
            APITimeoutError: the time is over.
        """
        self._record.queued()
        self.go_on()
        now = self.bounds.clock()
        phase, left = self.bounds.left()
        told, most = self.gate.told(now), self.policy.max_retry_after
        wait = told if told > most else self._turn.wait(now, self._resume_at, left)
        if wait >= left or told > most:
            said = f"the {phase} bound has {left:.1f}s left and max_retry_after is {most:g}s"
            raise self.final(self.gate.refusal.error(max(wait, told), said) if left > 0 else self.expired())
        return wait

    def begin(self, key: str | None) -> Exchange:
        """Begin an attempt with a key; a renewed key that is the refused one ends the call with that refusal."""
        if self._refused is not None and self._refused[0] == key:
            raise self.final(self._refused[1])
        self.key = key
        self.secrets.learn(key)
        request = self._authorise(self.request, key)
        self.exchange = Exchange(self.form, request, stream=self.stream, read=self._read, asked=self._model)
        self.sent = self.uploading = self.reused = self.heard = self._closing = False
        self._record.attempt()
        return self.exchange

    @property
    def under_way(self) -> Exchange:
        """The attempt under way; between attempts to ask for it is a bug of a front."""
        if self.exchange is None:
            raise RuntimeError("no attempt is under way")
        return self.exchange

    def connecting(self) -> None:
        """A connection is being made: the connect bound counts from now."""
        self.bounds.start("connect")

    def sending(self) -> None:
        """The connection is ready and the request goes out: the response bound counts from here."""
        if not self.sent:
            self.sent = True
            self.bounds.start("response")
            self._count(1)

    def opened(self, status: int, headers: Headers) -> Kind:
        """The head of the reply has arrived; what the reply is."""
        self.heard = True
        self.meta.status, self.meta.headers = status, self.secrets.clean_headers(headers)
        self.meta.request_id = request_id_of(self.meta.headers)
        return self.under_way.open(status, headers)

    def left(self) -> float:
        """Seconds that the next wait may take; a silence of a begun reply is measured anew each time.

        Raises:
            Fault: somebody has stopped the call.
        """
        self.go_on()
        if self.exchange is not None and self.exchange.begun and not self._closing:
            self.bounds.idle(patient=self.exchange.patient)
        return self.bounds.left()[1]

    def last(self, seconds: float) -> None:
        """What is still read of this reply is read for the connection's sake, and briefly."""
        self._closing = True
        self.bounds.last(seconds)

    def expired(self, said: str = "") -> LLMNetError:
        """The error of a wait that ran into its bound, with what is to be said of it, or of the stop that ended it."""
        arrived = self.exchange.arrived if self.exchange is not None else 0
        return self.stopped or self.bounds.error(said or (f"after {arrived} bytes of the body" if arrived else ""))

    # -- the judge ----------------------------------------------------------------------------------------------------

    def judge(self, outcome: Outcome) -> None:
        """Return where the call is to be sent again, else raise its error, complete with all facts."""
        if not self.decide(outcome).retry:
            raise self.final(self.stopped or outcome.error)

    def decide(self, outcome: Outcome) -> Decision:
        """Judge a failed attempt, note it, and make ready for the next one."""
        error = self.stopped or outcome.error
        error.meta = self.meta
        read_hint(error, self.meta.headers, self._wall())
        error = self.secrets.clean(error, self.outer)  # before a gate remembers what it says
        decision = self._verdict(Outcome(error, outcome.stale, outcome.once))
        self._note(error, decision, stale=outcome.stale)
        if decision.retry:
            self._resume_at = self.bounds.clock() + decision.delay
            self.exchange, self.sent = None, False
            self.bounds.past_queue()
        return decision

    def _verdict(self, outcome: Outcome) -> Decision:
        if self.stopped is not None or self.delivered:
            return Decision(False, reason="stopped" if self.stopped else "delivered")
        decision = self._judge.verdict(outcome, took=self._record.took if self.sent else 0.0)
        if decision.reason == "key refused":
            self._refused = (self.key, outcome.error)
        return decision

    @property
    def wants_fresh(self) -> bool:
        """Whether the attempt must take a new connection."""
        return self._judge.wants_fresh

    # -- the record ---------------------------------------------------------------------------------------------------

    def _note(self, error: BaseException | None, decision: Decision, *, stale: bool = False) -> None:
        if not self._record.attempting:
            return  # the call ended while it waited for its turn
        if self.sent and stale and decision.transparent:
            self.sent = False  # it went into a connection that was dead already
            self._count(-1)
        attempt = Attempt(
            status=getattr(error, "http_status", None) or self.under_way.status,
            cause=decision.reason if error is None else self.secrets.hide(cause_of(error)),
            wait=decision.delay,
            sent=self.sent,
            transparent=decision.transparent,
            throttled=self.policy.throttles(error),
            elapsed=self._record.took,
        )
        self._record.failed(attempt, error, decision)

    def shown(self) -> None:
        """A chunk is handed out: the call is never sent again."""
        if not self.delivered:
            self.delivered = True
            self._record.shown()

    def succeed(self) -> Any:
        """The reply is whole: note the attempt, refill the budget, and give the value."""
        self._record.succeeded(Attempt(status=self.meta.status, sent=True, elapsed=self._record.took))
        self._judge.succeed()
        value = self.under_way.value
        self.meta.request_id = self.meta.request_id or self.secrets.hide(self.under_way.draft.request_id or "") or None
        if isinstance(value, ChatResponse):
            value = replace_meta(value, self.meta)
        self._record.finished("ok", getattr(value, "usage", Usage()))
        return value

    def partial(self) -> ChatResponse | None:
        """The reply as far as it has arrived, with the meta of the call so far."""
        so_far = self.exchange.partial() if self.exchange is not None else None
        return replace_meta(so_far, self.meta) if so_far is not None else None

    def final(self, error: LLMNetError) -> LLMNetError:
        """Complete an error that ends the call with all that is known, and without a secret."""
        error.provider, error.host, error.meta = self.form.provider, self.host, self.meta
        error.partial = self.partial()
        error.repeated = self.policy.max_retries > 0
        error.retryable = self.policy.repeats(error)
        error.maybe_billed = billed(self.meta.attempts)
        if isinstance(error, APIStatusError):
            self.meta.request_id = error.request_id = self.meta.request_id or error.request_id
        cleaned = self.secrets.clean(error, self.outer)
        self._record.finished(self._ending if self.stopped is not None else "error", self._usage(), cleaned)
        return cleaned

    def end(self, error: BaseException | None = None, *, late: bool = False) -> None:
        """Nobody goes on with the call, for it was closed, or for an error; *late*: a finalizer says so."""
        self.secrets.clean_causes(error, self.outer)  # raised, it has got what was being handled as its context
        if self.exchange is not None:
            self.exchange.forget()
        if self._record.over:
            return
        if late:
            self._record.put_off()
        outcome = self._ending if self.stopped is not None else ending(error)
        error = error or (self.stopped if outcome == "cancelled" else None)
        self._note(error, Decision(False, reason=outcome))
        self._record.finished(outcome, self._usage(), error)

    def _usage(self) -> Usage:
        return getattr(self.partial(), "usage", Usage())

    # -- stopping it from outside -------------------------------------------------------------------------------------

    def wakes(self, wake: Callable[[], None] | None) -> None:
        """Whoever is about to block says how to be woken; `None` when it has stopped blocking.

        Raises:
            Fault: the call was stopped meanwhile.
        """
        with self._lock:
            self._wake = wake
        if wake is not None:
            self.go_on()

    def go_on(self) -> None:
        """Ask whether the call may still go on.

        Raises:
            Fault: somebody has stopped it.
        """
        if self.stopped is not None:
            raise Fault(Outcome(self.stopped))

    def orphan(self, error: LLMNetError) -> None:
        """End the call in a forked child, where the thread that may have held its lock is gone."""
        self._lock, self._wake, self.stopped = threading.RLock(), None, error

    def stop(self, error: LLMNetError, ending: Ending = "cancelled") -> None:
        """End the call from any thread: the error that it ends with, and its outcome; the first one holds."""
        with self._lock:
            if self.stopped is None:
                self._ending, self.stopped = ending, error
            # Under the lock: once `wakes(None)` has returned, nothing wakes what has moved on to another call.
            if self._wake is not None:
                self._wake()
