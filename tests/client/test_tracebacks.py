"""A traceback shows the caller's own lines and at most three of llmnet, whatever failed; `LLMNET_DEBUG=1` shows all."""

import asyncio
import gc
import socket
import subprocess
import sys
import traceback
import weakref
from typing import TypedDict

import pytest
from support.live import at, at_port

import llmnet
from llmnet.core.tracebacks import reachable
from llmnet.testing import Reply

LIBRARIES = {"requests", "urllib3", "httpx", "httpcore", "httptools", "anyio", "h11", "tenacity", "concurrent"}
ONE_MORE = llmnet.RetryPolicy(max_retries=1, base_delay=0.001, max_delay=0.002)


def rooms(error):
    """The packages of all frames that Python prints for an error, its printed causes included."""
    names = []
    while error is not None:
        names += [frame.f_globals["__name__"].partition(".")[0] for frame, _ in traceback.walk_tb(error.__traceback__)]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return names


def check(error):
    names = rooms(error)
    assert names.count("llmnet") <= 3, "".join(traceback.format_exception(error))
    assert not LIBRARIES & {*names}, "".join(traceback.format_exception(error))
    assert __name__.partition(".")[0] in names


class City(TypedDict):
    """What a reply is to be."""

    name: str


async def awaited(client, way):
    if way == "chat":
        await client.chat("hi")
    elif way == "callbacks":
        await client.chat("hi", callbacks=llmnet.StreamCallbacks())
    elif way == "stream":
        async for _ in client.stream_chat("hi"):
            pass
    elif way == "entered stream":
        async with client.stream_chat("hi") as stream:
            await anext(stream)
    elif way == "embed":
        await client.embed("hi")
    elif way == "list_models":
        await client.list_models()
    elif way == "output":
        await client.chat("hi", output_type=City)
    elif way == "request":
        await client.request("POST", "/moderations", json={})
    elif way == "request stream":
        async with client.request("GET", "/files", stream=True) as stream:
            async for _ in stream:
                pass
    elif way == "warm":
        await client.warm()
    elif way == "batch":
        async for result in client.batch(["hi"]):
            raise result.error
    elif way == "with_retry":
        await llmnet.with_retry(max_attempts=2, base_delay=0.001)(awaited)(client, "chat")


def blocking(client, way):
    if way == "chat":
        client.chat("hi")
    elif way == "callbacks":
        client.chat("hi", callbacks=llmnet.StreamCallbacks())
    elif way == "stream":
        for _ in client.stream_chat("hi"):
            pass
    elif way == "entered stream":
        with client.stream_chat("hi") as stream:
            next(stream)
    elif way == "embed":
        client.embed("hi")
    elif way == "list_models":
        client.list_models()
    elif way == "output":
        client.chat("hi", output_type=City)
    elif way == "request":
        client.request("POST", "/moderations", json={})
    elif way == "request stream":
        with client.request("GET", "/files", stream=True) as stream:
            for _ in stream:
                pass
    elif way == "warm":
        client.warm()
    elif way == "batch":
        for result in client.batch(["hi"]):
            raise result.error
    elif way == "with_retry":
        llmnet.with_retry(max_attempts=2, base_delay=0.001)(blocking)(client, "chat")


async def _in_loop(fields, way):
    async with llmnet.AsyncClient(**fields) as client:
        await awaited(client, way)


def run(front, fields, way):
    """Let a call fail, in the very frames of the caller's: the blocking face of the async front adds its own."""
    if front == "sync":
        with llmnet.Client(**fields) as client:
            blocking(client, way)
    else:
        engine = {"transport": "httpx"} if front == "httpx" else {}
        asyncio.run(_in_loop({**fields, **engine}, way))


def refused(**more):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return at_port(port, retry=ONE_MORE, **more)


WAYS = (
    "chat",
    "callbacks",
    "stream",
    "entered stream",
    "embed",
    "list_models",
    "warm",
    "batch",
    "with_retry",
    "output",
    "request",
    "request stream",
)
pytestmark = pytest.mark.parametrize("name", ["sync", "async", "httpx"])


@pytest.mark.parametrize("way", WAYS)
def test_of_a_connection_that_cannot_be_made(name, way):
    if (name, way) == ("httpx", "warm"):
        pytest.skip("httpx's own engine warms nothing")
    with pytest.raises(llmnet.APIConnectionError) as caught:
        run(name, refused(), way)
    check(caught.value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reply", [{"status": 500}, {"raw": b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"}])
def test_of_a_reply_that_is_none(name, way, server, reply):
    if way == "warm":
        pytest.skip("it has no reply")
    server.script(*[Reply(**reply)] * 4)
    with pytest.raises(llmnet.LLMNetError) as caught:
        run(name, at(server, retry=ONE_MORE), way)
    check(caught.value)


def test_of_a_reply_of_another_type(name, server):
    server.script("no JSON")
    with pytest.raises(llmnet.OutputError) as caught:
        run(name, at(server), "output")
    check(caught.value)


def test_of_arguments_that_are_wrong(name, server):
    if name != "sync":
        pytest.skip("they are checked before anything is awaited")
    with llmnet.Client(**at(server)) as client:
        wrong = {
            "a client's": lambda: llmnet.Client("nonsense:x"),
            "a key that is missing": lambda: llmnet.Client("openai:gpt-5.4-mini"),
            "a child's": lambda: client.with_options(proxy="http://p"),
            "a call's": lambda: client.chat([{"role": "user", "content": float("nan")}]),
            "a stream's": lambda: client.stream_chat("hi", temprature=1),
            "inputs": lambda: client.embed([1]),
            "a header": lambda: client.embed("hi", extra_headers={"\n": "x"}),
            "a request's": lambda: client.request("GET", "http://elsewhere/x"),
            "a type's": lambda: client.chat("hi", output_type=3),
            "a row's": lambda: client.batch(["hi"], temprature=1),
        }
        for what, call in wrong.items():
            with pytest.raises(llmnet.ConfigurationError) as caught:
                call()
            check(caught.value)
            assert rooms(caught.value).count("llmnet") <= 2, what


# -- what is left in it ------------------------------------------------------------------------------------------------


def test_the_cause_is_reachable_and_holds_no_frames(name):
    with pytest.raises(llmnet.APIConnectionError) as caught:
        run(name, refused(), "chat")
    _, *causes = reachable(caught.value)
    assert any(isinstance(one, ConnectionError | OSError) for one in causes)
    assert [one.__traceback__ for one in causes] == [None] * len(causes)
    assert "Errno 111" in str(caught.value) or "refused" in str(caught.value)


@pytest.mark.parametrize("way", ["chat", "stream"])
def test_an_error_is_gone_with_its_last_reference(name, way):
    """No frame holds the very error whose traceback holds the frame, so that nothing waits for the collector."""

    gc.collect()
    gc.disable()
    try:
        assert _gone(name, refused(), way)
    finally:
        gc.enable()


def _gone(front, fields, way):
    async def main():  # inside the loop, for a task holds the exception that it ended with
        async with llmnet.AsyncClient(**fields) as client:
            try:
                await awaited(client, way)
            except llmnet.APIConnectionError as error:
                gone = weakref.ref(error)
            return gone() is None

    if front != "sync":
        return asyncio.run(main())
    with llmnet.Client(**fields) as client:
        try:
            blocking(client, way)
        except llmnet.APIConnectionError as error:
            gone = weakref.ref(error)
        return gone() is None


@pytest.mark.parametrize("way", ["chat", "callbacks", "batch", "with_retry"])
def test_it_ends_with_where_the_error_is_described(name, way):
    with pytest.raises(llmnet.APIConnectionError) as caught:
        run(name, refused(), way)
    assert traceback.format_exception(caught.value)[-1] == "see docs/errors.md#apiconnectionerror\n"
    assert caught.value.__notes__ == ["see docs/errors.md#apiconnectionerror"]
    assert "errors.md" not in str(caught.value)


def test_what_the_caller_was_handling_is_shown(name):
    mine = ValueError("mine")
    try:
        raise mine
    except ValueError:
        with pytest.raises(llmnet.APIConnectionError) as caught:
            run(name, refused(), "chat")
    check(caught.value)
    if name == "sync":  # a loop begins anew, with nothing that is being handled
        assert caught.value.__context__ is mine
        assert mine.__traceback__ is not None
        assert "During handling of the above exception" in "".join(traceback.format_exception(caught.value))


RETRIED, STREAMS = ("chat", "output", "embed", "request"), ("stream", "entered stream", "callbacks", "request stream")


@pytest.mark.parametrize("way", [*RETRIED, *STREAMS])
async def test_what_a_coroutine_was_handling_is_shown(name, way):
    """A connection that cannot be made fails in a task of its own, which handles nothing."""
    if name == "sync":
        pytest.skip("it has no coroutine")
    fields = refused(transport="fast" if name == "async" else name) | ({} if way in RETRIED else {"max_retries": 0})
    mine = ValueError("mine")
    async with llmnet.AsyncClient(**fields) as client:
        try:
            raise mine
        except ValueError:
            with pytest.raises(llmnet.APIConnectionError) as caught:
                await awaited(client, way)
    check(caught.value)
    assert (caught.value.__context__, caught.value.__suppress_context__) == (mine, False)


def test_frames_of_a_function_of_the_callers_stay(name, server):
    def key():
        raise RuntimeError("the vault is shut")

    with pytest.raises(RuntimeError) as caught:
        run(name, at(server, api_key=key), "chat")
    assert "key" in [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    check(caught.value)


def test_a_function_without_the_name_of_a_module_is_the_callers(name, server):
    space = {"__name__": None}
    exec("def key():\n  raise ValueError('mine')", space)
    with pytest.raises(ValueError, match="mine") as caught:
        run(name, at(server, api_key=space["key"]), "chat")
    assert [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.value.__traceback__)][-1] == "key"


def test_an_error_of_ours_in_a_function_of_the_callers_shows_that_function(name, server):
    def key():
        with llmnet.Client(**refused()) as other:
            return other.chat("a key, please").content

    with pytest.raises(llmnet.APIConnectionError) as caught:
        run(name, at(server, api_key=key), "chat")
    assert "key" in [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    check(caught.value)


def test_a_callbacks_own_error_shows_the_callback(name, server):
    if name != "sync":
        pytest.skip("its text is the same")

    def on_chunk(chunk):
        raise KeyError("mine")

    with llmnet.Client(**at(server)) as client, pytest.raises(KeyError) as caught:
        client.chat("hi", callbacks=llmnet.StreamCallbacks(on_chunk=on_chunk))
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "on_chunk"
    check(caught.value)


PROGRAM = """
import asyncio, llmnet
fields = {"provider": "fake", "base_url": "http://127.0.0.1:1/v1", "model": "m", "max_retries": 0}
async def main():
    async with llmnet.AsyncClient(**fields, transport="ENGINE") as client:
        await client.chat("hi")
if "NAME" == "sync":
    llmnet.Client(**fields).chat("hi")
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("debug", ["", "0", "1"])
def test_the_variable_shows_everything(name, debug):
    """As the interpreter prints it, which asks no library."""
    program = PROGRAM.replace("NAME", name).replace("ENGINE", "httpx" if name == "httpx" else "fast")
    environ = {"LLMNET_DEBUG": debug, "PYTHONPATH": ":".join(filter(None, sys.path))}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=60)
    library = "urllib3" if name == "sync" else "httpx"
    assert (library in ran.stderr) == (debug == "1"), ran.stderr
    assert ("direct cause" in ran.stderr) == (debug == "1")
    if debug != "1":
        assert ran.stderr.count("/llmnet/") <= 3
    assert ran.stderr.count("the connection could not be made") >= 1
