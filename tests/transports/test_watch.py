"""The waits over one connection: each ends with its bound, neither before nor after, whatever waits came before it."""

import asyncio
import math
import selectors

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmnet
from llmnet.core.bounds import Bounds
from llmnet.core.outcome import AttemptError
from llmnet.core.stop import Stop
from llmnet.transports.aio.watch import Alarm, Watch


class Selector(selectors.SelectSelector):
    """Nothing ever comes: whoever waits has waited."""

    loop = None

    def select(self, timeout=None):
        self.loop.now += (timeout or 0.0) * self.loop.share
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time passes only while it waits, of which it does a *share*: its timers may be early, as those of uvloop."""

    def __init__(self, share):
        self.now, self.share = 1000.0, share
        selector = Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self):
        return self.now


SECONDS = st.sampled_from([0.5, 1.0, 2.0, 5.0, math.inf])
NEWS = st.sampled_from([0.0, 0.1, 0.4, 0.6, 1.5, 4.0, 20.0])
# A phase that begins, or none; when there is news; what passes until somebody waits again.
WAITS = st.tuples(st.sampled_from(["connect", "response", "idle", None]), NEWS, st.sampled_from([0.0, 0.1, 1.0, 3.0]))
ATTEMPTS = st.tuples(
    st.fixed_dictionaries(dict.fromkeys(("connect", "response", "idle", "total"), SECONDS)), st.lists(WAITS, max_size=6)
)


async def play(alarm, bounds, waits):
    loop = asyncio.get_running_loop()
    watch = Watch(Stop(Bounds(llmnet.Timeout(**bounds), loop.time)))
    watch.alarm = alarm
    for phase, news, pause in waits:
        if phase is not None:
            watch.exchange.bounds.start(phase)
        due, came = max(watch.exchange.bounds.due, loop.time()), loop.time() + news
        timer = loop.call_at(came, watch.wake)
        try:
            await watch.wait()
            assert loop.time() == pytest.approx(came)
            assert came <= due + 0.01
        except AttemptError:
            assert loop.time() == pytest.approx(due)
            assert due <= came
            break
        finally:
            timer.cancel()
        await asyncio.sleep(pause)
    alarm.rest()


@settings(max_examples=300)
@given(st.lists(ATTEMPTS, max_size=5), st.sampled_from([1.0, 0.7]))
def test_a_wait_ends_with_its_bound_whatever_came_before(attempts, share):
    failed = []

    async def play_all():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failed.append(context))
        alarm = Alarm(loop)
        for bounds, waits in attempts:
            await play(alarm, bounds, waits)
            await asyncio.sleep(3.0)
        alarm.end()

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(share)) as runner:
        runner.run(play_all())
    assert failed == []
