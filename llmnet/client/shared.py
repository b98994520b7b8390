"""What a client and its children share (queue, gates, buckets, counters, calls in flight), and the routes of each."""

import random
import threading
import weakref
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from llmnet.config.resolve import CREDENTIALS
from llmnet.core.admission.gate import Gate
from llmnet.core.admission.lanes import Bucket, Lanes
from llmnet.core.admission.queue import FairQueue
from llmnet.core.call import Call
from llmnet.core.credentials import in_headers
from llmnet.core.errors import APIConnectionError, ConfigurationError
from llmnet.core.exchange import Route
from llmnet.core.forks import register_after_fork
from llmnet.core.headers import ByIdentity
from llmnet.core.http import Request, merged
from llmnet.core.retry import RetryBudget
from llmnet.core.secrets import Secrets
from llmnet.providers.form import Form
from llmnet.telemetry.dispatch import DeferredEvents
from llmnet.telemetry.stats import Counters


class Shared:
    """One for a client and all its children.

    Threads share it: `_lock` guards `request_count`, `closed`, the lanes and the calls in flight; `request_count` and
    `closed` are read without. Queue, counters, gates and buckets have locks of their own; `rng` is asked for `random()`
    alone, which is one step of the interpreter.
    """

    def __init__(self, max_concurrent: int) -> None:
        self.queue = FairQueue(max_concurrent)
        self.counters = Counters()
        self.rng = random.Random()
        self.request_count = 0
        self.closed = False
        self._gates: Lanes[Gate] = Lanes()
        self._buckets: Lanes[Bucket] = Lanes()
        self.late = DeferredEvents()
        self._begin()
        register_after_fork(self)

    def _begin(self) -> None:
        # A signal handler may close the client on the very thread that is in here.
        self._lock = threading.RLock()
        self._live: set[weakref.ref[Call]] = set()  # each takes itself out, once its call is gone

    def after_fork(self) -> None:
        """Begin anew in a forked child: slots and locks belong to threads that it lacks, calls to its parent."""
        for call in self._calls():
            call.interruption.orphan(
                APIConnectionError("the process was forked while the call was under way", retryable=False)
            )
        self._begin()
        self.queue.reset()
        self.rng.seed()
        self.counters.after_fork()
        self.late.after_fork()
        for lasting in (*self._gates, *self._buckets):
            lasting.after_fork()

    def count(self, n: int) -> None:
        """So many more HTTP requests were sent; one less where a connection turns out to have been dead."""
        with self._lock:
            self.request_count += n

    def gate(self, lane: Hashable, now: float) -> Gate:
        """The gate of a (host, credential, model, tier)."""
        with self._lock:
            return self._gates.get(lane, Gate, now)

    def bucket(self, lane: Hashable, budget: RetryBudget | None, now: float) -> Bucket | None:
        """The retry bucket of a (host, credential)."""
        if budget is None:
            return None
        with self._lock:
            return self._buckets.get(lane, lambda: Bucket(budget.capacity), now)

    def watch(self, call: Call) -> Call:
        """Note a call, so that `close` can end it."""
        with self._lock:
            if not self.closed:
                self._live.add(weakref.ref(call, self._live.discard))
            self.check_open()  # after it: a handler that has closed it just now may not have seen the call
        return call

    def _calls(self) -> list[Call]:
        """The calls in flight."""
        return [call for ref in [*self._live] if (call := ref()) is not None]

    def check_open(self) -> None:
        """Refuse a call of a client that is closed.

        Raises:
            ConfigurationError: it is.
        """
        if self.closed:
            raise ConfigurationError("the client is closed; make a new one, or call it inside its with block")

    def close(self) -> None:
        """End all calls; done again, it ends those that a Ctrl-C has left out."""
        with self._lock:
            self.closed = True
            live = self._calls()
        for call in live:
            call.stop(APIConnectionError("the client was closed while the call was under way", retryable=False))


class Routes:
    """The routes of one client: most calls have no credential of their own, and go the way of the one before.

    Threads share it without a lock: all that changes is `_usual`, which is replaced as a whole. Two threads may make a
    route each; both have the same gate and bucket, which are `Shared`'s.

    Args:
        shared: has gates and buckets.
        key: the client's credential: text, `None`, or a callable.
        budget: what retries may cost.
        secrets: the client's.
    """

    def __init__(self, shared: Shared, key: Any, budget: RetryBudget | None, secrets: Secrets) -> None:
        self._shared, self._key, self._budget, self._secrets = shared, key, budget, secrets
        self._usual: tuple[tuple[str, ...], Route] | None = None

    def find(
        self,
        form: Form,
        request: Request,
        gate: tuple[str, ...],
        headers: Mapping[str, str | None],
        secrets: Sequence[str],
        now: float,
    ) -> Route:
        """The route of a call.

        Args:
            form: the wire form at its address.
            request: what is sent, without the client's credential.
            gate: which of the gates behind one credential: model, tier and the like.
            headers: the call's own, which may hold a credential.
            secrets: the other credentials of the call.
            now: the monotonic time.
        """
        is_usual = not (headers or secrets or callable(self._key))
        usual = self._usual
        if is_usual and usual is not None and usual[0] == gate and usual[1].form is form:
            return usual[1]
        hidden, sent = self._secrets, request.headers
        if not is_usual:
            hidden, sent = hidden.also([*in_headers(headers), *secrets]), merged(sent, headers)
        host, key, shared = form.target.host, self._key, self._shared
        # A callable is itself the credential: a token that it renews is no new one. Headers and query may hold one too.
        lane = (host, ByIdentity(key) if callable(key) else key, *map(sent.get, CREDENTIALS), *secrets)
        route = Route(
            form=form,
            host=host,
            key=key,
            headers=headers,
            gate=shared.gate((*lane, *gate), now),
            bucket=shared.bucket(lane, self._budget, now),
            secrets=hidden,
        )
        if is_usual:
            self._usual = gate, route
        return route
