"""One call from its first attempt to its last: it has each failure judged, and keeps the record.

Time, chance and the key are handed in.
"""

import sys
from collections.abc import Callable
from typing import Any

import msgspec

from llmnet.core.admission.admission import Admission
from llmnet.core.bounds import Bounds, Clock
from llmnet.core.chat import ChatResponse, Usage, replace_meta
from llmnet.core.errors import APIStatusError, LLMNetError
from llmnet.core.events import Ending, ending
from llmnet.core.exchange import Exchange, Route
from llmnet.core.http import Attempt, Meta, Request, billed
from llmnet.core.judge import Judge, read_hint
from llmnet.core.outcome import AttemptError, Decision, Outcome, cause_of
from llmnet.core.record import Record
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.stop import Stop
from llmnet.core.tracebacks import drop_tracebacks, present, shorten


class Call:
    """One request of the caller: what to send, how long, how often, and what has come of it.

    Args:
        route: where it goes.
        request: what is sent, without the credential.
        bounds: how long each part may take.
        judge: what is sent again.
        admission: when it may be sent.
        record: notes what happens, and notifies a listener.
        wall: the Unix time.
        reader: makes what reads the reply to an attempt.

    Attributes:
        interruption: ends the waits of the call.
        exchange: the attempt under way, or `None` between attempts.
        delivered: a chunk was handed out; from then on the call is never sent again.
        meta: how it went so far.
        model: the one that was asked for, `""` where none was.
    """

    def __init__(
        self,
        route: Route,
        request: Request,
        *,
        bounds: Bounds,
        judge: Judge,
        admission: Admission,
        record: Record,
        wall: Clock,
        reader: Callable[..., ReplyReader] = ReplyReader,
    ) -> None:
        self.route, self.request, self.bounds, self.admission = route, request, bounds, admission
        self.interruption, self.meta, self.model = Stop(bounds), record.meta, record.model
        self.exchange: Exchange | None = None
        self.delivered, self._outer = False, 0
        self._judge, self._record, self._wall, self._make_reader = judge, record, wall, reader
        self._key: str | None = None
        self._refused: tuple[str | None, LLMNetError] | None = None

    # -- an attempt, as the driver leads it ---------------------------------------------------------------------------

    def enter(self) -> None:
        """Begin a step for the caller: an exception that it is handling just now is no cause of what fails here.

        Raises:
            AttemptError: somebody has stopped the call.
        """
        if self._record.stream or not self._outer:  # once a coroutine has failed, Python says no more what it handles
            self._outer = id(sys.exception())
        if self.exchange is None and self.interruption.error is None:
            self._record.queued()
        if self.interruption.error is not None:  # perhaps by the listener, just now
            self.interruption.raise_if_stopped()

    def begin(self, key: str | None = None) -> Exchange:
        """Begin an attempt with a key; a renewed key that is the refused one ends the call with that refusal.

        Raises:
            AttemptError: somebody has stopped the call.
        """
        if self._refused is not None and self._refused[0] == key:
            raise self.completed(self._refused[1])
        self._key, route = key, self.route
        route.secrets.learn(key)
        self.exchange = exchange = Exchange(
            route.authorise(self.request, key),
            self._make_reader(route.form, stream=self._record.stream, asked=self._record.model),
            self.interruption,
            self._record,
            route.secrets,
            self,
            fresh=self._judge.wants_fresh,
            outer=self._outer,
        )
        self._record.attempt()
        self.interruption.raise_if_stopped()
        return exchange

    @property
    def current(self) -> Exchange:
        """The attempt under way; to ask for it between attempts is a bug."""
        if self.exchange is None:
            raise RuntimeError("no attempt is under way")
        return self.exchange

    def leave(self) -> None:
        """Give the slot of an attempt back; nothing is left of it that could be woken."""
        self.interruption.on_stop(None)
        self.admission.settle()

    # -- the judge ----------------------------------------------------------------------------------------------------

    def judge(self, failure: AttemptError) -> None:
        """Return where the call is to be sent again, else raise its error, complete."""
        decision = failure.decision or self.decide(failure.outcome)
        if not decision.retry:
            raise self.completed(self.stopped or failure.outcome.error)
        drop_tracebacks(failure.outcome.error, self._outer)

    def decide(self, outcome: Outcome) -> Decision:
        """Judge a failed attempt, note it, and make ready for the next one."""
        error = self.stopped or outcome.error
        error.meta = self.meta
        read_hint(error, self.meta.headers, self._wall())
        error = self.route.secrets.clean(error, self._outer)  # before a gate remembers what it says
        decision = self._verdict(outcome, error)
        self._note(error, decision, stale=outcome.stale)
        if decision.retry:
            self.admission.delay(decision.delay)
            self.exchange = None
            self.bounds.past_queue()
        return decision

    def _verdict(self, outcome: Outcome, error: LLMNetError) -> Decision:
        if self.stopped is not None or self.delivered:
            return Decision(False, reason="stopped" if self.stopped else "delivered")
        took = self._record.took if self.exchange is not None and self.exchange.sent else 0.0
        decision = self._judge.verdict(msgspec.structs.replace(outcome, error=error), took=took)
        if decision.reason == "key refused":
            self._refused = (self._key, error)
        return decision

    # -- the record ---------------------------------------------------------------------------------------------------

    def _note(self, error: BaseException | None, decision: Decision, *, stale: bool = False) -> None:
        if not self._record.attempting:
            return  # the call ended while it waited for its turn
        sent = self.current.sent
        if sent and stale and decision.transparent:
            sent = False  # it went into a connection that was dead already
            self._record.sent(-1)
        attempt = Attempt(
            status=getattr(error, "http_status", None) or self.current.reply.status,
            cause=decision.reason if error is None else self.route.secrets.hide(cause_of(error)),
            wait=decision.delay,
            sent=sent,
            transparent=decision.transparent,
            throttled=self._judge.policy.throttles(error),
            elapsed=self._record.took,
        )
        self._record.ended(attempt)
        if isinstance(error, LLMNetError) and error.meta is self.meta:
            self._complete(error, self._record.so_far(goes_on=decision.retry))
        self._record.failed(attempt, error, decision, self._judge.left)

    def mark_delivered(self) -> None:
        """A chunk is handed out: the call is never sent again."""
        if not self.delivered:
            self.delivered = True
            self._record.delivered()

    def succeed(self) -> Any:
        """The reply is whole: note the attempt, refill the budget, and give the value."""
        if self.interruption.ending == "closed":  # by a hook of the caller's, just now
            self.end()
        reply, meta = self.current.reply, self.meta
        self._record.ended(Attempt(status=meta.status, sent=True, elapsed=self._record.took))
        self._judge.succeed()
        if meta.request_id is None and reply.draft.request_id:
            meta.request_id = self.route.secrets.hide(reply.draft.request_id)
        value = replace_meta(reply.value, meta) if isinstance(reply.value, ChatResponse) else reply.value
        self._record.finished("ok", getattr(value, "usage", Usage()))
        return value

    def partial(self) -> ChatResponse[Any] | None:
        """The reply as far as it has arrived, with the meta of the call so far."""
        so_far = self.exchange.reply.partial() if self.exchange is not None else None
        return replace_meta(so_far, self.meta) if so_far is not None else None

    def completed(self, error: LLMNetError) -> LLMNetError:
        """Complete an error that ends the call, and note the end."""
        cleaned = self._complete(error, self.meta)
        self._record.finished(self.interruption.ending if self.stopped else "error", self._usage(), cleaned)
        return cleaned

    def _complete(self, error: LLMNetError, meta: Meta) -> LLMNetError:
        """Complete an error, also one that only an event carries; what has become known since adds nothing twice."""
        route, judge, partial = self.route, self._judge, self.partial()
        error.provider, error.host, error.meta = route.form.provider, route.host, meta
        error.partial = None if partial is None else replace_meta(partial, meta)
        error.repeated, error.retryable = judge.repeats, judge.policy.repeats(error)
        error.maybe_billed = billed(meta.attempts)
        if isinstance(error, APIStatusError):
            meta.request_id = error.request_id = meta.request_id or error.request_id
        hint = route.secrets.hide(route.form.hint(error))  # as the message has it by then, where that was cleaned
        error.message = error.message.removesuffix(hint) + hint
        return route.secrets.clean(error, self._outer)

    def end(self, error: BaseException | None = None, *, late: bool = False) -> None:
        """Nobody goes on with the call, for it was closed, or for an error; *late*: a finalizer says so."""
        if error is not None:  # Python has made what was being handled its `__context__`
            shorten(error)
            present(error, self._outer)
        if getattr(error, "meta", self.meta) is self.meta:  # else it is the caller's own, as from a callback
            self.route.secrets.clean_causes(error, self._outer)
        if self.exchange is not None:
            self.exchange.reply.forget()
        if self._record.over:
            return
        if late:
            self._record.put_off()
        outcome = self.interruption.ending if self.stopped is not None else ending(error)
        error = error or (self.stopped and self._complete(self.stopped, self.meta) if outcome == "cancelled" else None)
        self._note(error, Decision(False, reason=outcome))
        self._record.finished(outcome, self._usage(), error)

    def _usage(self) -> Usage:
        return getattr(self.partial(), "usage", Usage())

    # -- stopping it from outside -------------------------------------------------------------------------------------

    @property
    def stopped(self) -> LLMNetError | None:
        """The error that ends the call, once somebody has stopped it."""
        return self.interruption.error

    def stop(self, error: LLMNetError, ending: Ending = "cancelled") -> None:
        """End the call from any thread: whoever waits for it is woken."""
        self.interruption.stop(error, ending)
