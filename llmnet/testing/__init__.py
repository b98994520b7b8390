"""What tests of programs that talk to language models need: a real server whose answers and faults are scripted."""

from llmnet.testing.embedded import embedded_url
from llmnet.testing.kit import FAULTS, fault
from llmnet.testing.peers import full_peer, mute_peer
from llmnet.testing.script import Received, Reply
from llmnet.testing.server import FakeServer

__all__ = ["FAULTS", "FakeServer", "Received", "Reply", "embedded_url", "fault", "full_peer", "mute_peer"]
