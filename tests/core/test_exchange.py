"""One attempt, as its transport tells of it: which bound runs, what is asked without an effect, what it keeps alive."""

import gc
import math
import threading
import weakref

import pytest
from support.live import PROMPT, Work
from support.policy import Scene

import llmnet
from llmnet.core.http import Headers
from llmnet.core.outcome import AttemptError, Outcome

EVENTS, JSON = Headers({"content-type": "text/event-stream"}), Headers({"content-type": "application/json"})
BOUNDS = llmnet.Timeout(connect=1, response=20, idle=3, total=100, queue=2)


def begun(**fields):
    scene = Scene(timeout=BOUNDS, **fields)
    return scene, scene.call.begin()


def test_each_phase_has_its_bound():
    _, exchange = begun()
    seen = [exchange.bounds.remaining()]
    for told in (exchange.connecting, exchange.sending, lambda: exchange.head(200, JSON), exchange.silence):
        told()
        seen.append(exchange.bounds.remaining())
    assert seen == [("queue", 2), ("connect", 1), ("response", 20), ("response", 20), ("idle", 3)]


def test_to_ask_how_long_begins_no_silence_anew():
    scene, exchange = begun()
    exchange.head(200, JSON)
    exchange.silence()
    scene.now += 2
    assert [exchange.remaining(), exchange.remaining()] == [1, 1]
    exchange.silence()
    assert exchange.remaining() == 3


def test_a_stream_that_has_shown_nothing_may_be_silent_for_longer():
    _, exchange = begun(stream=True)
    exchange.head(200, EVENTS)
    exchange.silence()
    assert exchange.bounds.remaining() == ("response", 20)


@pytest.mark.parametrize("status", [200, 500])
def test_what_is_drained_has_one_bound_for_all_of_it(status):
    scene, exchange = begun()
    exchange.head(status, JSON)
    exchange.drain(0.5)
    scene.now += 0.25
    exchange.silence()
    assert exchange.remaining() == 0.25


def test_no_silence_begins_in_a_call_that_was_stopped():
    scene, exchange = begun()
    exchange.head(200, JSON)
    scene.call.stop(llmnet.StreamCancelledError("stopped"))
    for asked in (exchange.silence, exchange.between):
        with pytest.raises(AttemptError) as caught:
            asked()
        assert isinstance(caught.value.outcome.error, llmnet.StreamCancelledError)


def test_who_has_taken_its_wake_back_is_not_woken_any_more():
    """The one that is being woken just now has to be over by then."""
    scene, exchange = begun()
    begins, goes_on, over = threading.Event(), threading.Event(), []

    def wake():
        begins.set()
        assert goes_on.wait(PROMPT)
        over.append("woken")

    exchange.on_stop(wake)
    stopping = Work(scene.call.stop, llmnet.StreamCancelledError("stopped"))
    assert begins.wait(PROMPT)
    moving_on = Work(lambda: exchange.on_stop(None) or over.append("moved on"))
    moving_on.join(0.05)  # it waits meanwhile
    goes_on.set()
    assert (stopping.result(), moving_on.result(), over) == (None, None, ["woken", "moved on"])


def test_the_parts_of_a_request_count_as_one():
    counted = []
    scene, exchange = begun()
    scene.call._record.sent = counted.append  # the seam by which a client counts
    for _ in range(3):
        exchange.sending()
        assert exchange.uploading
        exchange.uploaded()
    assert (exchange.sent, exchange.uploading, counted) == (True, False, [1])


def test_what_a_transport_does_not_tell_has_happened_with_the_head():
    _, exchange = begun()
    exchange.head(200, JSON)
    assert (exchange.sent, exchange.uploading, exchange.received) == (True, False, True)


def test_a_stop_ends_each_question_and_wakes():
    scene, exchange = begun()
    woken = []
    exchange.on_stop(lambda: woken.append(1))
    scene.call.stop(llmnet.StreamCancelledError("enough"))
    for ask in (exchange.raise_if_stopped, exchange.remaining, lambda: exchange.on_stop(print)):
        with pytest.raises(AttemptError) as caught:
            ask()
        assert caught.value.outcome.error is exchange.expired() is exchange.stopped
    assert woken == [1]


def test_an_attempt_that_is_judged_early_is_judged_once():
    scene, exchange = begun()
    outcome = Outcome(llmnet.APIConnectionError("gone", phase="connect"))
    failure = AttemptError(outcome, exchange.decide(outcome))
    scene.call.judge(failure)
    assert [attempt.cause for attempt in scene.call.meta.attempts] == ["APIConnectionError (connect)"]


def test_a_call_and_its_attempt_go_without_the_collector():
    scene, exchange = begun()
    kept = weakref.ref(scene.call)
    gc.disable()
    try:
        scene.call = None  # its clock holds the scene itself
        del exchange
        assert kept() is None
    finally:
        gc.enable()


def test_a_place_that_no_slot_comes_for_ends_at_the_bound_of_the_queue():
    scene = Scene(timeout=llmnet.Timeout(queue=2, total=math.inf))
    scene.now += 2
    with pytest.raises(AttemptError) as caught:
        scene.call.admission.wait_time()
    assert (caught.value.outcome.error.phase, caught.value.outcome.not_admitted) == ("queue", True)
