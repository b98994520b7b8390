"""Ctrl-C, a signal handler or the garbage collector come between any two steps: nothing is lost, nobody waits for ever."""

import collections
import contextlib
import gc
import itertools
import queue as stdlib_queue
import sys
import threading

import pytest
import urllib3
from support.events_heard import Heard
from support.inside import connections_of, join, queue_of
from support.interrupts import Trace, interrupt, interrupted, interruptible
from support.live import WORDS, Work, at, content, eventually, slots

import llmnet
from llmnet.batch import progress, threads
from llmnet.client import aio_driver, shared, sync_driver
from llmnet.client import sync_stream as stream_module
from llmnet.core import call, interrupts, stop
from llmnet.core.admission import admission, gate, lanes, queue
from llmnet.core.admission.queue import FairQueue, Ticket
from llmnet.net import dns
from llmnet.telemetry import stats
from llmnet.testing import Reply
from llmnet.transports.aio import reply as aio_reply
from llmnet.transports.sync import connection, pool, reader, transport, wait
from llmnet.transports.sync import reply as sync_reply

pytestmark = pytest.mark.threads


# -- the queue ----------------------------------------------------------------------------------------------------------


class Waiter:
    def __init__(self, queue):
        self.woken = 0
        self.ticket = join(queue, self.wake)

    def wake(self):
        self.woken += 1


def busy(line):
    """Leave something in a queue that is still to be worked off, so that nobody goes past its turn."""
    line._noted.append((Ticket(), False))  # private: the long way is taken where anything is noted
    return line


def test_no_ctrl_c_loses_the_slot_of_who_leaves_nor_forgets_to_wake_its_heir():
    for n in itertools.count(1):
        line = FairQueue(1)
        holder, heir, other = (Waiter(line) for _ in range(3))
        with interrupted(n, queue, interrupts) as trace:
            line.leave(holder.ticket)
        assert heir.ticket.granted == bool(heir.woken), f"step {n}: the slot is its own, and it was not told"
        line.leave(holder.ticket)  # as its owner's finalizer does
        assert (heir.ticket.granted, bool(heir.woken)) == (True, True), f"step {n}"
        assert (other.ticket.granted, other.woken, line.active, line.waiting) == (False, 0, 1, 1), f"step {n}"
        line.leave(heir.ticket)
        assert (other.ticket.granted, bool(other.woken)) == (True, True), f"step {n}"
        if not trace.done:
            assert n > 30
            return


@pytest.mark.parametrize("taken", [0, 1])
def test_no_ctrl_c_keeps_the_slot_of_who_joins(taken):
    for n in itertools.count(1):
        line = FairQueue(1)
        holders = [Waiter(line) for _ in range(taken)]
        ticket = Ticket()
        with interrupted(n, queue, interrupts) as trace:
            line.join(ticket)
        line.leave(ticket)
        late = Waiter(line)
        for holder in holders:
            line.leave(holder.ticket)
        assert late.ticket.granted, f"step {n}"
        assert (line.active, line.waiting) == (1, 0)
        if not trace.done:
            assert n > (20 if taken else 5)
            return


def test_no_ctrl_c_loses_the_slot_of_who_leaves_alone_nor_forgets_who_comes_just_then():
    class Holders(set):
        def discard(self, ticket):
            if ticket is holder.ticket and not others:  # another thread comes by, and finds the slot taken
                Work(lambda: others.append(join(line, lambda: woken.append(1)))).result()
                assert not others[0].granted
            super().discard(ticket)

    for n in itertools.count(1):
        line, others, woken = FairQueue(1), [], []
        holder = Waiter(line)
        line._holders = Holders(line._holders)  # private: whether it has a slot
        with interrupted(n, queue, interrupts) as trace:
            line.leave(holder.ticket)
        line.leave(holder.ticket)  # as its owner's finalizer does
        assert (others[0].granted, bool(woken), line.active, line.waiting) == (True, True, 1, 0), trace.at
        if not trace.done:
            assert n > 20
            return


def test_what_others_have_noted_is_worked_off_by_who_was_interrupted():
    """They have seen that somebody is at it, and gone."""

    class Noted(collections.deque):
        def popleft(self):
            if not others:  # another thread comes by, in the midst of the work
                Work(lambda: others.append(join(line, lambda: woken.append(1)))).result()
            return super().popleft()

    for n in itertools.count(1):
        line, others, woken = FairQueue(1), [], []
        holder = Waiter(line)
        line._noted = Noted()  # private: another thread comes by as it is read
        busy(line)
        with interrupted(n, queue, interrupts) as trace:
            line.leave(holder.ticket)
        line.leave(holder.ticket)
        assert (others[0].granted, bool(woken), line.active) == (True, True, 1), trace.at
        if not trace.done:
            return


def test_a_queue_that_was_left_in_the_midst_is_taken_up_by_who_waits(server, monkeypatch):
    """The worst of cases: the one who was at it is gone, with all that it had to do."""
    monkeypatch.setattr(wait, "SLICE", 0.02)
    with llmnet.Client(**at(server, max_concurrent=1)) as client:
        line = queue_of(client)
        holder = join(line)
        work = Work(client.chat, "hi")
        eventually(lambda: line.waiting == 1)
        line._noted.append((holder, False))  # private: noted, and not worked off
        assert work.result().content == "hi"


def came_in(line, stays):
    """What a signal handler does that sends something on a thread that is in the queue already."""
    ticket = Ticket()
    line.join(ticket)
    if not stays:
        line.leave(ticket)
    return ticket


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("stays", [False, True])
def test_who_comes_in_on_a_thread_that_is_in_here_is_served_there_and_then(stays, alone):
    """Whom it interrupts goes on only after it: waiting for that one, it would wait until its bound."""
    for n in itertools.count(1):
        line, within = FairQueue(2) if alone else busy(FairQueue(2)), []
        joining = Ticket()
        with Trace(
            (queue, interrupts), lambda within=within, line=line: within.append(came_in(line, stays)), n
        ) as trace:
            line.join(joining)
        assert joining.granted, trace.at
        assert all(ticket.granted for ticket in within), trace.at
        assert (line.active, line.waiting) == (1 + (stays and trace.done), 0), trace.at
        if not trace.done:
            assert n > (5 if alone else 20)
            return


@pytest.mark.parametrize("stays", [False, True])
def test_who_comes_in_takes_no_more_than_there_is_and_nothing_of_who_waits(stays):
    for n in itertools.count(1):
        line, within = FairQueue(2), []
        leaving, holder, heir = (Waiter(line) for _ in range(3))
        with Trace(
            (queue, interrupts), lambda within=within, line=line: within.append(came_in(line, stays)), n
        ) as trace:
            line.leave(leaving.ticket)
        granted = [ticket for ticket in (holder.ticket, heir.ticket, *within * stays) if ticket.granted]
        assert (line.active, len(granted)) == (2, 2), trace.at
        for ticket in within:
            line.leave(ticket)
        assert (heir.ticket.granted, bool(heir.woken)) == (True, True), trace.at
        assert (line.active, line.waiting) == (2, 0), trace.at
        if not trace.done:
            assert n > 30
            return


# -- whole calls ----------------------------------------------------------------------------------------------------------


MODULES = (queue, interrupts, wait, transport, sync_reply, stream_module, sync_driver, admission, stop)


def consume(client, how):
    if how == "chat":
        client.chat("hi")
    else:
        with client.stream_chat("hi") as stream:
            list(stream)


@pytest.mark.parametrize("how", ["chat", "stream"])
def test_whoever_waits_goes_on_when_a_call_is_interrupted(server, how):
    """Not only when its bound expires, and before the error with all its frames is gone."""
    with llmnet.Client(**at(server, max_concurrent=1)) as client, interruptible():
        line = queue_of(client)
        for n in itertools.count(1, 3):
            heir = Ticket()

            def interrupt_late(heir=heir):
                if not (heir.granted or line.waiting):
                    line.join(heir)
                raise KeyboardInterrupt

            try:
                with Trace(MODULES, interrupt_late, n) as trace:
                    consume(client, how)
            except KeyboardInterrupt:
                # A stream that is interrupted as it closes is held by the frames of the error.
                assert line.active == heir.granted or how == "stream", trace.at
            line.leave(heir)
            assert (line.active, line.waiting) == (0, 0), trace.at
            if not trace.done:
                assert n > 100
                return


def test_a_thread_that_takes_a_chunk_from_another_ends_nothing_for_that_one(server):
    """Between any two steps of the one that reads: it gets the next chunk, and no end that is none."""

    def taken():
        with contextlib.suppress(llmnet.StreamError):  # "another one reads the stream just now"
            return next(stream, None)

    for n in itertools.count(1):
        server.script(Reply(text=WORDS))
        with llmnet.Client(**at(server)) as client:
            stream, others = client.stream_chat("hi"), []
            mine = [next(stream)]
            with Trace((stream_module,), lambda others=others: others.append(Work(taken).result()), n) as trace:
                mine += stream
            said = [chunk.content for chunk in (*mine, *others) if chunk is not None]
            assert sorted("".join(said)) == sorted(WORDS), trace.at
            assert stream.response.content == WORDS
        if not trace.done:
            assert n > 50
            return


@pytest.mark.parametrize("end", [list, llmnet.ChatStream.close], ids=["read", "closed"])
def test_a_stream_that_another_thread_ends_is_not_sent_again(server, end):
    """Between any two steps of the one that reads: also where it is just about to take the turn."""

    def ended():
        with contextlib.suppress(llmnet.StreamError):  # "another one reads the stream just now"
            end(stream)

    for n in itertools.count(1):
        server.script(Reply(text="one two"))
        with llmnet.Client(**at(server)) as client:
            stream = client.stream_chat("hi")
            next(stream)
            with (
                Trace((stream_module, interrupts), lambda: Work(ended).result(), n) as trace,
                contextlib.suppress(llmnet.StreamError),
            ):
                list(stream)
            assert (client.request_count, slots(client)) == (1, 0), trace.at
        if not trace.done:
            assert n > 30
            return


def test_a_close_from_another_thread_is_no_end_of_the_stream(server):
    """Between any two steps of the one that reads: it gets all, or it hears that the stream is closed."""
    with llmnet.Client(**at(server)) as client:
        for n in itertools.count(1):
            server.script(Reply(text="one two"))
            stream, refused = client.stream_chat("hi"), []
            chunks = [next(stream)]
            with Trace((stream_module,), lambda stream=stream: Work(stream.close).result(), n) as trace:
                try:
                    chunks += stream
                except llmnet.StreamError as error:
                    refused.append(error)
            assert content(chunks) == "one two" or "the stream is closed" in str(refused), trace.at
            assert slots(client) == 0, trace.at
            if not trace.done:
                assert n > 30
                return


MAKING = {
    "chat": (sync_driver, transport, pool, connection, reader, sync_reply),
    "stream": (stream_module, sync_driver, transport, sync_reply),
    "batch": (threads, interrupts),
}


def asked(client, how):
    if how == "batch":
        with client.batch(["hi"]) as results:
            list(results)
    else:
        consume(client, how)


@pytest.mark.parametrize("how", MAKING)
def test_a_ctrl_c_is_what_the_caller_sees_whatever_was_being_made(server, how):
    """Nothing that is half made is in the way of it, nor of the collector."""
    trace, done = Trace(MAKING[how], interrupt), False
    with interruptible():
        while not done:
            with llmnet.Client(**at(server)) as client, contextlib.suppress(KeyboardInterrupt), trace:
                asked(client, how)
            done = not trace.done
            eventually(lambda: slots(client) == 0)
    assert len(trace.seen) > {"batch": 30}.get(how, 80)


LOCKED = (shared, gate, lanes, stats, dns, queue, stdlib_queue, urllib3._collections)


def test_a_signal_handler_may_close_the_client_inside_any_lock(server):
    """Also where the thread that it interrupts holds a lock of ours, or of a library's."""
    ends, done = set(), False
    trace = Trace(LOCKED, lambda: client.close())  # noqa: PLW0108 - each time another one
    while not done:
        with llmnet.Client(**at(server, base_url=f"http://localhost:{server.port}/v1")) as client:
            with trace:
                try:
                    client.chat("hi")
                except llmnet.LLMNetError as error:
                    ends.add(type(error))
            done = not trace.done
            assert slots(client) == 0
    assert len(trace.seen) > 50
    assert {llmnet.APIConnectionError, llmnet.ConfigurationError} <= ends
    eventually(lambda: not connections_of(server))


@pytest.mark.parametrize("alone", [False, True])
def test_a_signal_handler_may_send_something_inside_the_queue(server, alone):
    """Also on the very thread that has the turn there."""
    said, done = [], False
    trace = Trace((queue, interrupts), lambda: said.append(client.chat("hi", timeout=2).content))
    with llmnet.Client(**at(server, max_concurrent=2)) as client:
        while not done:
            if not alone:
                busy(client._common.queue)  # private: that nobody is before a call is not to be seen from outside
            with trace:
                said.append(client.chat("hi").content)
            done = not trace.done
        assert slots(client) == 0
    assert set(said) == {"hi"}
    assert len(trace.seen) > (15 if alone else 30)


# -- finalizers ------------------------------------------------------------------------------------------------


DROPPED = (queue, interrupts, sync_driver, aio_driver, sync_reply, aio_reply, reader, call, admission, stop)


def test_a_finalizer_that_a_ctrl_c_ends_gives_back_what_it_has(front, server, monkeypatch):
    """Python swallows what is raised there: nobody else would ever do it."""
    unheard = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unheard.append(args.exc_type))
    with interruptible():
        for n in itertools.count(1):
            server.script(Reply(text=WORDS, hold="body"))
            with front.client(**at(server, max_concurrent=1)) as client:
                kept = [client.stream_chat("hi")]
                next(kept[0])
                with Trace(DROPPED, interrupt, n, finalizers=True) as trace:
                    kept.clear()
                assert (slots(client), client.stats.calls) == (0, 1), trace.at
            eventually(lambda: not connections_of(server))
            if not trace.done:
                break
    assert set(unheard) == {KeyboardInterrupt}
    assert n > 30


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # the collector may come to the socket first
@pytest.mark.parametrize("how", ["dropped", "collected"])
def test_a_finalizer_runs_no_hook_inside_a_lock_of_the_caller(front, server, how):
    lock, heard, threads = threading.Lock(), Heard(), []

    def hook(event):
        with lock:
            heard(event)
            threads.append(threading.current_thread())

    def inside():
        with lock:
            kept.clear()
            gc.collect()
            return client.stats.calls, threads[-1]

    server.script(Reply(text=WORDS, hold="body"), "next")
    with front.client(**at(server, on_event=hook, max_concurrent=1)) as client:
        kept = [client.stream_chat("hi")]
        next(kept[0])
        if how == "collected":
            raw = getattr(kept[0], "_stream", kept[0])
            raw.ring = raw
            del raw
        before = threads[-1]
        assert Work(inside).result() == (1, before)
        eventually(lambda: type(heard[-1]) is llmnet.CallFinished)
        (ended,) = heard.ended()
        assert ended.outcome == "closed"
        assert client.chat("hi").content == "next"


def test_a_finalizer_runs_no_progress_inside_a_lock_of_the_caller(monkeypatch):
    monkeypatch.setattr(progress, "_LAST_DRAWING", 0.05)  # private: so long the last drawing is waited for
    lock, told = threading.Lock(), []

    def show(figures):
        with lock:
            told.append(figures)

    with llmnet.Client("fake:m") as client:
        results = client.batch(["a"] * 4, progress=show)
        next(results)

        def inside():
            nonlocal results
            with lock:
                results = None

        Work(inside).result()
        eventually(lambda: told[-1].over)
    assert [figures.over for figures in told].count(True) == 1
