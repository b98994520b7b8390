"""Batches of the size that a night takes: memory stays flat, no call is too many, each row comes back once, in order.

Each case is a program of its own, whose memory is measured from its thousandth row on. It prints one line of figures.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest
from support.inside import replace_parts
from support.paths import TESTS

import llmnet
from llmnet.core.http import Headers

LIMIT = 32
MOST_GROWTH = 50.0  # megabytes
WARM = 1000
BIG = 200_000  # characters

PROGRAM = "import sys, json; sys.path.insert(0, sys.argv[1]); from batch import test_batch_size as t; t.main(json.loads(sys.argv[2]))"
SERVER = """
import json, sys
from llmnet.testing import FakeServer, Reply
with FakeServer() as server:
    def reply(request):
        server.requests.clear()  # they would be kept
        delay = 0.3 if server.request_count <= 100 else 0.01  # in the beginning as many as may be are under way
        return Reply(status=400 if "fails" in request.path else 200, delay=delay)
    server.handler = reply
    print(server.port, flush=True)
    sys.stdin.read()
    print(json.dumps({"peak": server.peak, "requests": server.request_count}))
"""
REPLY = (
    b'{"id":"1","model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"%s"}}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)
JSON = Headers([("content-type", "application/json")])


# -- in a process of its own ---------------------------------------------------------------------------------------------


class Null:
    """A transport that has the reply at once; it counts as a server would."""

    def __init__(self):
        self._lock = threading.Lock()
        self.active = self.peak = self.requests = 0

    def send(self, exchange, bounds):
        """The head of a success; its body is what was asked."""
        with self._lock:
            self.active, self.requests = self.active + 1, self.requests + 1
            self.peak = max(self.peak, self.active)
        said = json.loads(exchange.request.body)["messages"][0]["content"]
        return NullReply(self, REPLY % said.encode())

    def leave(self):
        with self._lock:
            self.active -= 1

    def close(self):
        pass


class AsyncNull(Null):
    async def send(self, exchange, bounds):
        reply = super().send(exchange, bounds)
        await asyncio.sleep(0)
        return reply

    async def aclose(self):
        pass


class NullReply:
    status, headers = 200, JSON

    def __init__(self, transport, body):
        self._transport, self._body = transport, body

    def __iter__(self):
        yield self._body

    async def __aiter__(self):
        yield self._body

    def close(self):
        self._transport.leave()

    async def aclose(self):
        self._transport.leave()


def memory(name):
    """A figure of this process in megabytes: `VmRSS` is its memory now, `VmHWM` the most since `forget_peak`."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1]) / 1024


def forget_peak():
    pathlib.Path("/proc/self/clear_refs").write_text("5")


class Census:
    """Looks at each result: once, right, in order."""

    def __init__(self, rows, *, ordered, size, fails, **_):
        self.rows, self.ordered, self.size, self.fails = rows, ordered, size, fails
        self._seen, self._count, self._before = bytearray(rows), 0, 0.0
        self._started = time.monotonic()

    def prompts(self):
        return (self._prompt(index) for index in range(self.rows))

    def _prompt(self, index):
        return f"prompt {index}".ljust(self.size, ".")

    def add(self, result):
        assert not self._seen[result.index]
        assert not self.ordered or result.index == self._count
        self._seen[result.index] = 1
        if self.fails:
            assert type(result.error) is llmnet.BadRequestError
        else:
            assert result.response.content == self._prompt(result.index)
        self._count += 1
        if self._count == min(WARM, self.rows // 10):
            forget_peak()
            self._before = memory("VmRSS")

    def figures(self):
        assert self._count == sum(self._seen) == self.rows
        seconds = time.monotonic() - self._started
        return {"growth": memory("VmHWM") - self._before, "seconds": seconds, "memory": memory("VmRSS")}


def main(case):
    """Run a case, and print its figures."""
    census = Census(**case)
    client = (llmnet.Client if case["front"] == "sync" else llmnet.AsyncClient)(
        provider="fake", base_url=case["url"], model="m"
    )
    null = None if case["port"] else (Null if case["front"] == "sync" else AsyncNull)()
    if null is not None:
        replace_parts(client, transport=null)  # without HTTP, for the batch's own memory
    options = {"max_concurrent": LIMIT, "ordered": case["ordered"]}
    if case["front"] == "sync":
        with client:
            for result in client.batch(census.prompts(), **options):
                census.add(result)
    else:
        asyncio.run(_awaited(client, census, options))
    counted = {"peak": null.peak, "requests": null.requests} if null is not None else {}
    print(json.dumps(census.figures() | counted))


async def _awaited(client, census, options):
    async with client:
        async for result in client.batch(census.prompts(), **options):
            census.add(result)


# -- the cases -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def server():
    """A fake server in a process of its own; in the end it says what it has counted."""
    command, counted = [sys.executable, "-c", SERVER], {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline()), counted
        counted |= json.loads(process.communicate()[0])


def measured(front, rows, *, port=0, ordered=False, size=0, fails=False):
    path = "fails/v1" if fails else "v1"
    case = {"front": front, "rows": rows, "port": port, "ordered": ordered, "size": size, "fails": fails}
    case["url"] = f"http://127.0.0.1:{port or 9}/{path}"  # nothing is sent to that one
    command = [sys.executable, "-c", PROGRAM, str(TESTS), json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def show(name, rows, figures):
    print(
        f"{name}: {rows} rows in {figures['seconds']:.1f} s, {rows / figures['seconds']:.0f} a second, "
        f"memory +{figures['growth']:.1f} MB to {figures['memory']:.0f} MB, at most {figures['peak']} in flight"
    )
    assert figures["growth"] < MOST_GROWTH
    assert figures["peak"] <= LIMIT
    assert figures["requests"] == rows


pytestmark = [
    pytest.mark.threads,
    pytest.mark.heavy,
    pytest.mark.timeout(1000),
    pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs Linux's /proc"),
    pytest.mark.parametrize("front", ["sync", "async"]),
]
order = pytest.mark.parametrize("ordered", [False, True], ids=["as they come", "in order"])


@order
def test_two_hundred_thousand_rows_against_nobody(front, ordered):
    figures = measured(front, 200_000, ordered=ordered)
    show(f"{front}, null transport{', ordered' * ordered}", 200_000, figures)


@order
def test_twenty_thousand_rows_over_real_sockets(front, ordered):
    with server() as (port, counted):
        figures = measured(front, 20_000, port=port, ordered=ordered)
    show(f"{front}, real sockets{', ordered' * ordered}", 20_000, figures | counted)
    assert counted["peak"] == LIMIT


@pytest.mark.parametrize("fails", [False, True], ids=["replies", "failures"])
def test_rows_that_are_large(front, fails):
    """Nothing keeps a row once its result is taken: half a gigabyte of prompts goes through."""
    with server() as (port, counted):
        figures = measured(front, 2_500, port=port, size=BIG, fails=fails)
    show(f"{front}, {BIG // 1000} kB a row{', all fail' * fails}", 2_500, figures | counted)
