"""For tests of programs that call language models: a real server whose replies and faults are scripted, and switches.

Nothing is loaded before it is used: pytest imports this package at each of its starts, for the sake of its plugin.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmnet.core.judge import no_retries
    from llmnet.testing.faults import FAULTS, fault, full_peer, mute_peer
    from llmnet.testing.script import Received, Reply
    from llmnet.testing.server import FakeServer, embedded_url

_FILES = {
    "core.judge": ("no_retries",),
    "testing.faults": ("FAULTS", "fault", "full_peer", "mute_peer"),
    "testing.script": ("Received", "Reply"),
    "testing.server": ("FakeServer", "embedded_url"),
}
_FILE_OF = {name: file for file, names in _FILES.items() for name in names}

__all__ = [
    "FAULTS", "FakeServer", "Received", "Reply", "embedded_url", "fault", "full_peer", "mute_peer", "no_retries",
]  # fmt: skip


# Hidden from type checkers, to which it would say that any name exists.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _FILE_OF:
            raise AttributeError(f"module 'llmnet.testing' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"llmnet.{_FILE_OF[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
