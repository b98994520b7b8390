"""What the pages' programs run in: an environment in which every vendor is the fake server."""

import pytest

from llmnet.providers.services import SERVICES
from llmnet.testing import FakeServer


@pytest.fixture(scope="package")
def _one_server():
    """A server for the pages alone: a notebook's clients are closed by nobody, and their connections last as they do."""
    with FakeServer() as server:
        yield server


@pytest.fixture
def vendors(server, monkeypatch):
    """Keys for all, and the addresses of all on the fake server."""
    for service in SERVICES.values():
        for variable, _ in service.key_vars[:1]:
            monkeypatch.setenv(variable, "sk-test-0123456789")
        for variable in service.base_vars[:1]:
            monkeypatch.setenv(variable.name, server.url)
    return server
