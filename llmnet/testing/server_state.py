"""What the server has seen and what it will say: requests, counters, script, held replies; it knows no socket."""

import threading
from collections import deque
from collections.abc import Callable, Generator
from itertools import count

from llmnet.testing.dialects import render
from llmnet.testing.reply_steps import Step, greeting, steps
from llmnet.testing.script import Moment, Received, Reply
from llmnet.testing.unscripted import unscripted


class Desk:
    """The server behind its connections.

    `accept`, `greet`, `answer`, `hold` and `let_go` are for the server's loop; all else may be called from any thread.
    The lock of `_arrived` guards the counters, the requests and the script; what is held is the loop's alone.

    Attributes:
        requests: all requests received, in order.
        request_count: how many they were.
        connections: how many TCP connections were accepted so far.
        active: how many requests are being answered now; one is until its last byte is written or its client has left.
        peak: the most of them at once.
        handler: asked for a reply when the script is empty; None leaves it to the request. Runs in the server's loop.
        releases: how often the held replies were let go.
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
        """Add replies, one for each request to come; a number stands for a status, a string for a text.

        They are played in their order: one whose moment (`Reply.at`) has not come holds up those behind it.
        """
        made = [Reply.of(reply) for reply in replies]
        with self._arrived:
            self._script.extend(made)

    def reset(self) -> None:
        """Forget requests, counters and script; replies under way go on."""
        with self._arrived:
            self.requests.clear()
            self._script.clear()
            self.request_count, self.connections, self.peak = 0, 0, self.active

    def wait_for_requests(self, n: int, timeout: float = 10) -> None:
        """Block until *n* requests have been received; in the thread of the server's loop use `asyncio.to_thread`.

        Raises:
            TimeoutError: they have not come in time.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self.request_count >= n, timeout):
                raise TimeoutError(f"{self.request_count} of {n} requests after {timeout} s")

    def accept(self) -> int:
        """Count a connection and give its number, which is never given again."""
        with self._arrived:
            self.connections += 1
        return next(self._numbers)

    def greet(self, moment: Moment) -> Generator[Step, None, None]:
        """Give the steps that are scripted for a connection without a request; there may be none."""
        if (reply := self._due(moment)) is not None:
            last = yield from greeting(reply)
            yield from last

    def answer(self, request: Received) -> Generator[Step, None, None]:
        """Note the request and give the steps of its reply; it is active until the last of them, or until closed."""
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
        yield from last  # after the count: whoever has read the whole reply finds its request gone

    def _count(self, n: int) -> None:
        """So many more requests are being answered."""
        with self._arrived:
            self.active += n
            self.peak = max(self.peak, self.active)

    def hold(self, go_on: Callable[[], None], since: int) -> bool:
        """Keep a reply until the next release; False if one came *since* its request did."""
        if since == self.releases:
            self._held.append(go_on)
        return since == self.releases

    def let_go(self) -> None:
        """Let all held replies go on, and those that are not yet where they would wait."""
        self.releases += 1
        held, self._held = self._held, []
        for go_on in held:
            go_on()

    def _choose(self, request: Received) -> Reply:
        if (reply := self._due("request")) is not None:
            return reply
        wanted = self.handler(request) if self.handler else None
        return unscripted(request) if wanted is None else Reply.of(wanted)

    def _due(self, moment: Moment) -> Reply | None:
        with self._arrived:
            return self._script.popleft() if self._script and self._script[0].at == moment else None
