"""The plugin of pytest: the fixture `fake_llm`; pytest loads it at each of its starts, so it loads all else on use."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from llmnet.testing.server import FakeServer


@pytest.fixture
def fake_llm(monkeypatch: pytest.MonkeyPatch) -> "Iterator[FakeServer]":
    """A `FakeServer` that clients of all providers reach, made within the test: the environment names it, and a key.

    So do the vendors' own clients, as far as they read those variables. What the test scripts is answered; without a
    script the last user text comes back.
    """
    from llmnet.testing.environment import variables  # noqa: PLC0415 - on use
    from llmnet.testing.server import FakeServer  # noqa: PLC0415 - on use

    with FakeServer() as server:
        for name, value in variables(server.url, os.environ).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        yield server
