"""Streams, broken on purpose: when they send, how they end, what they give back, and who may end them from outside."""

import asyncio
import contextlib
import gc
import json
import threading
import weakref

import pytest
from support.live import PROMPT, WORDS, Work, at, content, eventually, no_leak, open_files, slots
from support.points import POINTS, as_task, between_events, ended
from support.replies import events
from support.short_bounds import BOUND, timeout
from support.wire_forms import FORMS

import llmnet
from llmnet.testing import Reply

pytestmark = pytest.mark.threads


# -- when it sends, and what it shows -------------------------------------------------------------------------------


def test_making_a_stream_does_no_io(front, server):
    with front.client(**at(server)) as client:
        client.stream_chat("hi").close()
        stream = client.stream_chat("hi")
        assert (server.request_count, server.connections, slots(client)) == (0, 0, 0)
        assert content(stream) == "hi"
        assert server.request_count == 1


def test_with_sends_at_once(front, server):
    with front.client(**at(server)) as client, client.stream_chat("hi") as stream:
        assert server.request_count == 1
        assert stream.meta.status == 200
        assert content(stream) == "hi"


def test_with_raises_what_the_server_says(front, server):
    server.script(401)
    with front.client(**at(server)) as client:
        stream = client.stream_chat("hi")
        with pytest.raises(llmnet.AuthenticationError), stream:
            pytest.fail("entered")
        with pytest.raises(llmnet.StreamError):
            next(stream)
        assert (server.request_count, slots(client)) == (1, 0)


def test_response_comes_with_the_end(front, server):
    with front.client(**at(server)) as client, client.stream_chat(WORDS) as stream:
        for _ in stream:
            with pytest.raises(llmnet.StreamError):
                stream.response
        assert stream.response.content == WORDS
    assert stream.response.content == WORDS


def test_what_has_been_read_to_its_end_is_not_iterated_again(front, server):
    """A second loop would find nothing, and look like a reply without a word."""
    with front.client(**at(server)) as client:
        with client.stream_chat(WORDS) as stream:
            assert next(stream, None) is not None
            assert content(stream) in WORDS  # a loop may go on where another one has stopped
            for _ in range(2):
                assert next(stream, None) is None  # as the protocol of iterators wants it
            with pytest.raises(llmnet.StreamError, match="read to its end"):
                iter(stream)
        with pytest.raises(llmnet.StreamError, match="read to its end"):
            list(stream)
        assert stream.response.content == WORDS
        with client.stream_chat("hi") as another:
            while another.partial is None or not another.partial.finish_reason:
                next(another)
            list(another)  # its end has not been seen yet
        assert server.request_count == 2


def test_a_whole_stream_is_not_sent_again_by_entering_it(front, server):
    with front.client(**at(server)) as client:
        stream = client.stream_chat("hi")
        list(stream)
        with stream:
            assert next(stream, None) is None
        assert server.request_count == 1


def test_a_closed_stream_cannot_be_read(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server)) as client:
        with client.stream_chat("hi") as stream:
            next(stream)
        for use in (lambda: next(stream), lambda: stream.response, stream.__enter__):
            with pytest.raises(llmnet.StreamError):
                use()
        assert stream.partial.content.startswith("one")
        unsent = client.stream_chat("hi")
        unsent.close()
        with pytest.raises(llmnet.StreamError):
            next(unsent)
        assert server.request_count == 1


def test_partial_and_meta_are_live(front, server):
    server.script(Reply(text=WORDS))
    with front.client(**at(server)) as client, client.stream_chat("hi") as stream:
        assert stream.partial is None
        seen = ""
        for chunk in stream:
            seen += chunk.content
            assert stream.partial.content.startswith(seen)
            assert stream.meta.time_to_first_token is not None
            assert stream.partial.meta.status == 200
        assert stream.partial == stream.response
        assert [a.sent for a in stream.meta.attempts] == [True]
        assert stream.meta.elapsed > 0


@pytest.mark.parametrize("framing", [{"chunked": True}, {"chunked": False}, {"gzip": True}], ids=str)
def test_events_are_delivered_as_they_arrive(front, server, framing):
    server.script(Reply(text=WORDS, hold="body", **framing))
    with front.client(**at(server)) as client:
        stream = client.stream_chat("hi")
        assert Work(next, stream).result().content == "one"
        assert server.active == 1
        server.release()
        assert content(stream) == WORDS.removeprefix("one")


# -- how it ends ----------------------------------------------------------------------------------------------------


def test_a_break_inside_with_closes_at_once(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server, max_concurrent=1)) as client:
        with client.stream_chat("hi") as stream:
            for _ in stream:
                break
        assert slots(client) == 0
        eventually(lambda: server.active == 0)
        assert client.chat("next").content == "next"


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # the collector may come to the socket first
def test_a_stream_that_is_collected_in_a_cycle_is_closed(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server, max_concurrent=1)) as client:
        stream = client.stream_chat("hi")
        next(stream)
        raw = getattr(stream, "_stream", stream)
        ring = [raw]
        ring.append(ring)
        gone = weakref.ref(raw)
        del stream, raw, ring
        gc.collect()
        assert gone() is None
        eventually(lambda: slots(client) == 0 and server.active == 0)
        assert client.chat("next").content == "next"


def test_an_exception_of_the_consumer_passes_and_closes(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server, max_concurrent=1)) as client:
        with pytest.raises(ZeroDivisionError), client.stream_chat("hi") as stream:
            [1 / 0 for _ in stream]
        assert slots(client) == 0
        eventually(lambda: server.active == 0)
        assert client.chat("next").content == "next"


def test_a_stream_that_failed_is_not_sent_again(front, server):
    server.script(Reply(text=WORDS, truncate=True))
    with front.client(**at(server)) as client:
        stream = client.stream_chat("hi")
        with pytest.raises(llmnet.IncompleteStreamError) as caught:
            list(stream)
        assert caught.value.partial.content == stream.partial.content == WORDS
        with pytest.raises(llmnet.StreamError):
            next(stream)
        assert (server.request_count, slots(client)) == (1, 0)


def test_nothing_is_sent_again_once_a_chunk_was_handed_out(front, server):
    server.script(Reply(text=WORDS, cut=700), "never")
    with front.client(**at(server)) as client:
        stream = client.stream_chat("hi")
        assert next(stream).content == "one"
        with pytest.raises(llmnet.IncompleteStreamError) as caught:
            list(stream)
        assert WORDS.startswith(caught.value.partial.content)
        assert server.request_count == len(stream.meta.attempts) == 1


def test_it_is_sent_again_until_then(front, server):
    overloaded = {"type": "server_error", "code": "server_error", "message": "busy"}
    server.script(500, Reply(drop=True), Reply(text=WORDS, error_event=overloaded, error_event_at=0), WORDS)
    with front.client(**at(server, retry=llmnet.RetryPolicy(base_delay=0.001))) as client:
        stream = client.stream_chat("hi")
        assert content(stream) == WORDS
        assert server.request_count == len(stream.meta.attempts) == 4


# A first event that says who speaks and counts the prompt, as some servers send it long before the first output.
SPEAKS, COUNT = {"role": "assistant", "content": ""}, {"input_tokens": 9, "output_tokens": 0}
COUNTS_FIRST = {
    "chat-completions": {"id": "m", "choices": [{"index": 0, "delta": SPEAKS}], "usage": {"prompt_tokens": 9}},
    "messages": {"type": "message_start", "message": {"id": "m", "content": [], "usage": COUNT}},
    "native": {
        "output": {"choices": [{"message": SPEAKS, "finish_reason": "null"}]},
        "usage": COUNT,
        "request_id": "m",
    },
}


def counts_first(form):
    return events(COUNTS_FIRST[form]).decode()


@pytest.mark.parametrize("form", COUNTS_FIRST)
def test_a_count_of_the_prompt_is_no_first_chunk(front, server, form):
    server.script(Reply(events=[counts_first(form)]), WORDS)
    with front.client(**at(server, form, retry=llmnet.RetryPolicy(base_delay=0.001))) as client:
        stream = client.stream_chat("hi")
        assert next(stream).content == "one"
        assert content(stream) == WORDS.removeprefix("one")
        assert len(stream.meta.attempts) == 2


@pytest.mark.parametrize("form", COUNTS_FIRST)
def test_after_a_count_of_the_prompt_the_first_token_is_awaited(front, server, form):
    server.script(Reply(events=[counts_first(form)], stall=10**6))
    with front.client(**at(server, form, timeout=timeout(response=BOUND), max_retries=0)) as client:
        stream = client.stream_chat("hi")
        with pytest.raises(llmnet.APITimeoutError) as caught:
            next(stream)
        assert (caught.value.phase, stream.meta.time_to_first_token) == ("response", None)
        assert caught.value.partial.usage.input_tokens == 9


def test_a_count_of_output_is_a_first_chunk_though_nothing_is_shown_of_it(front, server):
    usage = {"prompt_tokens": 9, "completion_tokens": 40}
    event = events({"id": "m", "choices": [{"index": 0, "delta": SPEAKS}], "usage": usage}).decode()
    server.script(Reply(events=[event]), WORDS)
    with front.client(**at(server, "chat-completions", retry=llmnet.RetryPolicy(base_delay=0.001))) as client:
        stream = client.stream_chat("hi")
        assert next(stream).usage.output_tokens == 40
        with pytest.raises(llmnet.IncompleteStreamError):
            next(stream)
        assert len(server.requests) == 1


# -- connections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_fifty_streams_use_one_connection(front, server, form):
    with front.client(**at(server, form)) as client:
        for _ in range(50):
            assert content(client.stream_chat("a b")) == "a b"
        assert (server.request_count, server.connections) == (50, 1)


@pytest.mark.parametrize("form", FORMS)
def test_a_server_that_says_nothing_after_the_terminal_event_is_left(front, server, form):
    server.script(Reply(text=WORDS, stall=10**6), "next")
    with front.client(**at(server, form, timeout=llmnet.Timeout(idle=600))) as client:
        stream = client.stream_chat("hi")
        assert Work(content, stream).result() == WORDS
        assert stream.response.finish_reason == "stop"
        eventually(lambda: server.active == 0)
        assert client.chat("hi").content == "next"
        assert (slots(client), server.connections) == (0, 2)


@pytest.mark.parametrize(
    "reply", [Reply(text=WORDS, reset=True), Reply(text=WORDS, close=True)], ids=["reset", "close"]
)
def test_what_follows_the_terminal_event_is_no_error(front, server, reply):
    server.script(reply)
    with front.client(**at(server)) as client:
        assert content(client.stream_chat("hi")) == WORDS
        assert client.chat("hi").content == "hi"


def test_a_retry_uses_the_connection_of_the_error(front, server):
    server.script(503, 503, 500)
    with front.client(**at(server, retry=llmnet.RetryPolicy(base_delay=0.001))) as client:
        assert content(client.stream_chat("hi")) == "hi"
        assert client.chat("hi").content == "hi"
        assert (server.request_count, server.connections) == (5, 1)


# -- callbacks ------------------------------------------------------------------------------------------------------


class Heard(list):
    def callbacks(self, **others):
        own = {
            name: lambda value, name=name: self.append((name, value))
            for name in llmnet.StreamCallbacks.__struct_fields__
        }
        return llmnet.StreamCallbacks(**{**own, **others})


def test_callbacks_are_called_in_order(front, server):
    heard = Heard()
    with front.client(**at(server)) as client:
        reply = client.chat(WORDS, callbacks=heard.callbacks())
    names = [name for name, _ in heard]
    assert set(names[:-1]) == {"on_chunk"}
    assert names[-1] == "on_complete"
    assert heard[-1][1] is reply
    assert content(chunk for name, chunk in heard[:-1]) == reply.content == WORDS


@pytest.mark.parametrize("reply", [401, Reply(text=WORDS, truncate=True)], ids=["before", "after"])
def test_an_error_is_told_once_and_raised(front, server, reply):
    server.script(reply)
    heard = Heard()
    with front.client(**at(server)) as client:
        with pytest.raises(llmnet.LLMNetError) as caught:
            client.chat("hi", callbacks=heard.callbacks())
        assert slots(client) == 0
    assert [value for name, value in heard if name != "on_chunk"] == [caught.value]


@pytest.mark.parametrize("where", ["on_chunk", "on_complete", "on_error"])
@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), llmnet.APIConnectionError("mine")], ids=["any", "ours"])
def test_an_exception_of_a_callback_propagates_and_closes(front, server, where, error):
    def fail(_):
        raise error

    server.script(Reply(text=WORDS, **{"on_chunk": {"hold": "body"}, "on_error": {"truncate": True}}.get(where, {})))
    heard = Heard()
    with front.client(**at(server, max_concurrent=1)) as client:
        with pytest.raises(type(error), match="mine"):
            client.chat("hi", callbacks=heard.callbacks(**{where: fail}))
        assert {name for name, _ in heard} <= {"on_chunk"}
        assert slots(client) == 0
        eventually(lambda: server.active == 0)


def test_callbacks_may_be_coroutine_functions(awaited, server):
    heard = []

    async def on_chunk(chunk):
        await asyncio.sleep(0)
        heard.append(chunk.content)

    async def on_complete(reply):
        heard.append(reply)

    with awaited.client(**at(server)) as client:
        reply = client.chat(WORDS, callbacks=llmnet.StreamCallbacks(on_chunk=on_chunk, on_complete=on_complete))
    assert heard[-1] is reply
    assert "".join(heard[:-1]) == WORDS


def test_coroutine_functions_are_refused_where_nobody_awaits(server):
    async def on_chunk(chunk):
        pass

    with llmnet.Client(**at(server)) as client, pytest.raises(llmnet.ConfigurationError, match="on_chunk"):
        client.chat("hi", callbacks=llmnet.StreamCallbacks(on_chunk=on_chunk))
    assert server.request_count == 0


# -- ending it from outside -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.__name__)
def test_cancel_from_another_thread(front, server, point):
    with no_leak(server):
        with point(front, server) as at_point:
            before = slots(at_point.client)
            stream = at_point.client.stream_chat(at_point.message)
            work = Work(list, stream)
            eventually(at_point.reached)
            stream.cancel()
            with pytest.raises(llmnet.StreamCancelledError) as caught:
                work.result()
            assert slots(at_point.client) == before
            assert caught.value.provider == "fake"
            assert caught.value.meta is stream.meta
            assert not caught.value.retryable
            with pytest.raises(llmnet.StreamError):
                next(stream)
        assert ended(at_point.client, server)


@pytest.mark.parametrize("point", [*POINTS, between_events], ids=lambda point: point.__name__)
def test_close_from_another_thread(front, server, point):
    """It does not wait for the reader, who hears of it at once, and gives all back; to close again, or at once, is no error."""
    with no_leak(server):
        with point(front, server) as at_point:
            before = slots(at_point.client)
            stream = at_point.client.stream_chat(at_point.message)
            work = Work(list, stream)
            eventually(at_point.reached)
            ending = [Work(stream.close), Work(stream.__exit__, None, None, None), Work(stream.close)]
            with pytest.raises(llmnet.StreamError, match="closed") as caught:
                work.result()
            for one in ending:
                one.result()
            assert type(caught.value) is llmnet.StreamError
            assert "closed" in {entry.outcome for entry in at_point.client.stats}
            assert slots(at_point.client) == before
            with pytest.raises(llmnet.StreamError):
                next(stream)
        assert ended(at_point.client, server)


@pytest.mark.parametrize("turn", range(10))
def test_cancel_and_close_and_the_end_at_the_same_time(front, server, turn):
    """Whoever comes first: the reader has its chunks, or an error of ours, and nothing is left taken."""
    server.script(Reply(text=WORDS, pace=0.0005))
    heard = []
    with no_leak(server), front.client(**at(server, max_concurrent=1, on_event=heard.append)) as client:
        stream = client.stream_chat("hi")
        work = Work(list, stream)
        eventually(lambda: stream.meta.attempts or stream.partial or not work.is_alive())
        ending = [Work(act) for act in (stream.cancel, stream.close, stream.close)[: 1 + turn % 3]]
        for one in ending:
            one.result()
        with contextlib.suppress(llmnet.StreamError):
            assert WORDS.startswith(content(work.result()))
        eventually(lambda: slots(client) == 0)
        assert [type(event) for event in heard].count(llmnet.CallFinished) == 1
        assert client.chat("next").content == "next"


def test_two_readers_are_one_too_many(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server)) as client:
        stream = client.stream_chat("hi")
        next(stream)
        readers = [Work(list, stream) for _ in range(2)]
        eventually(lambda: any(not reader.is_alive() for reader in readers))
        server.release()
        one, other = sorted(readers, key=lambda reader: reader.error is None)
        with pytest.raises(llmnet.StreamError, match="reads the stream"):
            one.result()
        other.result()  # what the first one had got before is missing there
        assert stream.response.content == WORDS


def test_a_task_is_cancelled_while_its_key_is_asked_for(awaited, server):
    asked = threading.Event()

    async def key():
        asked.set()
        await asyncio.sleep(3600)

    with awaited.client(**at(server, api_key=key)) as client:
        task = awaited.run(as_task(client._client.chat("hi")))
        assert asked.wait(PROMPT)
        awaited.loop.call_soon_threadsafe(task.cancel)
        awaited.run(asyncio.wait([task]))
        assert task.cancelled()
        stream = client.stream_chat("hi")
        asked.clear()
        work = Work(next, stream)
        assert asked.wait(PROMPT)
        stream.cancel()
        with pytest.raises(llmnet.StreamCancelledError):
            work.result()
        assert (slots(client), server.request_count) == (0, 0)


def test_closing_the_client_ends_a_stream_that_nobody_reads_just_now(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with no_leak(server):
        with front.client(**at(server)) as client:
            stream = client.stream_chat("hi")
            next(stream)
        with pytest.raises(llmnet.APIConnectionError, match="closed"):
            list(stream)
        assert stream.partial.content
        assert slots(client) == 0


def test_cancel_says_so_even_while_chunks_are_left(front, server):
    at_once = "".join(
        f"data: {json.dumps({'choices': [{'delta': {'content': word}}]})}\n\n" for word in ("one ", "two ")
    )
    server.script(Reply(events=[at_once]))
    with front.client(**at(server)) as client:
        stream = client.stream_chat("hi")
        assert (str(next(stream)), stream.partial.content) == ("one ", "one two ")
        stream.cancel()
        with pytest.raises(llmnet.StreamCancelledError) as caught:
            next(stream)
        assert caught.value.partial.content == "one two "
        assert slots(client) == 0


def test_cancel_before_the_start_and_after_the_end(front, server):
    with front.client(**at(server)) as client:
        stream = client.stream_chat("hi")
        stream.cancel()
        with pytest.raises(llmnet.StreamCancelledError):
            next(stream)
        assert server.request_count == 0
        stream = client.stream_chat("hi")
        list(stream)
        stream.cancel()
        assert stream.response.content == "hi"
        assert slots(client) == 0


def test_a_cancelled_wait_for_a_chunk_ends_the_stream(awaited, server):
    """Whoever gives up on one chunk must not get the whole reply anew with the next."""
    server.script(Reply(text=WORDS, hold="body"))

    async def impatient(client):
        stream = client.stream_chat("hi")
        with pytest.raises(TimeoutError):
            [await asyncio.wait_for(chunk, 0.1) for chunk in iter(lambda: anext(stream), None)]
        with pytest.raises(llmnet.StreamError):
            await anext(stream)

    with awaited.client(**at(server)) as client:
        awaited.run(impatient(client._client))
        assert (server.request_count, slots(client)) == (1, 0)


# -- what nobody closed ---------------------------------------------------------------------------------------------


def test_a_hundred_ended_streams_leave_nothing(front, server):
    with no_leak(server), front.client(**at(server)) as client:
        list(client.stream_chat(WORDS))
        before = open_files()
        for _ in range(25):
            server.script(Reply(text=WORDS, hold="body"), Reply(text=WORDS, cut=700), Reply(status=401))
            with client.stream_chat("hi") as stream:
                next(stream)
            with pytest.raises(llmnet.IncompleteStreamError):
                list(client.stream_chat("hi"))
            with pytest.raises(llmnet.AuthenticationError):
                client.chat("hi")
            list(client.stream_chat("hi"))
        eventually(lambda: open_files() <= before)
