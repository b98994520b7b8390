"""For tests of programs that call language models: a real server whose replies and faults are scripted."""

from llmnet.testing.embedded import embedded_url
from llmnet.testing.faults import FAULTS, fault
from llmnet.testing.script import Received, Reply
from llmnet.testing.server import FakeServer
from llmnet.testing.unresponsive import full_peer, mute_peer

__all__ = ["FAULTS", "FakeServer", "Received", "Reply", "embedded_url", "fault", "full_peer", "mute_peer"]
