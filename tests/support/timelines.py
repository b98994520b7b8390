"""What happens when a server fails, second by second: the async client and `FakeServer` in one loop, whose time is virtual.

Bytes go over real sockets. Time passes only where nothing more arrives by itself, and then jumps to the next timer; chance
is seeded. So each timeline is the same every time, whatever waits it tells of, and takes a few milliseconds.
"""

import asyncio
import dataclasses
import errno
import random
import selectors
import textwrap
from collections.abc import Awaitable, Callable
from typing import Any

from support.inside import common_of, replace_parts

import llmnet
from llmnet.testing import FakeServer, Reply, fault

GRACE = 0.003  # seconds within which the kernel brings what was sent over loopback
EPOCH = 1_700_000_000.0
WORDS = "one two three four five six "
ERRNOS = tuple((f"[Errno {number}] ", "") for number in (errno.ECONNREFUSED, errno.ECONNRESET))  # one for each system


class _Selector(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout == 0 else GRACE)
        if not ready and timeout:
            self.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


class Stage:
    """Where a timeline is played: a server, a client of it, and what is written down."""

    def __init__(self) -> None:
        self.clock = asyncio.get_running_loop().time
        self.server = FakeServer()
        self.lines: list[str] = []
        self.started = 0.0

    def client(self, **fields: Any) -> llmnet.AsyncClient:
        usual = {"provider": "fake", "base_url": self.server.url + "/v1", "model": "m", "on_event": self.hear}
        client = llmnet.AsyncClient(**{**usual, **fields})
        replace_parts(client, clock=self.clock, wall=lambda: EPOCH + self.clock())
        common_of(client).rng = random.Random(0)
        return client

    def tell(self, text: str) -> None:
        for found, instead in (("127.0.0.1", "model.test"), (str(self.server.port), "443"), *ERRNOS):
            text = text.replace(found, instead)
        shown = textwrap.wrap(text, 76)
        self.lines.append(f"{self.clock() - self.started:5.1f} s  {shown[0]}")
        self.lines += [f"{'':9}{line}" for line in shown[1:]]

    def hear(self, event: llmnet.CallEvent) -> None:
        match event:
            case llmnet.AttemptStarted():
                self.tell(f"attempt {event.number}")
            case llmnet.AttemptFailed():
                self.tell(f"attempt {event.number} failed: {event.attempt.cause}; {_then(event)}")
            case llmnet.FirstToken():
                self.tell("the first chunk is handed out")
            case llmnet.CallFinished(outcome="ok"):
                self.tell("the reply is complete")

    async def ask(self, client: llmnet.AsyncClient, **params: Any) -> None:
        """One call, and what the caller gets."""
        self.started = self.clock()
        try:
            reply = await client.chat("Hi", **params)
        except llmnet.LLMNetError as error:
            self.raised(error)
        else:
            self.tell(f"the caller gets {reply.content!r}")

    async def listen(self, client: llmnet.AsyncClient, **params: Any) -> None:
        """One stream, and what its reader gets."""
        self.started, chunks = self.clock(), 0
        try:
            async for _ in client.stream_chat("Hi", **params):
                chunks += 1
        except llmnet.LLMNetError as error:
            self.raised(error)
        else:
            self.tell(f"the reader has had {chunks} chunks, and the loop ends")

    def raised(self, error: llmnet.LLMNetError) -> None:
        self.tell(f"the caller gets {type(error).__name__}: {error}")
        partial = error.partial.content if error.partial is not None else None
        facts = [f"retry_after = {error.retry_after:g}"] if getattr(error, "retry_after", None) else []
        facts += [f"maybe_billed = {error.maybe_billed}"]
        facts += [f"partial.content = {textwrap.shorten(partial, 40, placeholder=' …')!r}"] if partial else []
        self.lines.append(f"{'':9}.{', .'.join(facts)}")


def _then(event: llmnet.AttemptFailed) -> str:
    if not event.retried:
        return f"no further attempt ({event.reason})"
    if event.attempt.transparent:
        return f"sent again at once ({event.reason})"
    return f"again in {event.attempt.wait:.1f} s ({event.reason})"


Act = Callable[[Stage, llmnet.AsyncClient], Awaitable[None]]


@dataclasses.dataclass(frozen=True)
class Play:
    """A failure: what the server answers, in order, and what the caller does; fields of its client."""

    heading: str
    script: tuple[Reply | int | str, ...] = ()
    act: Act = Stage.ask
    fields: Callable[[], dict[str, Any]] = dict


async def _played(play: Play) -> list[str]:
    stage = Stage()
    async with stage.server, stage.client(**play.fields()) as client:
        stage.server.script(*play.script)
        await play.act(stage, client)
    return stage.lines


def played(play: Play) -> str:
    """The timeline of a failure, as text."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return "\n".join(runner.run(_played(play)))


# -- the failures -------------------------------------------------------------------------------------------------------


async def _refused(stage: Stage, client: llmnet.AsyncClient) -> None:
    await stage.server.__aexit__()
    await stage.ask(client)
    await stage.server.__aenter__()


async def _restart(stage: Stage, client: llmnet.AsyncClient) -> None:
    """The connection of a first call dies with the server, which is back two seconds after the next call."""
    await client.chat("first")
    stage.lines.clear()
    await stage.server.__aexit__()
    later = asyncio.get_running_loop().create_task(_back(stage))
    await stage.ask(client)
    await later


async def _back(stage: Stage) -> None:
    await asyncio.sleep(1)
    await stage.server.__aenter__()
    stage.tell("the server is back")


async def _stale(stage: Stage, client: llmnet.AsyncClient) -> None:
    await client.chat("first")
    stage.lines.clear()
    await stage.ask(client)


def _keys() -> dict[str, Any]:
    keys = iter(["sk-old", "sk-new"])

    async def read_key() -> str:
        return next(keys)

    return {"api_key": read_key}


PLAYS = [
    Play("A server error", (503, 500, "Hello!")),
    Play("A server that stays down", (500,) * 4),
    Play("Nobody listens at the address", act=_refused),
    Play("A rate limit with Retry-After", (fault("429-seconds"), "Hello!")),
    Play("A rate limit without Retry-After", (429, 429, "Hello!")),
    Play("A Retry-After beyond max_retry_after", (Reply(status=429, headers={"retry-after": "3600"}),)),
    Play("The quota is spent", (fault("429-quota"),)),
    Play("A key that has expired, from a callable", (401, "Hello!"), fields=_keys),
    Play("A key that is wrong", (401,), fields=lambda: {"api_key": "sk-wrong"}),
    Play("A slow first token", (Reply(text=WORDS, delay=200.0),), act=Stage.listen),
    Play("No answer at all", (fault("silent"), fault("silent"))),
    Play("No answer, and timeout=30", (fault("silent"),), fields=lambda: {"timeout": 30}),
    Play("A stream that drips", (Reply(text=WORDS, pace=20.0),), act=Stage.listen),
    Play("A stream that drips for too long", (Reply(text=WORDS * 10, pace=20.0),), act=Stage.listen),
    Play("A stream that goes silent", (fault("stream-stall"),), act=Stage.listen),
    Play("A stream that is cut", (fault("stream-reset"),), act=Stage.listen),
    Play("A stream that is cut before its first chunk", (fault("stream-reset-first"), WORDS), act=Stage.listen),
    Play("An error in the midst of a stream", (fault("stream-error"),), act=Stage.listen),
    Play("HTML where JSON was promised", (fault("html-in-200"),)),
    Play("A reply that is cut", (fault("short-body"), "Hello!")),
    Play("A kept connection that has died", ("first", Reply(drop=True), "Hello!"), act=_stale),
    Play("The server restarts", ("first", "Hello!"), act=_restart),
]
