"""A batch is stopped, interrupted or dropped at whatever moment: nothing hangs, nothing is lost or given twice."""

import contextlib
import gc
import os
import random
import signal
import sys
import threading

import pytest
from support.inside import inner
from support.live import PROMPT, Sync, Work, at, eventually, no_leak, slots

import llmnet
from llmnet.batch import state
from llmnet.core.events import CallFinished

pytestmark = pytest.mark.threads

ROOM = os.path.dirname(state.__file__)
HOUSE = os.path.dirname(ROOM)
ROWS = ["0", "1", "2", "3"]
AGAIN = llmnet.RetryPolicy(base_delay=0.001, budget=None)


class Moment:
    """Traces a thread, and does something at the n-th step that it takes within some files, on that very thread."""

    def __init__(self, n, action, *, within=ROOM, opcodes=False):
        self._left, self._action, self._within, self._opcodes = n, action, within, opcodes
        self.reached = False

    def __call__(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(self._within):
            return None
        frame.f_trace_opcodes = self._opcodes
        return self._step

    def _step(self, frame, event, arg):
        if event == ("opcode" if self._opcodes else "line"):
            self._left -= 1
            if self._left == 0:
                self.reached = True
                self._action()
        return self._step


def consume(front, moment, where, batch, results):
    """Iterate over the batch while the consumer's thread or those of the workers are traced."""

    async def awaited():
        sys.settrace(moment)
        try:
            async for result in batch:
                results.append(result)
        finally:
            sys.settrace(None)

    def plain():
        (sys if where == "consumer" else threading).settrace(moment)
        try:
            for result in batch:
                results.append(result)
        finally:
            sys.settrace(None)
            threading.settrace(None)

    Work(plain if front.name == "sync" else lambda: front.run(awaited())).result()


def attack(front, server, where, *, stride, **how):
    """Stop it at every so-manieth step; how many steps there were."""
    ended = []
    with front.client(**at(server, retry=AGAIN, on_event=ended.append)) as client:
        for n in range(1, 10**6, stride):
            ended.clear()
            server.reset()
            server.script(500)  # after which a call sleeps
            batch, results = inner(client).batch(ROWS, max_concurrent=2, ordered=bool(n % 2)), []
            moment = Moment(n, batch.stop, **how)
            consume(front, moment, where, batch, results)
            indices = [one.index for one in results]
            assert len(indices) == len(set(indices))
            finished = sum(isinstance(event, CallFinished) and event.outcome == "ok" for event in ended)
            assert sum(one.ok for one in results) == finished == len(results)
            if not moment.reached:
                assert sorted(indices) == list(range(len(ROWS)))
                break
        eventually(lambda: slots(client) == 0)
    eventually(lambda: batch_threads() == [])
    return n


def batch_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("llmnet-batch")]


@pytest.mark.parametrize("where", ["consumer", "worker"])
def test_a_stop_at_every_line(server, where):
    """As a signal handler or a finalizer does it, on the very thread that takes results or works."""
    with no_leak(server):
        assert attack(Sync(), server, where, stride=5) > 50


def test_a_stop_at_every_line_of_a_task(awaited, server):
    with no_leak(server):
        assert attack(awaited, server, "consumer", stride=9) > 100


@pytest.mark.heavy
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("where", ["consumer", "worker"])
def test_a_stop_at_every_step(front, server, where):
    with no_leak(server):
        assert attack(front, server, where, stride=1 if front.name == "sync" else 5, opcodes=True) > 1000


@pytest.mark.heavy
@pytest.mark.timeout(1000)
def test_a_stop_at_every_line_of_the_library(front, server):
    """As a finalizer, wherever the collector comes by."""
    with no_leak(server):
        assert attack(front, server, "worker", stride=11, within=HOUSE) > 1000


def test_ctrl_c_at_any_moment(server):
    """It may lose what the consumer had in its hands; the batch ends all the same, and gives nothing twice."""
    dice, never = random.Random(5), threading.Event()

    def interrupt(begun, seconds):
        begun.wait(PROMPT)
        never.wait(seconds)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with no_leak(server), llmnet.Client(**at(server)) as client:
        for n in range(60):
            batch, results = client.batch(ROWS * 3, max_concurrent=3, ordered=bool(n % 2)), []
            begun = threading.Event()
            interrupting = Work(interrupt, begun, dice.random() * 0.01)
            with contextlib.suppress(KeyboardInterrupt):
                begun.set()
                results.extend(batch)
                interrupting.result()  # one that met a finalizer is lost, as Python has it
            interrupting.result()
            batch.close()
            results += batch
            indices = [one.index for one in results]
            assert len(indices) == len(set(indices))
            assert all(one.ok for one in results)
        assert slots(client) == 0
    eventually(lambda: batch_threads() == [])


def test_batches_that_the_collector_finds(front, server):
    """Finalizers run wherever the collector comes by, which here is everywhere."""
    thresholds = gc.get_threshold()
    with no_leak(server), front.client(**at(server, max_concurrent=3)) as client:
        gc.set_threshold(7, 2, 2)
        try:
            for _ in range(15):
                batch = inner(client).batch(ROWS)
                batch.myself = batch
                assert (next(batch) if front.name == "sync" else front.run(anext(batch))).ok
                del batch
        finally:
            gc.set_threshold(*thresholds)
        gc.collect()
        eventually(lambda: slots(client) == 0)
        assert client.chat("hi").content == "hi"
    eventually(lambda: batch_threads() == [])
