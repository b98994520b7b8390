"""Both fronts behind one blocking face, over real sockets and in real time; and peers that behave worse than any server."""

import asyncio
import contextlib
import os
import sys
import threading
import time
import traceback

import pytest
from support.inside import connections_of, queue_of
from support.wire_forms import path_of

import llmnet

# The engine of the async front; respx, which other tests load, would keep "auto" from the fast one.
ENGINE = os.environ.get("LLMNET_ENGINE", "fast")
PROMPT = 30.0  # what "at once" may take at most on a loaded machine; nothing is measured by it


WORDS = "one two three four five six"


def at(server, form="chat-completions", **more):
    """The fields of a client that talks to a fake server."""
    return {"provider": "fake", "api": form, "base_url": server.url + path_of(form), "model": "m", **more}


def at_port(port, scheme="http", **more):
    return {"provider": "fake", "base_url": f"{scheme}://127.0.0.1:{port}/v1", "model": "m", **more}


def content(chunks):
    return "".join(chunk.content for chunk in chunks)


def needs_our_engine(front_name, why):
    """Leave a case out on httpx's own engine, where what comes below httpx is h11's and httpcore's affair."""
    if front_name == "async" and ENGINE == "httpx":
        pytest.skip(f"httpx's own engine {why}")


def eventually(condition, seconds=PROMPT):
    """Wait for a state that comes by itself; how soon is no matter of correctness."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)
    return value


class Sync:
    """The sync front: what the tests call is the client itself."""

    name = "sync"

    def client(self, **fields):
        return llmnet.Client(**fields)


class Async:
    """The async front, on a loop in a thread of its own."""

    name = "async"

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self._complain)
        self.complaints = []
        self._thread = threading.Thread(target=self._main, name="front", daemon=True)
        self._thread.start()

    def _main(self):
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._until_stopped())

    async def _until_stopped(self):
        self._stopping = asyncio.Event()
        await self._stopping.wait()

    def _complain(self, loop, context):
        self.complaints.append(context)

    def run(self, coroutine):
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(PROMPT * 2)
        except TimeoutError:
            assert future.done(), f"the loop has not come to an end of it:\n{self._stack()}"
            raise

    def stop(self):
        eventually(lambda: hasattr(self, "_stopping"))
        self.loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(PROMPT)
        assert not self._thread.is_alive(), f"the loop does not stop:\n{self._stack()}"
        assert self.complaints == [], self.complaints

    def _stack(self):
        """Where the loop's thread is just now."""
        return "".join(traceback.format_stack(sys._current_frames().get(self._thread.ident)))

    def client(self, **fields):
        if not fields.get("http2"):
            fields.setdefault("transport", ENGINE)
        return BlockingClient(self, llmnet.AsyncClient(**fields))


class BlockingClient:
    def __init__(self, front, client):
        self._front, self._client = front, client

    def __getattr__(self, name):
        return getattr(self._client, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def chat(self, *args, **params):
        return self._front.run(self._client.chat(*args, **params))

    def list_models(self):
        return self._front.run(self._client.list_models())

    def warm(self):
        return self._front.run(self._client.warm())

    def request(self, *args, **params):
        made = self._client.request(*args, **params)
        return BlockingStream(self._front, made) if params.get("stream") else self._front.run(made)

    def stream_chat(self, *args, **params):
        return BlockingStream(self._front, self._client.stream_chat(*args, **params))

    def batch(self, *args, **params):
        return BlockingBatch(self._front, self._client.batch(*args, **params))

    def close(self):
        self._front.run(self._client.aclose())


def child_of(front, client, **fields):
    """A child of a client of a front, behind the same blocking face."""
    child = client.with_options(**fields)
    return child if front.name == "sync" else BlockingClient(front, child)


class BlockingBatch:
    def __init__(self, front, batch):
        self._front, self._batch = front, batch

    def __getattr__(self, name):
        return getattr(self._batch, name)

    def __iter__(self):
        return self

    def __next__(self):
        result = self._front.run(anext(self._batch, None))
        if result is None:
            raise StopIteration
        return result

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._front.run(self._batch.aclose())


class BlockingStream:
    def __init__(self, front, stream):
        self._front, self._stream = front, stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def __repr__(self):
        return repr(self._stream)

    def __iter__(self):
        assert aiter(self._stream) is self._stream
        return self

    def __next__(self):
        chunk = self._front.run(anext(self._stream, None))
        if chunk is None:
            raise StopIteration
        return chunk

    def __enter__(self):
        self._front.run(self._stream.__aenter__())
        return self

    def __exit__(self, *error):
        self._front.run(self._stream.__aexit__(*error))

    def close(self):
        self._front.run(self._stream.aclose())


class Work(threading.Thread):
    """A function on a thread; `result` gives what it gave, or raises what it raised."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self._function, self._args = function, args
        self.error = self.value = None
        self.start()

    def run(self):
        try:
            self.value = self._function(*self._args)
        except BaseException as error:
            self.error = error

    def result(self):
        self.join(PROMPT)
        assert not self.is_alive(), "it still waits"
        if self.error is not None:
            raise self.error
        return self.value


def blocked(stream):
    """Whether somebody waits on behalf of a stream, in a way that can be woken."""
    return stream._call.interruption._wake is not None  # private: a stream does not tell


def slots(client):
    return queue_of(client).active


def open_files():
    """How many descriptors there are, without /dev/null: libuv keeps it open for each loop, from its first stream on."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # it was closed as we looked
            count += os.readlink(f"/proc/self/fd/{number}") != "/dev/null"
    return count


@contextlib.contextmanager
def no_leak(server):
    """Client, stream and server have given back all their descriptors; whoever closes last may still be closing."""
    eventually(lambda: not connections_of(server))
    before = open_files()
    yield
    eventually(lambda: open_files() <= before)
