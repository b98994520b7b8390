"""The state of a batch, whatever happens in whatever order, beside a model of it that is written in the plainest way."""

import contextlib
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.inside import lock_of

import llmnet
from llmnet.batch.rows import BatchResult
from llmnet.batch.state import WINDOW, BatchState

pytestmark = pytest.mark.threads

FATES = ("ok", "ok", "failed", "nothing")
WALK = 200
# What is done in a walk, and how often.
STEPS = {
    "hire": 50, "take": 200, "took": 200, "take_many": 40, "finish": 300, "finish_many": 30, "give": 40, "conclude": 20,
    "drain": 1, "fail": 1, "interrupt": 1, "abandon": 1,
}  # fmt: skip


class Called:
    """A call that notes what ends it."""

    def __init__(self):
        self.ended = []

    def stop(self, error):
        self.ended.append(error)


def result(index, fate="ok"):
    if fate == "nothing":
        return None
    return BatchResult(index=index, error=llmnet.LLMNetError("it failed") if fate == "failed" else None)


def finish(state, one, call=None):
    """As a worker does it; `None` is one that was ended in the midst of its row."""
    if one is not None:
        state.keep(one)
    state.finish_row(call)


class Model:
    """A state and what it must be; *out* are the rows in flight with their calls, *held* those whose results wait, in the order they came."""

    def __init__(self, limit, ordered, most):
        self.state = BatchState(limit, ordered=ordered, stop_after_errors=most)
        self.limit, self.ordered, self.most = limit, ordered, most
        self.workers = self.rows = self.failures = 0
        self.taking = self.drained = self.abandoned = False
        self.out, self.held, self.given, self.lost = {}, [], [], set()
        self.broken, self.left = None, []

    @property
    def closing(self):
        return self.drained or self.abandoned or (self.most is not None and self.failures >= self.most)

    def hire(self, *_):
        may = self.workers < self.limit and not self.closing
        assert self.state.add_worker() == may
        self.workers += may

    def take(self, *_):
        may = not (self.closing or self.taking) and self.rows - len(self.given) < self.limit + WINDOW
        assert self.state.reserve_row() == (self.rows if may else None)
        self.taking |= may

    def took(self, *_):
        if self.taking:
            self.taking, wanted = False, not self.closing
            assert self.state.confirm_row() == wanted
            if wanted:
                call = self.out[self.rows] = Called()
                self.state.add_call(call)
                self.rows += 1

    def take_many(self, count, _):
        for _ in range(count):
            self.take()
            self.took()

    def drain(self, *_, error=None):
        self.state.end_rows(error)
        self.drained = True
        self.broken = self.broken if self.abandoned else self.broken or error

    def fail(self, *_):
        self.drain(error=ValueError("the source"))

    def interrupt(self, *_):
        self.drain(error=KeyboardInterrupt())

    def finish(self, count, fate):
        if self.out:
            self._finish(sorted(self.out)[count % len(self.out)], fate)

    def finish_many(self, count, fate):
        for _ in range(count):
            self.finish(count, fate)

    def _finish(self, index, fate):
        call = self.out.pop(index)
        finish(self.state, result(index, fate), call)
        self.left.append((call, len(call.ended)))
        if fate == "ok" or (fate == "failed" and not self.abandoned):
            self.held.append(index)
            self.failures += fate == "failed"
        else:
            self.lost.add(index)

    def give(self, count, _):
        for _ in range(count % 8):
            one = self.state.next_result()
            assert (one and one.index) == self._next()
            if one is not None:
                self.held.remove(one.index)
                self.given.append(one.index)

    def _next(self):
        if not self.ordered:
            return self.held[0] if self.held else None
        if self.closing and not self.out:
            return min(self.held, default=None)
        return len(self.given) if len(self.given) in self.held else None

    def abandon(self, *_):
        self.state.abandon()
        self.abandoned = True

    def conclude(self, *_):
        """The error that has ended it is raised once."""
        broken, self.broken = self.broken, None
        with pytest.raises(type(broken)) if broken else contextlib.nullcontext() as caught:
            self.state.raise_error()
        assert caught is None or caught.value is broken

    def come_to_the_end(self):
        """However it went so far: once there are no more rows and none is out, all that is held can be had."""
        for index in list(self.out):
            self._finish(index, "ok")
        self.state.end_rows(None)
        self.drained = True
        while self.held:
            self.give(1, None)
        assert self.state.over

    def check(self):
        """What holds after every step."""
        state = self.state
        assert (state.workers, state.in_flight, state.delivered) == (self.workers, len(self.out), len(self.given))
        assert (state.closing, state.abandoned) == (self.closing, self.abandoned)
        assert state.over == (self.closing and not self.out and not self.held)
        assert len(self.out) + len(self.held) <= self.limit + WINDOW
        assert self.workers <= self.limit
        assert sorted([*self.out, *self.held, *self.given, *self.lost]) == list(range(self.rows))
        assert not self.ordered or self.given == sorted(self.given)
        assert all(bool(call.ended) == self.abandoned for call in self.out.values())
        assert all(len(call.ended) == ended for call, ended in self.left)


@settings(max_examples=200)
@given(
    dice=st.randoms(use_true_random=True),
    limit=st.integers(1, 5),
    ordered=st.booleans(),
    most=st.none() | st.integers(1, 9),
)
def test_state_and_model_are_equal_after_every_step(dice, limit, ordered, most):
    model = Model(limit, ordered, most)
    for step in dice.choices(list(STEPS), STEPS.values(), k=WALK):
        getattr(model, step)(dice.randrange(WINDOW), dice.choice(FATES))
        model.check()
    model.come_to_the_end()


def test_a_finalizer_may_abandon_a_batch_on_the_thread_that_holds_its_lock():
    state = BatchState(1)
    call = Called()
    state.add_call(call)
    with lock_of(state):
        state.abandon()
    assert [str(error) for error in call.ended] == ["the batch was stopped while the call was under way"]
    assert not call.ended[0].retryable


def test_a_call_that_is_added_late_is_ended_at_once():
    state, call = BatchState(1), Called()
    state.abandon()
    state.add_call(call)
    assert len(call.ended) == 1


def test_threads_share_a_state():
    """Takers on many threads get each index once, and never two at a time."""
    state, taken, together = BatchState(8), [], []
    taking = set()

    def work():
        while len(taken) < 500 and not state.closing:
            if (index := state.reserve_row()) is None:
                continue
            taking.add(index)
            together.append(len(taking))
            taking.discard(index)
            taken.append(index)
            state.confirm_row()
            finish(state, result(index))
            state.next_result()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert taken == list(range(len(taken)))
    assert set(together) == {1}


def test_a_gap_that_nothing_fills_any_more_holds_up_nobody():
    """As a worker leaves that was ended in the midst of its row."""
    state = BatchState(3, ordered=True)
    for index in range(3):
        assert state.reserve_row() == index
        assert state.confirm_row()
    finish(state, result(1))
    finish(state, None)
    state.end_rows(None)
    assert state.next_result() is None
    finish(state, result(2))
    assert [state.next_result().index, state.next_result().index, state.over] == [1, 2, True]
