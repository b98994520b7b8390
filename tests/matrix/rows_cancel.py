"""Rows 109-112 of the fault matrix: whoever ends a call from outside, wherever it is, leaves nothing taken behind."""

import asyncio
import dis
import functools
import gc
import itertools
import signal
import sys

import pytest
from matrix.case import Row
from support.inside import common_of, queue_of
from support.interrupts import in_finalizer, interruptible
from support.live import Work, at, eventually, no_leak, slots
from support.points import (
    POINTS,
    as_task,
    backing_off,
    between_events,
    consume,
    draining,
    ended,
    inside_the_body,
    interrupted,
)

import llmnet
from llmnet.client import sync_driver
from llmnet.core import call, interrupts
from llmnet.core.admission import admission
from llmnet.testing import Reply
from llmnet.transports.sync import reply, transport, wait


def shared(client):
    """What calls share: slots taken, tokens of the budget, when the gates open."""
    gates, buckets = common_of(client)._gates, common_of(client)._buckets  # private: what a call has left there
    return slots(client), [bucket.tokens for bucket in buckets], [gate.until for gate in gates]


# -- tasks --------------------------------------------------------------------------------------------------------------


async def cancel(task, times):
    """Cancel a task so often, each time when the one before has begun to be dealt with."""
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    return task.cancelled()


def cancelled(point, how, times, front, server):
    with no_leak(server):
        with point(front, server) as at_point:
            client = at_point.client
            free, busy = slots(client), server.active
            task = front.run(as_task(consume(client._client, how, at_point.message)))
            eventually(at_point.reached)
            _, *before = shared(client)
            assert front.run(cancel(task, times))
            assert shared(client) == (free, *before)
            eventually(lambda: server.active == busy)
        assert ended(client, server)


def shielded(front, server):
    """The caller gives up, the call does not."""

    async def main(client):
        task = asyncio.create_task(client.chat("hi"))
        caller = asyncio.ensure_future(asyncio.shield(task))
        await asyncio.to_thread(server.wait_for_requests, 1)
        assert await cancel(caller, 1)
        assert slots(client) == 1
        server.release()
        assert (await task).content == "hi"

    server.script(Reply(hold=True))
    with front.client(**at(server)) as client:
        front.run(main(client._client))
        assert (slots(client), server.request_count) == (0, 1)


# -- threads ------------------------------------------------------------------------------------------------------------


def closed(point, how, front, server):
    with no_leak(server):
        with point(front, server) as at_point:
            client = at_point.client
            ask = client.chat if how == "chat" else lambda message: list(client.stream_chat(message))
            work = Work(ask, at_point.message)
            eventually(at_point.reached)
            client.close()
            with pytest.raises(llmnet.APIConnectionError, match="closed") as caught:
                work.result()
            assert (type(caught.value), caught.value.provider) == (llmnet.APIConnectionError, "fake")
            for later in (client.chat, client.stream_chat):
                with pytest.raises(llmnet.ConfigurationError, match="closed"):
                    later("hi")
        assert ended(client, server)


def signalled(point, how, number, front, server):
    with no_leak(server), interruptible():
        with point(front, server) as at_point:
            client = at_point.client
            before = slots(client)
            with interrupted(at_point, number):
                client.chat(at_point.message) if how == "chat" else list(client.stream_chat(at_point.message))
            assert slots(client) == before
            gc.collect()  # the module ssl closes no socket whose handshake was interrupted
        assert ended(client, server)


class Interrupt:
    """A trace function: a Ctrl-C after the n-th call in the modules that hand slots out and take them back.

    Between other instructions the interpreter does not look for signals.
    """

    modules = tuple(module.__file__ for module in (wait, interrupts, transport, reply, sync_driver, admission, call))

    def __init__(self, n):
        self.left, self.last = n, ""

    def __call__(self, frame, event, arg):
        # What is raised in a finalizer, or below one, is never heard of.
        if frame.f_code.co_filename in self.modules and not in_finalizer(frame):
            frame.f_trace_opcodes = True
            return self.step
        return None

    def step(self, frame, event, arg):
        if event == "opcode":
            self.left -= self.last.startswith(("CALL", "RETURN", "RESUME"))
            self.last = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if self.left == 0:
                raise KeyboardInterrupt
        return self.step


def anywhere(front, server):
    """Wherever a Ctrl-C comes between two instructions, the slot is free again, and the next call has it."""
    before = sys.gettrace()
    with front.client(**at(server, max_concurrent=1)) as client, interruptible():
        for n in itertools.count(1):
            sys.settrace(interrupt := Interrupt(n))
            try:
                client.chat("hi")
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(before)
            assert slots(client) == queue_of(client).waiting == 0
            if interrupt.left > 0:
                return


# -- the rows -----------------------------------------------------------------------------------------------------------

PLACES = [*((point, how) for point in POINTS for how in ("chat", "stream")), (between_events, "stream")]


def rows(number, fault, fronts, play, *args):
    """One row for each place."""
    for point, how in PLACES:
        words = f"{fault} {point.__name__} {how}"
        yield Row(
            number=number, phase="cancel", fault=words, fronts=fronts, play=functools.partial(play, point, how, *args)
        )


ROWS = [
    *rows(109, "task.cancel()", ("async",), cancelled, 1),
    *rows(110, "task.cancel() twice", ("async",), cancelled, 2),
    Row(
        number=110, phase="cancel", fault="task.cancel() in the cleanup", fronts=("async",),
        play=functools.partial(cancelled, draining, "stream", 1),
    ),
    Row(number=110, phase="cancel", fault="shield", fronts=("async",), play=shielded),
    *rows(111, "close()", ("sync", "async"), closed),
    Row(number=112, phase="cancel", fault="SIGINT between instructions", fronts=("sync",), play=anywhere),
    *rows(112, "SIGINT", ("sync",), signalled, signal.SIGINT),
    *(
        Row(
            number=112, phase="cancel", fault=f"SIGTERM {point.__name__}", fronts=("sync",),
            play=functools.partial(signalled, point, "chat", signal.SIGTERM),
        )
        for point in (backing_off, inside_the_body)
    ),
]  # fmt: skip
