"""Rows 125-129 of the fault matrix: forks, the garbage collector, the end of the interpreter, a kernel that fails."""

import asyncio
import functools
import gc
import os
import shutil
import subprocess
import warnings

import pytest
from matrix.case import Row
from support.inside import common_of, connections_of, inner, lock_of, queue_of
from support.live import PROMPT, Work, at, eventually, no_leak
from support.subprocesses import answered, held_elsewhere, in_child, run_python

from llmnet.testing import Reply

# -- forks --------------------------------------------------------------------------------------------------------------


def warm_pool(front, server):
    """Parent and child talk at once, each over connections of its own: neither meets anything odd."""

    async def several(asked):
        return [told(await asked.chat(f"child {n}")) for n in range(20)]

    def told(reply):
        return reply.content, len(reply.meta.attempts)

    with no_leak(server), front.client(**at(server)) as client:
        client.chat("warm")
        asked = inner(client)
        if front.name == "sync":
            child = in_child(lambda: [told(asked.chat(f"child {n}")) for n in range(20)])
        else:
            child = in_child(lambda: asyncio.run(several(asked)))
        assert [told(client.chat(f"parent {n}")) for n in range(20)] == [(f"parent {n}", 1) for n in range(20)]
        assert child.result() == str([(f"child {n}", 1) for n in range(20)])
        assert (server.connections, client.request_count) == (2, 21)


def locks_held(front, server):
    """Locks and slots that other threads have are not inherited."""
    server.script(Reply(hold=True))
    with front.client(**at(server, max_concurrent=1)) as client:
        asked, turn = inner(client), queue_of(client)._turn  # private: as if another thread were in the queue
        work = Work(client.chat, "held")
        server.wait_for_requests(1)
        assert turn.take("a thread that the child does not have")
        with held_elsewhere(lock_of(common_of(client))):
            child = in_child(lambda: answered(asked.chat("child")).content)
        turn.give("a thread that the child does not have")
        assert child.result() == "child"
        server.release()
        assert work.result().content == "held"


# -- what nobody closes -------------------------------------------------------------------------------------------------


def never_closed(front, server):
    with no_leak(server), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        client = front.client(**at(server, api_key="sk-secret-value"))
        client.chat("hi")
        assert len(connections_of(server)) == 1
        del client
        gc.collect()
        ((category, said),) = [(warning.category, str(warning.message)) for warning in seen]
        seen.clear()  # a warning holds what it is about
        gc.collect()
        eventually(lambda: not connections_of(server))
    assert category is ResourceWarning
    assert "unclosed" in said
    assert "sk-secret-value" not in said


SHUTDOWN = """
import asyncio, threading
import llmnet
from llmnet.testing import FakeServer, Reply

server = FakeServer().start()
server.script(*[Reply(text="a b c d", hold="body")] * 3)
fields = {"provider": "fake", "base_url": server.url + "/v1", "model": "m"}
client, asynchronous = llmnet.Client(**fields), llmnet.AsyncClient(**fields)
heard = threading.Event()

def read():
    for chunk in client.stream_chat("hi"):
        heard.set()

threading.Thread(target=read, daemon=True).start()
assert heard.wait(60)
stream = client.stream_chat("hi")
next(stream)

async def leave():
    stream = asynchronous.stream_chat("hi")
    await anext(stream)
    kept.append(stream)

kept = []
loop = asyncio.new_event_loop()
loop.run_until_complete(leave())
END
print("fine")
"""

ENDS = {
    "with loop and streams open": "",
    "after its loop": "loop.close()",
    "by exit": "print('fine'); raise SystemExit",
}


def end_of_the_interpreter(end, front, server):
    """Streams are open on a daemon thread, on the main thread and on a loop: the interpreter ends all the same."""
    run_python(SHUTDOWN.replace("END", end), "-W", "ignore::ResourceWarning")


# -- a kernel that fails ------------------------------------------------------------------------------------------------

RECEIVE = """
import asyncio, sys
import llmnet

URL, FRONT, FAILS = sys.argv[1:]
fields = {"provider": "fake", "base_url": URL + "/v1", "model": "m", "retry": llmnet.RetryPolicy(base_delay=0.001, budget=None)}

def seen(client, replies):
    assert [reply.content for reply in replies] == ["a b c d e f"] * 30
    retried = sum(len(reply.meta.attempts) - 1 for reply in replies)
    assert (retried > 5) == (FAILS == "yes"), retried

async def main():
    async with llmnet.AsyncClient(**fields) as client:
        seen(client, [await client.chat("a b c d e f") for _ in range(30)])

if FRONT == "async":
    asyncio.run(main())
else:
    with llmnet.Client(**fields) as client:
        seen(client, [client.chat("a b c d e f") for _ in range(30)])
print("fine")
"""


ERRORS = ("EINTR", "ECONNRESET", "ETIMEDOUT")
STRACE = ("strace", "-f", "--seccomp-bpf", "-o", os.devnull, "-e", "trace=recvfrom", "-e")


@functools.cache
def untraceable():
    """Why system calls cannot be tampered with, or the empty string."""
    if shutil.which("strace") is None:
        return "needs strace"
    command = [*STRACE, "inject=recvfrom:error=EINTR:when=1", "true"]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=PROMPT, check=False)
    return tried.stderr if tried.returncode else ""


def receive_fails(error, front, server):
    """Each fifth receive fails, from the k-th: in the head, in the body, on fresh and on kept connections."""
    if reason := untraceable():
        pytest.skip(reason)
    server.handler = lambda _: Reply(split=200)
    strace = [*STRACE, f"inject=recvfrom:error={error}:when=3+5"]
    run_python(RECEIVE, args=[server.url, front.name, "no" if error == "EINTR" else "yes"], within=strace)


# -- the rows -----------------------------------------------------------------------------------------------------------


def play(number, phase, fault, function, *args, fronts=("sync", "async")):
    return Row(number=number, phase=phase, fault=fault, play=functools.partial(function, *args), fronts=fronts)


ROWS = [
    play(125, "fork", "warm pool", warm_pool),
    play(126, "fork", "locks and slots held", locks_held),
    play(127, "gc", "never closed", never_closed),
    *(
        play(128, "interpreter", f"ends {words}", end_of_the_interpreter, end, fronts=("sync",))
        for words, end in ENDS.items()
    ),
    *(play(129, "syscall", f"{error} at each fifth receive", receive_fails, error) for error in ERRORS),
]
