"""A callable `api_key`: asked for each attempt, under the call's bounds; what it raises is the caller's own affair."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import dataclasses
import functools
import gc
import itertools
import json
import threading
import warnings
import weakref

import httpx
import pytest
from support.inside import common_of
from support.live import PROMPT, BlockingClient, Work, at, content, eventually, slots

import llmnet
from llmnet.core.headers import ByIdentity
from llmnet.core.secrets import NEWEST
from llmnet.testing import Reply
from llmnet.transports import key_callable

pytestmark = pytest.mark.threads

SHORT = llmnet.Timeout(total=0.1)


class Hanging:
    """A key that is asked for and does not come, until it is let go."""

    def __init__(self):
        self.asked, self.over = threading.Event(), threading.Event()

    def __call__(self):
        self.asked.set()
        self.over.wait(PROMPT)
        return "sk-late"


async def never():
    await asyncio.sleep(3600)


@pytest.fixture
def hanging():
    key = Hanging()
    yield key
    key.over.set()


def child(front, client, **fields):
    """A child of either front with the same blocking face."""
    if front.name == "sync":
        return client.with_options(**fields)
    return BlockingClient(front, client._client.with_options(**fields))


def streamed(client):
    return list(client.stream_chat("hi"))


WAYS = [lambda client: client.chat("hi"), streamed]


# -- bounds -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", WAYS, ids=["chat", "stream"])
def test_a_key_that_does_not_come_meets_the_bound(front, server, hanging, ask):
    with front.client(**at(server, api_key=hanging, timeout=SHORT)) as client:
        with pytest.raises(
            llmnet.APITimeoutError, match=r"total bound of 0\.1s expired while the callable api_key"
        ) as e:
            ask(client)
        assert (e.value.phase, slots(client), server.request_count) == ("total", 0, 0)


def test_a_coroutine_function_meets_the_bound(awaited, server):
    with awaited.client(**at(server, api_key=never, timeout=SHORT)) as client:
        with pytest.raises(llmnet.APITimeoutError, match="while the callable api_key was asked"):
            client.chat("hi")
        assert (slots(client), server.request_count) == (0, 0)


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_a_stream_ends_while_its_key_is_asked_for(front, server, hanging, how):
    with front.client(**at(server, api_key=hanging)) as client:
        stream = client.stream_chat("hi")
        work = Work(list, stream)
        assert hanging.asked.wait(PROMPT)
        stream.cancel() if how == "cancel" else stream.close()
        with pytest.raises(llmnet.StreamCancelledError if how == "cancel" else llmnet.StreamError):
            work.result()
        assert (slots(client), server.request_count) == (0, 0)


def test_closing_the_client_ends_the_wait_for_a_key(front, server, hanging):
    with front.client(**at(server, api_key=hanging)) as client:
        work = Work(client.chat, "hi")
        assert hanging.asked.wait(PROMPT)
        client.close()
        with pytest.raises(llmnet.APIConnectionError, match="closed"):
            work.result()


# -- where it is called ---------------------------------------------------------------------------------------------------


def test_a_plain_one_has_a_daemon_thread_and_the_context_of_its_caller(front, server):
    seen, tenant = [], contextvars.ContextVar("tenant")

    def key():
        seen.append((threading.current_thread(), tenant.get()))
        return "sk-1"

    def ask(client):
        tenant.set("A")
        return client.chat("hi").content

    async def ask_awaited(client):
        tenant.set("A")
        return (await client.chat("hi")).content

    with front.client(**at(server, api_key=key)) as client:
        said = ask(client) if front.name == "sync" else front.run(ask_awaited(client._client))
    ((thread, value),) = seen
    assert (said, value, thread.daemon, thread.name) == ("hi", "A", True, "llmnet-key")


def test_threads_of_the_loop_may_all_be_taken(awaited, server):
    """An executor whose threads wait for the client would never come to its key."""

    async def main(client):
        loop = asyncio.get_running_loop()
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
        ask = lambda: asyncio.run_coroutine_threadsafe(client.chat("hi"), loop).result(PROMPT)  # noqa: E731
        return (await asyncio.to_thread(ask)).content

    with awaited.client(**at(server, api_key=lambda: "sk-1")) as client:
        assert awaited.run(main(client._client)) == "hi"


def test_where_no_thread_can_be_had_the_error_says_so(front, server, monkeypatch):
    def start(thread, real=threading.Thread.start):
        if thread.name == "llmnet-key":
            raise RuntimeError("can't start new thread")
        real(thread)

    with front.client(**at(server, api_key=lambda: "sk-1", max_retries=0)) as client:
        monkeypatch.setattr(threading.Thread, "start", start)
        with pytest.raises(llmnet.APIConnectionError, match="no thread to ask the callable api_key: can't start"):
            client.chat("hi")
        monkeypatch.undo()
        assert client.chat("hi").content == "hi"


def test_a_function_that_never_answers_leaves_no_more_threads_than_so_many(front, server, hanging, monkeypatch):
    def key():
        asked.append(1)
        return hanging()

    asked = []
    monkeypatch.setattr(key_callable, "MOST_LEFT", 3)
    with front.client(**at(server, api_key=key, max_retries=0)) as client:
        for _ in range(3):
            with pytest.raises(llmnet.APITimeoutError, match="callable api_key was asked"):
                client.chat("hi", timeout=0.01)
        with pytest.raises(llmnet.APIConnectionError, match="has not answered 3 earlier calls"):
            client.chat("hi")
        assert len(asked) == 3
        with child(front, client, api_key=lambda: "sk-1") as other:
            assert other.chat("hi").content == "hi"  # another function is asked
        hanging.over.set()
        eventually(lambda: not key_callable._LEFT.answers)  # private: all that was asked has ended
        assert client.chat("hi").content == "hi"


async def key_of_a_coroutine():
    return "sk-1"


def test_a_coroutine_that_nobody_can_await_is_closed(server):
    with (
        warnings.catch_warnings(record=True) as warned,
        llmnet.Client(**at(server, api_key=lambda: key_of_a_coroutine())) as client,  # noqa: PLW0108
    ):
        warnings.simplefilter("always")
        with pytest.raises(llmnet.ConfigurationError, match="must be a string, not coroutine"):
            client.chat("hi")
        gc.collect()
    assert [str(one.message) for one in warned] == []


def test_a_coroutine_that_comes_when_nobody_waits_is_closed(front, server):
    asked, over = threading.Event(), threading.Event()

    def key():
        asked.set()
        over.wait(PROMPT)
        return key_of_a_coroutine()

    with warnings.catch_warnings(record=True) as warned, front.client(**at(server, api_key=key)) as client:
        warnings.simplefilter("always")
        stream = client.stream_chat("hi")
        work = Work(list, stream)
        assert asked.wait(PROMPT)
        stream.cancel()
        with pytest.raises(llmnet.StreamCancelledError):
            work.result()
        over.set()
        eventually(lambda: not key_callable._LEFT.answers)  # private: all that was asked has ended
        eventually(lambda: all(thread.name != "llmnet-key" for thread in threading.enumerate()))
        gc.collect()
    assert [str(one.message) for one in warned] == []


# -- what it raises -------------------------------------------------------------------------------------------------------


class Own(BaseException):
    """What is no `Exception`."""


def raising(error, *, coroutine=False):
    def key():
        raise error

    async def key_awaited():
        raise error

    return key_awaited if coroutine else key


RAISED = [
    ValueError("mine"), TimeoutError("mine"), ConnectionResetError("mine"), llmnet.APIConnectionError("mine"), Own("mine"),
    concurrent.futures.CancelledError("mine"), concurrent.futures.InvalidStateError("mine"), GeneratorExit("mine"),
]  # fmt: skip


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("ask", WAYS, ids=["chat", "stream"])
def test_what_it_raises_passes_as_it_is(front, server, error, ask):
    async def same(client, key):
        """Where nothing lies between the client and who looks."""
        with pytest.raises(type(error)) as caught:
            await client.with_options(api_key=key).chat("hi")
        return caught.value is error

    with front.client(**at(server)) as client:
        if front.name == "sync":
            with pytest.raises(type(error)) as caught:
                ask(client.with_options(api_key=raising(error)))
            assert caught.value is error
        else:
            assert front.run(same(client._client, raising(error)))
            assert front.run(same(client._client, raising(error, coroutine=True)))
        assert (server.request_count, slots(client)) == (0, 0)


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("coroutine", [False, True])
@pytest.mark.parametrize("ask", WAYS, ids=["chat", "stream"])
def test_the_end_of_an_iteration_is_no_end_of_a_stream(front, server, error, coroutine, ask):
    if coroutine and front.name == "sync":
        return
    raised = error()
    with front.client(**at(server)) as client:
        with pytest.raises(RuntimeError, match=f"raised {error.__name__}") as caught:
            ask(child(front, client, api_key=raising(raised, coroutine=coroutine)))
        assert caught.value.__cause__ is raised
        assert (server.request_count, slots(client)) == (0, 0)


def test_keys_that_run_out(front, server):
    keys = iter(["sk-1"])
    with front.client(**at(server, api_key=lambda: next(keys))) as client:
        assert content(client.stream_chat("hi")) == "hi"
        ends = [result.error for result in client.batch(["a", "b"])]
    assert [(type(end), type(end.__cause__)) for end in ends] in (
        [(RuntimeError, StopIteration)] * 2,
        [(RuntimeError, type(None))] * 2,  # a batch keeps no causes
    )


# -- by itself it is a credential -------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Tenant:
    """A callable that has no hash, and whose equals are other tenants."""

    name: str = ""

    def __call__(self):
        return "sk-1"

    def key(self):
        return "sk-1"


def lanes(client):
    return len(common_of(client)._gates._known)  # private: what is forgotten is seen nowhere else


def test_the_key_of_a_call_is_hidden_however_many_have_followed(front, server):
    keys = (f"{number:04}-the-key-of-one-attempt" for number in itertools.count())
    word, said = (
        {"choices": [{"delta": {"content": "one"}}]},
        {"error": {"message": "no: 0000-the-key-of-one-attempt"}},
    )
    server.script(Reply(events=[f"data: {json.dumps(event)}\n\n" for event in (word, said)]))
    with front.client(**at(server, api_key=lambda: next(keys))) as client:
        stream = iter(client.stream_chat("hi"))
        next(stream)
        for _ in range(NEWEST + 1):
            client.chat("hi")
        with pytest.raises(llmnet.APIStatusError, match=r"no: \*\*\*"):
            next(stream)


def test_a_function_is_known_by_itself(front, server):
    one, other = Tenant(), Tenant()
    with front.client(**at(server)) as client:
        for key in (one, one, other, one.key, one.key, other.key, print, functools.partial(str, "sk-1")):
            for _ in range(2):
                child(front, client, api_key=key).stream_chat("hi").close()
        assert lanes(client) == 6
    assert ByIdentity(one.key) == ByIdentity(one.key) != ByIdentity(other.key)
    assert ByIdentity(one) != one


def test_a_dead_tenant_throttles_nobody(front, server):
    """Its number may be given to another function; so many tries have always met one."""

    def handler(request):
        gone = request.headers["authorization"].endswith("-gone")
        return Reply(status=429, headers={"retry-after": "60"}) if gone else Reply()

    def key(name):
        return lambda: f"sk-{name}"

    server.handler = handler
    with front.client(**at(server, max_retries=1)) as client:
        for _ in range(30):
            with contextlib.suppress(llmnet.RateLimitError):  # and no frame of it is kept
                child(front, client, api_key=key("gone")).chat("hi", timeout=5)
            assert child(front, client, api_key=key("living")).chat("hi", timeout=5).content == "hi"


def test_many_tenants_are_not_kept_for_ever(front, server, monkeypatch):
    monkeypatch.setattr("llmnet.core.admission.lanes.MANY", 10)
    with front.client(**at(server)) as client:
        keys = [Tenant() for _ in range(40)]
        for key in keys:
            child(front, client, api_key=key).stream_chat("hi").close()
        kept = [weakref.ref(key) for key in keys]
        del key, keys
        gc.collect()
        eventually(lambda: sum(ref() is not None for ref in kept) <= 20)


def kept_by(cache):
    """The texts and bytes that a cache of functions keeps."""
    seen, left = set(), [cache]
    while left:
        one = left.pop()
        if isinstance(one, str | bytes):
            yield one.encode() if isinstance(one, str) else one
        elif id(one) not in seen and isinstance(
            one, tuple | list | dict | httpx.Headers | functools._lru_cache_wrapper
        ):
            seen.add(id(one))
            left += gc.get_referents(one)


def test_no_cache_keeps_a_key_longer_than_its_client(front, server):
    key = "sk-in-no-cache-0123456789"
    with front.client(**{**at(server), "api_key": key}) as client:
        client.chat("hi")
    del client
    gc.collect()
    caches = [one for one in gc.get_objects() if isinstance(one, functools._lru_cache_wrapper)]
    assert len(caches) > 10
    assert [cache for cache in caches for text in kept_by(cache) if key.encode() in text] == []
