"""Batches without an end, of which the first rows are answered and all others wait."""

import asyncio
import contextlib
import itertools
import threading

from support.live import at, eventually, no_leak, slots

from llmnet.testing import Reply

LIMIT = 4


def held(request):
    """The first rows are answered, all others wait for ever."""
    return None if int(request.fields["messages"][-1]["content"]) < 2 else Reply(hold=True)


def endless():
    return (str(number) for number in itertools.count())


def workers(front):
    """Threads and tasks of batches that are still there."""
    tasks = asyncio.all_tasks(front.loop) if front.name == "async" else ()
    names = [thread.name for thread in threading.enumerate()] + [task.get_name() for task in tasks]
    return [name for name in names if name.startswith("llmnet-batch")]


@contextlib.contextmanager
def underway(front, server, **fields):
    """A client whose batch leaves nothing behind: two rows come, the others are in flight."""
    server.handler = held
    with no_leak(server), front.client(**at(server, **fields)) as client:
        yield client
        eventually(lambda: server.active == 0)
        eventually(lambda: workers(front) == [])
        assert slots(client) == 0
