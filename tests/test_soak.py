"""Thousands of calls, of which a few go wrong: each ends as its number says, none is counted wrong, nothing is left."""

import asyncio
import collections
import contextlib
import dataclasses
import gc
import itertools
import os
import random
import re
import time
from collections.abc import Mapping, Sequence

import pytest
from support.inside import queue_of
from support.live import Work, at, no_leak, open_files, slots
from support.wire_forms import FORMS

import llmnet
from llmnet.testing import Reply

SHARE = 0.05
POLICY = llmnet.RetryPolicy(base_delay=0.001, max_delay=0.01, budget=None)
OK = Reply()
SPENT = {"code": "insufficient_quota", "type": "insufficient_quota", "message": "no money"}
GONE = {"code": "server_error", "type": "server_error", "message": "gone"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fate:
    """What becomes of a call.

    Attributes:
        replies: to its attempts; the last one to all further ones.
        attempts: how many there may be.
        ends: the error; `None`: the complete text.
        ways: plain (False), streamed (True) or both.
        busy: a throttle, which holds up all who ask for that model.
        short: it must run into a bound, and has short ones.
    """

    replies: Sequence[Reply | int] = (OK,)
    attempts: Sequence[int] = (2,)
    ends: type | None = None
    ways: Sequence[bool] = (False, True)
    busy: bool = False
    short: bool = False


FATES: Mapping[str, Fate] = {
    "fine": Fate(attempts=[1]),
    "500": Fate(replies=[500, OK]),
    "502, 503": Fate(replies=[502, 503, OK], attempts=[3]),
    "500 for ever": Fate(replies=[500], attempts=[4], ends=llmnet.ServerError),
    "400": Fate(replies=[400], attempts=[1], ends=llmnet.BadRequestError),
    "401": Fate(replies=[401], attempts=[1], ends=llmnet.AuthenticationError),
    "no money": Fate(replies=[Reply(status=429, error=SPENT)], attempts=[1], ends=llmnet.QuotaExceededError),
    "429": Fate(replies=[Reply(status=429, headers={"retry-after-ms": "5"}), OK], busy=True),
    "529": Fate(replies=[529, OK], busy=True),
    "reset before a byte": Fate(replies=[Reply(drop=True, reset=True), OK]),
    "closed in the head": Fate(replies=[Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-"), OK]),
    "no HTTP": Fate(replies=[Reply(raw=b"\0\1\2\3 what is this?\r\n\r\n"), OK]),
    "HTML": Fate(
        replies=[Reply(headers={"content-type": "text/html"}, body="<p>Log in")],
        attempts=[1],
        ends=llmnet.InvalidResponseError,
    ),
    "cut": Fate(replies=[Reply(cut=40), OK], ways=[False]),
    "reset in the body": Fate(replies=[Reply(cut=40, reset=True), OK], ways=[False]),
    "cut before an event": Fate(replies=[Reply(cut=3), OK], ways=[True]),
    "truncated": Fate(
        replies=[Reply(truncate=True)], attempts=[1], ends=llmnet.IncompleteStreamError, ways=[True]
    ),
    "error event": Fate(replies=[Reply(error_event=GONE)], attempts=[1], ends=llmnet.ServerError, ways=[True]),
    "error event first": Fate(replies=[Reply(error_event=GONE, error_event_at=0), OK], ways=[True]),
    "silent": Fate(replies=[Reply(silent=True), OK], attempts=[2, 3, 4], short=True),
    "stalls in a body": Fate(replies=[Reply(stall=40), OK], attempts=[2, 3, 4], ways=[False], short=True),
    "stalls in a stream": Fate(
        replies=[Reply(hold="body")], attempts=[1], ends=llmnet.APITimeoutError, ways=[True], short=True
    ),
}  # fmt: skip


@dataclasses.dataclass
class Question:
    """One call: its fate is known before it is made."""

    number: int
    form: str
    streamed: bool
    name: str
    busy: bool

    @property
    def fate(self):
        return FATES[self.name]

    @property
    def text(self):
        return f"call {self.number}: one two three four five six seven"

    def params(self, seconds):
        short = llmnet.Timeout(response=seconds, idle=seconds) if self.fate.short else None
        return {"model": "busy" if self.busy else "m", "timeout": short}


def questions(count, seed):
    """So many calls; every fault comes to some of them, and a few whose fate is fine share the throttled model."""
    dice = random.Random(seed)
    faults = itertools.cycle((name, way) for name, fate in FATES.items() for way in fate.ways if name != "fine")
    for number in range(count):
        name, way = next(faults) if dice.random() < SHARE else ("fine", dice.random() < 0.5)
        yield Question(number, dice.choice(FORMS), way, name, FATES[name].busy or number % 100 == 7)


class Soak:
    """All calls of a run: what the server says to them, and what has come of them.

    Args:
        server: who is asked.
        count: how many calls.
        short: seconds of the bounds of those that must run into one.
    """

    def __init__(self, server, count, short):
        self.questions, self.short = list(questions(count, seed=count)), short
        self._server = server
        self.tries, self.ended, self.requests = collections.Counter(), [], 0

    def answer(self, request):
        """The handler of the server, in its one thread."""
        self._server.requests.clear()  # what the server remembers is no growth of the client's
        number = int(re.search(rb"call (\d+)", request.body)[1])
        replies = self.questions[number].fate.replies
        self.tries[number] += 1
        self.requests += 1
        return replies[min(self.tries[number], len(replies)) - 1]

    def end(self, question, text, error, meta):
        """Note how a call has ended, and whether it was to end so."""
        fate = question.fate
        complete = error is None and text == question.text
        part = error is not None and question.text.startswith(error.partial.content if error.partial else "")
        right = (
            (type(error) if error else None) is fate.ends
            and (complete or part)
            and len(meta.attempts) in fate.attempts
            and len(meta.attempts) == self.tries[question.number]
        )
        sent = sum(attempt.sent for attempt in meta.attempts)
        self.ended.append((sent, len(meta.attempts), None if right else (question, text, error, meta.attempts)))

    def check(self, client):
        """Every call has ended, as it was to; and all who count requests have counted the same."""
        wrong = [complaint for _, _, complaint in self.ended if complaint]
        assert wrong[:3] == []
        assert len(self.ended) == len(self.questions)
        sent, attempts = sum(sent for sent, _, _ in self.ended), sum(attempts for _, attempts, _ in self.ended)
        # What went into a connection that was dead already is no request of ours, though this server has read it.
        assert (client.request_count, self.requests) == (sent, attempts)
        assert (slots(client), queue_of(client).waiting) == (0, 0)


def children(client, server):
    """A client for each wire form, all on the same connections, queue and counters."""
    fields = {form: at(server, form) for form in FORMS}
    return {form: client.with_options(api=form, base_url=fields[form]["base_url"]) for form in FORMS}


def soak_sync(soak, server, batches, workers):
    def work(clients, waiting):
        for question in waiting:
            text = error = None
            try:
                text, meta = ask(clients[question.form], question)
            except llmnet.LLMNetError as caught:
                error, meta = caught, caught.meta
            soak.end(question, text, error, meta)

    def ask(client, question):
        if not question.streamed:
            reply = client.chat(question.text, **question.params(soak.short))
            return reply.content, reply.meta
        with client.stream_chat(question.text, **question.params(soak.short)) as stream:
            return "".join(chunk.content for chunk in stream), stream.meta

    with llmnet.Client(**at(server, retry=POLICY)) as client:
        clients = children(client, server)
        for batch in batches:
            waiting = iter(batch)
            for thread in [Work(work, clients, waiting) for _ in range(workers)]:
                thread.join()
                thread.result()
            yield client


def soak_async(soak, server, batches, workers):
    async def work(clients, waiting):
        for question in waiting:
            text = error = None
            try:
                text, meta = await ask(clients[question.form], question)
            except llmnet.LLMNetError as caught:
                error, meta = caught, caught.meta
            soak.end(question, text, error, meta)

    async def ask(client, question):
        if not question.streamed:
            reply = await client.chat(question.text, **question.params(soak.short))
            return reply.content, reply.meta
        async with client.stream_chat(question.text, **question.params(soak.short)) as stream:
            return "".join([chunk.content async for chunk in stream]), stream.meta

    async def all_of(clients, batch):
        waiting = iter(batch)
        await asyncio.gather(*(work(clients, waiting) for _ in range(workers)))

    with asyncio.Runner() as runner:
        client = llmnet.AsyncClient(**at(server, retry=POLICY))
        clients = children(client, server)
        for batch in batches:
            runner.run(all_of(clients, batch))
            yield client
        runner.run(client.aclose())


def resident():
    """Megabytes of memory that the process has in use; 0 where the system does not say."""
    gc.collect()
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as text:
        return int(text.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0


FRONTS = {"sync": soak_sync, "async": soak_async}


def soaked(front, server, count, *, workers, short, grows):
    """Run so many calls; after the first fifth of them memory and descriptors are as they stay."""
    soak = Soak(server, count, short)
    server.handler = soak.answer
    batches = [soak.questions[: count // 5], soak.questions[count // 5 :]]
    figures, started = [], time.perf_counter()
    with no_leak(server):
        for client in FRONTS[front](soak, server, batches, workers):
            figures.append((resident(), open_files()))
        seconds = time.perf_counter() - started
        server.release()
    soak.check(client)
    (megabytes, files), (after, files_after) = figures
    faults = sum(question.name != "fine" for question in soak.questions)
    print(
        f"{front}: {count} calls by {workers}, {faults} with faults, {soak.requests - count} retries, {seconds:.1f} s;"
        f" after the first fifth {after - megabytes:+.1f} MB, {files_after - files:+d} descriptors"
    )
    assert {question.name for question in soak.questions} == set(FATES) or count < 1000
    assert after - megabytes < grows
    assert files_after <= files + 2 * client.config.max_concurrent


@pytest.mark.slow
@pytest.mark.parametrize("front", FRONTS)
def test_every_call_ends_as_it_must(server, front):
    soaked(front, server, 400, workers=20, short=1.0, grows=50)


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("front", "workers"), [("sync", 50), ("async", 500)])
def test_ten_thousand_calls(server, front, workers):
    soaked(front, server, 10_000, workers=workers, short=5.0, grows=20)
