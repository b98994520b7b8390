"""Batches and processes: one that forks, and one that ends while a batch is under way."""

import asyncio
import subprocess
import sys

import pytest
from support.inside import inner, lock_of, state_of
from support.live import PROMPT, at, eventually
from support.subprocesses import held_elsewhere, in_child

import llmnet
from llmnet.testing import Reply

pytestmark = pytest.mark.threads

ROWS = ["0", "1", "2", "3"]


def all_of(batch):
    """The texts of a batch of either front."""

    async def awaited():
        return sorted([one.response.content async for one in batch])

    return asyncio.run(awaited()) if hasattr(batch, "__aiter__") else sorted(one.response.content for one in batch)


def test_a_forked_child(front, server):
    """It may begin batches of its own; one that is under way stays its parent's."""
    server.handler = lambda request: Reply(hold=True) if "9" in str(request.fields) else None
    with front.client(**at(server)) as client:
        raw = inner(client)
        batch, fresh = client.batch([*ROWS, "9"], max_concurrent=2), raw.batch(ROWS)
        behind = getattr(batch, "_batch", batch)
        first = next(batch)
        state = state_of(batch)
        eventually(lambda: (server.active, state.finished) == (1, len(ROWS)))  # all but one of them are held

        def child():
            with pytest.raises(llmnet.APIConnectionError, match="forked while the batch was under way"):
                asyncio.run(anext(behind)) if hasattr(behind, "__aiter__") else next(behind)
            assert all_of(behind) == []
            if front.name == "sync":
                behind.close()
            behind.stop()
            return all_of(fresh), all_of(raw.batch(ROWS))

        with held_elsewhere(lock_of(state)):
            working = in_child(child)
        assert working.result() == str((ROWS, ROWS))
        assert server.active == 1
        server.handler = None
        server.release()
        assert sorted(one.response.content for one in (first, *batch)) == [*ROWS, "9"]


PROGRAM = """
import asyncio, os, signal, sys, llmnet
from llmnet.testing import FakeServer, Reply
server = FakeServer().start()
server.handler = lambda request: Reply(hold=True) if request.fields["messages"][0]["content"] != "0" else None
fields = {"provider": "fake", "base_url": server.url + "/v1", "model": "m"}
rows = (str(n) for n in range(10**9))
def begin():
    global client, batch
    client = llmnet.Client(**fields)
    batch = client.batch(rows, max_concurrent=4)
    first = next(batch)
    server.wait_for_requests(5)
    return first.response.content
def interrupt_soon():
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
async def abegin():
    global client, batch
    client = llmnet.AsyncClient(**fields)
    batch = client.batch(rows, max_concurrent=4)
    first = await anext(batch)
    await asyncio.to_thread(server.wait_for_requests, 5)
    return first.response.content
"""
ENDS = {
    "its last line": ("assert begin() == '0'", 0, ""),
    "its last line, async": ("assert asyncio.run(abegin()) == '0'", 0, ""),
    "exit": ("sys.exit(3 + int(begin()))", 3, ""),
    "exit on a loop": ("async def main(): sys.exit(3 + int(await abegin()))\nasyncio.run(main())", 3, ""),
    "an error": ("1 / int(begin())", 1, "ZeroDivisionError"),
    "an error on a loop": ("async def main(): 1 / int(await abegin())\nasyncio.run(main())", 1, "ZeroDivisionError"),
    "Ctrl-C": ("begin()\ninterrupt_soon()\nlist(batch)", -2, "KeyboardInterrupt"),
    "in a cycle": ("begin()\nbatch.myself = batch\ndel batch", 0, ""),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_a_program_that_ends_with_a_batch_under_way(end):
    program, code, said = ENDS[end]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program], capture_output=True, text=True, timeout=PROMPT, check=False
    )
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    errors = [line.partition(":")[0] for line in done.stderr.splitlines() if line[:1].isalpha()]
    assert errors == (["Traceback (most recent call last)", said] if said else []), done.stderr
