"""The state of a fake server: requests, counters, script, held replies; it uses no socket."""

import threading
from collections import deque
from collections.abc import Callable, Generator
from itertools import count

from llmnet.testing.reply_steps import Step, steps
from llmnet.testing.script import Moment, Received, Reply
from llmnet.testing.unscripted import default_reply
from llmnet.testing.wire_forms import render


class FakeServerState:
    """What the connections of a server share.

    `accept`, `before_request`, `answer`, `hold` and `resume_held` are called in the server's loop only; all else may be
    called from any thread. The lock of `_arrived` guards counters, requests and script; only the loop uses `_held`.

    Attributes:
        requests: all requests received, in order.
        request_count: the number of requests received.
        connections: the number of TCP connections accepted so far.
        active: requests being answered now, each until its last byte is written or its client has left.
        peak: the largest value of `active`.
        handler: called for a reply when the script is empty; None leaves it to the request. Runs in the server's loop.
        releases: how often the held replies were released.
    """

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.request_count = 0
        self.connections = 0
        self.active = 0
        self.peak = 0
        self.handler: Callable[[Received], Reply | int | str | None] | None = None
        self.releases = 0
        self._numbers = count(1)
        self._script: deque[Reply] = deque()
        self._arrived = threading.Condition()
        self._held: list[Callable[[], None]] = []

    def script(self, *replies: Reply | int | str) -> None:
        """Add replies, one for each future request; a number stands for a status, a string for a text.

        They are sent in order: one whose moment (`Reply.at`) has not come delays those after it.
        """
        made = [Reply.of(reply) for reply in replies]
        with self._arrived:
            self._script.extend(made)

    def reset(self) -> None:
        """Clear requests, counters and script; replies in progress continue."""
        with self._arrived:
            self.requests.clear()
            self._script.clear()
            self.request_count, self.connections, self.peak = 0, 0, self.active

    def wait_for_requests(self, n: int, timeout: float = 10) -> None:
        """Block until *n* requests have been received; in the thread of the server's loop use `asyncio.to_thread`.

        Raises:
            TimeoutError: they were not received in time.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self.request_count >= n, timeout):
                raise TimeoutError(f"{self.request_count} of {n} requests after {timeout} s")

    def accept(self) -> int:
        """Count a connection and give its number, which no other one has."""
        with self._arrived:
            self.connections += 1
        return next(self._numbers)

    def before_request(self, moment: Moment) -> Generator[Step, None, None]:
        """Give the steps scripted for a connection without a request; there may be none."""
        if (reply := self._due(moment)) is not None:
            last = yield from steps(reply)
            yield from last

    def answer(self, request: Received) -> Generator[Step, None, None]:
        """Record the request and give the steps of its reply; it is active until the last ones, or until closed."""
        self._count(1)
        try:
            with self._arrived:
                self.requests.append(request)
                self.request_count = number = self.request_count + 1
                self._arrived.notify_all()
            reply = self._choose(request)
            content, head = render(reply, request, number), request.method == "HEAD"
            last = yield from steps(reply, content, last=request.last, head=head)
        finally:
            self._count(-1)
        yield from last  # after the count: whoever has read the complete reply finds its request no longer active

    def _count(self, n: int) -> None:
        """Count *n* more requests as being answered."""
        with self._arrived:
            self.active += n
            self.peak = max(self.peak, self.active)

    def hold(self, resume: Callable[[], None], since: int) -> bool:
        """Keep a reply until the next release; False if there were more than *since* releases already."""
        if since == self.releases:
            self._held.append(resume)
        return since == self.releases

    def resume_held(self) -> None:
        """Continue all held replies, also those that have not yet reached their hold."""
        self.releases += 1
        held, self._held = self._held, []
        for resume in held:
            resume()

    def _choose(self, request: Received) -> Reply:
        if (reply := self._due("request")) is not None:
            return reply
        chosen = self.handler(request) if self.handler else None
        return default_reply(request) if chosen is None else Reply.of(chosen)

    def _due(self, moment: Moment) -> Reply | None:
        with self._arrived:
            return self._script.popleft() if self._script and self._script[0].at == moment else None
