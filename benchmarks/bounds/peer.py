"""The server's side, in a process of its own: a fake server whose model names its behaviour, and two ports without one.

`python -m benchmarks.bounds.peer` prints one line of JSON that says where it listens, and ends when its input does.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import repeat
from typing import Any

from llmnet.testing import FakeServer, Reply, full_peer, mute_peer

TEXT = "one two three four five six"

# What a model does; any other one echoes. Endless events are iterators without a state, which replies may share.
MODELS = {
    "silent": Reply(silent=True),
    "drips its head": Reply(drip_head=0.02),
    "drips its body": Reply(text=TEXT, drip=1.0),
    "comments": Reply(events=repeat(": still here\n\n"), pace=0.1),
    "stalls": Reply(text=TEXT, stall=100),
    "stalls halfway": Reply(text=TEXT, hold="body"),
    "fails for ever": Reply(status=500, events=repeat("x"), pace=0.02),
    "ends and stays": Reply(text=TEXT, stall=10**6),
}
_SMALL_WINDOW = 4096


def serve() -> None:
    """Serve until the input ends."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(FakeServer())
        server.handler = lambda request: MODELS.get(request.fields.get("model", ""))
        ports = {
            "server": server.port,
            "mute": stack.enter_context(mute_peer(_SMALL_WINDOW)),
            "full": stack.enter_context(full_peer()),
        }
        print(json.dumps(ports), flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def running() -> Iterator[dict[str, Any]]:
    """The peer as a child process: its ports by their names."""
    command = [sys.executable, "-m", "benchmarks.bounds.peer"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.stdin.close()


if __name__ == "__main__":
    serve()
