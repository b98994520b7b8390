"""Streams, broken on purpose: when they send, how they end, what they give back, and who may end them from outside."""

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
import threading
import warnings
import weakref

import pytest
import trustme
from live import (
    PROMPT,
    WORDS,
    Sync,
    Work,
    at,
    at_port,
    content,
    eventually,
    no_leak,
    open_files,
    slots,
)

import llmnet
from llmnet.testing import FakeServer, Reply, full_peer, mute_peer

FORMS = ("chat-completions", "responses", "messages", "native")
LATER = Reply(status=429, headers={"retry-after": "30"})


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
        assert list(stream) == []
    assert stream.response.content == WORDS
    assert list(stream) == []


def test_a_whole_stream_is_not_sent_again_by_entering_it(front, server):
    with front.client(**at(server)) as client:
        stream = client.stream_chat("hi")
        list(stream)
        with stream:
            assert list(stream) == []
        assert server.request_count == 1


def test_a_closed_stream_cannot_be_read(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server)) as client:
        with client.stream_chat("hi") as stream:
            next(stream)
        for use in (lambda: next(stream), lambda: stream.response, stream.__enter__):
            with pytest.raises(llmnet.StreamError):
                use()
        assert stream.partial.content == "one"
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


def test_close_is_idempotent(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server)) as client:
        stream = client.stream_chat("hi")
        next(stream)
        for _ in range(3):
            stream.close()
        assert slots(client) == 0
        eventually(lambda: server.active == 0)


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


def test_a_bare_break_is_closed_when_collected(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with no_leak(server), front.client(**at(server, max_concurrent=1)) as client:
        for _ in client.stream_chat("hi"):
            break
        gc.collect()
        eventually(lambda: slots(client) == 0 and server.active == 0)
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


class Point:
    """A place where a call can be caught: a client, what it is asked, and the moment when it is there."""

    def __init__(self, client, reached, message="hi"):
        self.client, self.reached, self.message = client, reached, message


def waiting(client):
    """How many calls wait in a way from which they can be woken."""
    with client._common._lock:
        calls = list(client._common._live)
    return sum(call._wake is not None for call in calls)


@contextlib.contextmanager
def queued(front, server):
    server.script(Reply(hold=True))
    with front.client(**at(server, max_concurrent=1)) as client:
        first = client.stream_chat("first")
        entering = Work(first.__enter__)
        server.wait_for_requests(1)
        yield Point(client, lambda: client._common.queue.waiting == 1)
        first.cancel()
        with contextlib.suppress(llmnet.LLMNetError):
            entering.result()


@contextlib.contextmanager
def backing_off(front, server):
    server.script(LATER)
    with front.client(**at(server)) as client:
        yield Point(client, lambda: server.request_count == 1 and slots(client) == 0 and waiting(client) == 1)


@contextlib.contextmanager
def at_the_gate(front, server):
    server.script(LATER)
    with front.client(**at(server)) as client:
        first = client.stream_chat("first")
        entering = Work(first.__enter__)
        eventually(lambda: first.meta.attempts and waiting(client) == 1)
        yield Point(client, lambda: waiting(client) == 2)
        first.cancel()
        with contextlib.suppress(llmnet.LLMNetError):
            entering.result()


@contextlib.contextmanager
def resolving(front, server):
    asked, answer, real = threading.Event(), threading.Event(), socket.getaddrinfo

    def slow(host, *args, **kwargs):
        if host == "slow.test":
            asked.set()
            answer.wait(PROMPT)
        return real("127.0.0.1" if host == "slow.test" else host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", slow)
        with front.client(**at(server, base_url=f"http://slow.test:{server.port}/v1")) as client:
            try:
                yield Point(client, lambda: asked.is_set() and waiting(client) == 1)
            finally:
                answer.set()


@contextlib.contextmanager
def connecting(front, server):
    with full_peer() as port, front.client(**at_port(port)) as client:
        yield Point(client, lambda: slots(client) == 1 and waiting(client) == 1)


@contextlib.contextmanager
def in_the_handshake(front, server):
    context = ssl.create_default_context()
    trustme.CA().configure_trust(context)
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        listener.settimeout(PROMPT)
        port = listener.getsockname()[1]
        client = stack.enter_context(front.client(**at_port(port, "https", verify=context)))

        def reached():
            accepted = stack.enter_context(listener.accept()[0])
            accepted.settimeout(PROMPT)
            return accepted.recv(1) == b"\x16"

        yield Point(client, reached)


@contextlib.contextmanager
def in_the_handshake_behind_a_proxy(front, server):
    context = ssl.create_default_context()
    trustme.CA().configure_trust(context)
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        listener.settimeout(PROMPT)
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = stack.enter_context(front.client(**at_port(9, "https", verify=context, proxy=proxy)))

        def reached():
            accepted = stack.enter_context(listener.accept()[0])
            accepted.settimeout(PROMPT)
            while b"\r\n\r\n" not in (head := accepted.recv(65536)):
                assert head
            accepted.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            return accepted.recv(1) == b"\x16"

        yield Point(client, reached)


@contextlib.contextmanager
def sending(front, server):
    with mute_peer(window=4096) as port, front.client(**at_port(port)) as client:
        sent = lambda: any(call.sent for call in list(client._common._live))  # noqa: E731
        yield Point(client, lambda: waiting(client) == 1 and sent(), message="x" * 16_000_000)


@contextlib.contextmanager
def before_the_head(front, server):
    server.script(Reply(hold=True))
    with front.client(**at(server)) as client:
        yield Point(client, lambda: server.request_count == 1)


@contextlib.contextmanager
def inside_the_body(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server)) as client:
        yield Point(client, lambda: any(call.meta.status for call in list(client._common._live)))


@contextlib.contextmanager
def inside_the_body_behind_tls(front, server):
    authority, server_side = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with FakeServer(tls=server_side) as secure, front.client(**at(secure, verify=context)) as client:
        secure.script(Reply(text=WORDS, hold="body"))
        yield Point(client, lambda: any(call.meta.status for call in list(client._common._live)))
        eventually(lambda: secure.active == 0)


@contextlib.contextmanager
def inside_an_error_body(front, server):
    server.script(Reply(status=500, body="x" * 1000, stall=10))
    with front.client(**at(server)) as client:
        yield Point(client, lambda: any(call.meta.status for call in list(client._common._live)))


POINTS = [
    queued, backing_off, at_the_gate, resolving, connecting, in_the_handshake, in_the_handshake_behind_a_proxy, sending,
    before_the_head, inside_the_body, inside_the_body_behind_tls, inside_an_error_body,
]  # fmt: skip
at_every_point = pytest.mark.parametrize("point", POINTS, ids=lambda point: point.__name__)


def ended(client, server):
    """Nothing is left of a call: no slot, no place in the queue, no request that the server still answers."""
    eventually(lambda: client._common.queue.waiting == 0)
    eventually(lambda: server.active == 0)
    return slots(client) == 0


@at_every_point
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


@at_every_point
@pytest.mark.parametrize("how", ["chat", "stream"])
def test_closing_the_client_ends_calls_in_flight(front, server, point, how):
    with no_leak(server):
        with point(front, server) as at_point:
            client = at_point.client
            ask = client.chat if how == "chat" else lambda message: list(client.stream_chat(message))
            work = Work(ask, at_point.message)
            eventually(at_point.reached)
            client.close()
            with pytest.raises(llmnet.APIConnectionError, match="closed") as caught:
                work.result()
            assert type(caught.value) is llmnet.APIConnectionError
            assert caught.value.provider == "fake"
            for later in (client.chat, client.stream_chat):
                with pytest.raises(llmnet.ConfigurationError, match="closed"):
                    later("hi")
        assert ended(client, server)


async def consume(client, how, message):
    if how == "chat":
        return await client.chat(message)
    return [chunk async for chunk in client.stream_chat(message)]


async def as_task(coroutine):
    return asyncio.create_task(coroutine)


@at_every_point
@pytest.mark.parametrize("how", ["chat", "stream"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_cancelled_task_is_cancelled(awaited, server, point, how, times):
    with no_leak(server):
        with point(awaited, server) as at_point:
            client = at_point.client
            before = slots(client)
            task = awaited.run(as_task(consume(client._client, how, at_point.message)))
            eventually(at_point.reached)
            for _ in range(times):
                awaited.loop.call_soon_threadsafe(task.cancel)
            awaited.run(asyncio.wait([task]))
            assert task.cancelled()
            eventually(lambda: slots(client) == before)
        assert ended(client, server)


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


@contextlib.contextmanager
def interrupted(at_point):
    """Interrupt the main thread, once it is at a point, as Ctrl-C does: until it hears, for it may just be going deaf."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    over = threading.Event()

    def wait_and_kill():
        eventually(at_point.reached)
        while not over.is_set():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            over.wait(3.0)

    work = Work(wait_and_kill)
    with pytest.raises(KeyboardInterrupt):
        yield
    over.set()
    work.result()
    signal.signal(signal.SIGINT, before)


@at_every_point
@pytest.mark.parametrize("how", ["chat", "stream"])
@pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")  # made, and not yet in anybody's hands
def test_an_interrupt_ends_a_call(server, point, how):
    with no_leak(server):
        with point(Sync(), server) as at_point:
            client = at_point.client
            before = slots(client)
            with interrupted(at_point):
                client.chat(at_point.message) if how == "chat" else list(client.stream_chat(at_point.message))
            assert slots(client) == before
            gc.collect()  # the module ssl closes no socket whose handshake was interrupted
        assert ended(client, server)


@pytest.mark.parametrize("how", ["chat", "stream"])
def test_a_task_is_cancelled_while_a_connection_is_drained(awaited, server, how):
    server.script(Reply(text=WORDS, stall=10**6))
    with no_leak(server), awaited.client(**at(server)) as client:
        callbacks = llmnet.StreamCallbacks()
        ask = client._client.chat("hi", callbacks=callbacks) if how == "chat" else consume(client._client, how, "hi")
        task = awaited.run(as_task(ask))
        eventually(lambda: any(call._closing for call in list(client._common._live)))
        awaited.loop.call_soon_threadsafe(task.cancel)
        awaited.run(asyncio.wait([task]))
        assert task.cancelled()
        assert slots(client) == 0


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
    with front.client(**at(server)) as client:
        stream = client.stream_chat(WORDS)
        next(stream)
        stream.cancel()
        with pytest.raises(llmnet.StreamCancelledError) as caught:
            list(stream)
        assert WORDS.startswith(caught.value.partial.content)
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


def resource_warnings(seen):
    return [w for w in seen if issubclass(w.category, ResourceWarning)]


def test_a_client_that_was_never_closed_warns(front, server):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        client = front.client(**at(server, api_key="sk-secret-value"))
        client.chat("hi")
        del client
        gc.collect()
        (warning,) = resource_warnings(seen)
    assert "unclosed" in str(warning.message)
    assert "sk-secret-value" not in str(warning.message)


def test_nothing_else_warns(front, server):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with front.client(**at(server)) as client:
            client.chat("hi")
            child = client.with_options(model="other")
            del child
            for _ in client.stream_chat(WORDS):
                break
        with pytest.raises(llmnet.ConfigurationError):
            front.client(**at(server, timeout=-1))
        del client
        gc.collect()
        eventually(lambda: not server._members)
        assert resource_warnings(seen) == []


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
