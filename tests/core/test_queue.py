"""FairQueue: never more than its slots, first come first served, and no slot lost, whoever leaves when."""

import asyncio
import collections
import gc
import random
import threading
import weakref

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.inside import join

from llmnet.core.admission.queue import FairQueue, Ticket

pytestmark = pytest.mark.threads


class Waiter:
    """An owner that notes when it is woken."""

    def __init__(self, queue, fails=False):
        self.fails, self.woken = fails, 0
        self.ticket = join(queue, self.wake)

    def wake(self):
        self.woken += 1
        if self.fails:
            raise RuntimeError("Event loop is closed")


def test_slots_are_given_at_once_while_there_are_some():
    queue = FairQueue(2)
    a, b, c = (Waiter(queue) for _ in range(3))
    assert [w.ticket.granted for w in (a, b, c)] == [True, True, False]
    assert (queue.active, queue.waiting) == (2, 1)
    assert a.woken == b.woken == 0


def test_it_says_how_full_it_is_and_what_helps():
    queue = FairQueue(1)
    for _ in range(3):
        Waiter(queue)
    words = "1 calls are under way and 2 wait; raise max_concurrent (now 1), or give many requests to batch(), "
    assert str(queue) == words + "which takes each when there is room for it"


def test_a_slot_passes_to_whoever_waits_longest():
    queue = FairQueue(1)
    first, *others = [Waiter(queue) for _ in range(4)]
    queue.leave(first.ticket)
    assert [(w.ticket.granted, w.woken) for w in others] == [(True, 1), (False, 0), (False, 0)]
    assert (queue.active, queue.waiting) == (1, 2)


@pytest.mark.parametrize("times", [1, 2, 5])
def test_leaving_again_changes_nothing(times):
    queue = FairQueue(1)
    holder, waiting, other = (Waiter(queue) for _ in range(3))
    for _ in range(times):
        queue.leave(waiting.ticket)
    assert (queue.active, queue.waiting, waiting.ticket.granted) == (1, 1, False)
    for _ in range(times):
        queue.leave(holder.ticket)
    assert (queue.active, queue.waiting, other.ticket.granted) == (1, 0, True)
    for _ in range(times):
        queue.leave(other.ticket)
    assert (queue.active, queue.waiting) == (0, 0)


def test_one_that_is_granted_and_leaves_before_it_noticed_passes_the_slot_on():
    queue = FairQueue(1)
    holder, quitter, heir = (Waiter(queue) for _ in range(3))
    queue.leave(holder.ticket)
    queue.leave(quitter.ticket)
    assert heir.ticket.granted
    assert queue.active == 1


def test_closed_loops_are_passed_over_however_many():
    queue = FairQueue(1)
    holder = Waiter(queue)
    dead = [Waiter(queue, fails=True) for _ in range(5000)]
    heir = Waiter(queue)
    queue.leave(holder.ticket)
    assert [w.woken for w in dead] == [1] * 5000
    assert heir.ticket.granted
    assert (queue.active, queue.waiting) == (1, 0)


def test_the_slot_of_a_closed_loop_is_free_where_nobody_waits():
    queue = FairQueue(1)
    holder, _ = Waiter(queue), Waiter(queue, fails=True)
    queue.leave(holder.ticket)
    assert (queue.active, queue.waiting) == (0, 0)


@pytest.mark.parametrize("has_waiting", [False, True])
def test_the_slots_of_a_loop_that_was_closed_under_its_calls_go_to_who_comes_next(has_waiting):
    loop, queue = asyncio.new_event_loop(), FairQueue(2)
    alive, *dead = tickets = [Ticket(), Ticket(loop), *[Ticket(loop)] * has_waiting]
    for ticket in tickets:
        ticket.wake = lambda: loop.call_soon_threadsafe(print)
        queue.join(ticket)
    loop.close()
    assert [join(queue).granted for _ in range(2)] == [True, False]
    for ticket in dead:
        queue.leave(ticket)
    assert (queue.active, queue.waiting, alive.granted) == (2, 1, True)


def test_nor_are_they_lost_where_somebody_waits_already():
    loop, queue = asyncio.new_event_loop(), FairQueue(2)
    for _ in range(2):
        queue.join(Ticket(loop))
    waiting = Waiter(queue)
    loop.close()
    assert not waiting.ticket.granted
    late = Waiter(queue)
    assert (waiting.ticket.granted, waiting.woken, late.ticket.granted) == (True, 1, True)


def test_an_interrupt_is_raised_once_the_work_is_done():
    queue, woken = FairQueue(1), []

    def wake():
        woken.append("now")
        if len(woken) == 1:
            raise KeyboardInterrupt

    holder, heir = Waiter(queue), join(queue, wake)
    with pytest.raises(KeyboardInterrupt):
        queue.leave(holder.ticket)
    assert (heir.granted, woken, queue.active, queue.waiting) == (True, ["now"] * 2, 1, 0)


def test_wake_may_itself_enter_the_queue():
    queue = FairQueue(1)
    holder, seen = Waiter(queue), []
    join(queue, lambda: seen.append(join(queue)))
    queue.leave(holder.ticket)
    assert [ticket.granted for ticket in seen] == [False]


def test_who_comes_in_on_the_thread_at_work_gets_the_slot_of_one_that_has_left_meanwhile():
    class Heirs(collections.deque):
        def __getitem__(self, place):
            queue.leave(heir)
            return super().__getitem__(place)

    queue, seen = FairQueue(1), []
    holder, heir = Waiter(queue), join(queue, lambda: seen.append(join(queue).granted))
    queue._heirs = Heirs()  # private: the heir gives up just before the slot becomes its own
    queue.leave(holder.ticket)
    assert seen == [True]
    assert (queue.active, queue.waiting) == (1, 0)


def test_those_who_gave_up_take_no_memory():
    queue = FairQueue(1)
    join(queue)
    given_up = []
    for _ in range(1000):
        waiter = Waiter(queue)
        queue.leave(waiter.ticket)
        given_up.append(weakref.ref(waiter))
    del waiter
    gc.collect()
    assert not [ref for ref in given_up if ref() is not None]


def test_a_finalizer_may_leave_while_its_own_thread_is_inside_the_queue():
    queue = FairQueue(1)
    holder, heir = Waiter(queue), Waiter(queue)
    assert queue._turn.take("mine")  # private: as if the garbage collector ran right here
    queue.leave(holder.ticket)
    assert not heir.ticket.granted
    queue._turn.give("mine")  # as above
    late = Waiter(queue)
    assert (heir.ticket.granted, late.ticket.granted) == (True, False)
    assert (queue.active, queue.waiting) == (1, 1)


def test_reset_begins_anew_and_knows_no_older_tickets():
    queue = FairQueue(1)
    holder, waiting = Waiter(queue), Waiter(queue)
    assert queue._turn.take("a thread that the child does not have")  # as at a fork
    queue.reset()
    fresh = Waiter(queue)
    queue.leave(holder.ticket)
    queue.leave(waiting.ticket)
    assert (queue.active, queue.waiting, fresh.ticket.granted) == (1, 0, True)


class Model(RuleBasedStateMachine):
    """The queue against two plain lists."""

    @initialize(limit=st.integers(1, 4))
    def begin(self, limit):
        self.queue, self.limit = FairQueue(limit), limit
        self.holding, self.waiting, self.gone = [], [], []

    @rule(fails=st.booleans())
    def enter(self, fails):
        waiter = Waiter(self.queue, fails)
        (self.waiting if len(self.holding) >= self.limit else self.holding).append(waiter)

    @precondition(lambda self: self.holding or self.waiting or self.gone)
    @rule(data=st.data())
    def leave(self, data):
        waiter = data.draw(st.sampled_from(self.holding + self.waiting + self.gone))
        self.queue.leave(waiter.ticket)
        if waiter in self.waiting:
            self.waiting.remove(waiter)
            self.gone.append(waiter)
        elif waiter in self.holding:
            self.holding.remove(waiter)
            self.gone.append(waiter)
            self.pass_on()

    def pass_on(self):
        while self.waiting:
            heir = self.waiting.pop(0)
            assert heir.woken == 1
            (self.gone if heir.fails else self.holding).append(heir)
            if not heir.fails:
                return

    @invariant()
    def agree(self):
        assert (self.queue.active, self.queue.waiting) == (len(self.holding), len(self.waiting))
        assert len(self.holding) <= self.limit
        assert all(w.ticket.granted for w in self.holding)
        assert not any(w.ticket.granted or w.woken for w in self.waiting)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=40)


# -- threads and loops at once ------------------------------------------------------------------------------------------


class Room:
    """What the slots protect: it notes how many were in at once."""

    def __init__(self):
        self.lock, self.inside, self.peak, self.served = threading.Lock(), 0, 0, collections.Counter()

    def __enter__(self):
        with self.lock:
            self.inside += 1
            self.peak = max(self.peak, self.inside)

    def __exit__(self, *_):
        with self.lock:
            self.inside -= 1


def a_thread(queue, room, rng, rounds):
    for _ in range(rounds):
        woken = threading.Event()
        ticket = join(queue, woken.set)
        try:
            if ticket.granted or woken.wait(rng.choice([0, 0.0005, 30])):
                assert ticket.granted
                with room:
                    room.served["thread"] += 1
        finally:
            queue.leave(ticket)


async def a_task(queue, room):
    loop, woken = asyncio.get_running_loop(), asyncio.Event()
    ticket = join(queue, lambda: loop.call_soon_threadsafe(woken.set))
    try:
        if not ticket.granted:
            await woken.wait()
        assert ticket.granted
        with room:
            await asyncio.sleep(0)
            room.served["task"] += 1
    finally:
        queue.leave(ticket)


async def a_loop(queue, room, rng, rounds):
    for _ in range(rounds):
        tasks = [asyncio.ensure_future(a_task(queue, room)) for _ in range(30)]
        for task in rng.sample(tasks, 12):
            await asyncio.sleep(0)
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [end for end in ends if isinstance(end, Exception)]


def a_loop_that_dies(queue):
    """Closed with its tickets in the queue: nobody there will ever hear of a slot."""

    async def abandon():
        loop = asyncio.get_running_loop()
        return [join(queue, lambda: loop.call_soon_threadsafe(print)) for _ in range(5)]

    for ticket in asyncio.run(abandon()):
        if ticket.granted:  # its owner knows, and cleans up
            queue.leave(ticket)


@pytest.mark.parametrize(("limit", "seed"), [(1, 1), (3, 2), (10, 3), (50, 4)])
def test_threads_and_loops_share_it_under_random_cancels(limit, seed):
    queue, room, failed = FairQueue(limit), Room(), []

    def guarded(work, *args):
        try:
            work(*args)
        except BaseException as error:
            failed.append(error)

    def start(work, *args):
        threads.append(threading.Thread(target=guarded, args=(work, *args), daemon=True))

    threads = []
    for n in range(8):
        start(a_thread, queue, room, random.Random(seed * 100 + n), 60)
    for n in range(3):
        start(lambda n=n: asyncio.run(a_loop(queue, room, random.Random(seed * 200 + n), 8)))
    start(lambda: [a_loop_that_dies(queue) for _ in range(5)])
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not [thread for thread in threads if thread.is_alive()]
    assert not failed
    assert 0 < room.peak <= limit
    assert room.served["task"] >= 3 * 8 * (30 - 12)
    assert room.served["thread"] > 0
    assert (queue.active, queue.waiting) == (0, 0)
