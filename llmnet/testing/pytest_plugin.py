"""The plugin of pytest: the fixture `fake_llm`; pytest loads it at each of its starts, so it loads all else on use."""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from llmnet.testing.server import FakeServer

KEY = "sk-fake-llm"


@pytest.fixture
def fake_llm(monkeypatch: pytest.MonkeyPatch) -> "Iterator[FakeServer]":
    """A `FakeServer` that clients of all providers reach, made within the test: the environment names it, and a key.

    So do the vendors' own clients, as far as they read those variables. What the test scripts is answered; without a
    script the last user text comes back.
    """
    from llmnet.testing.server import FakeServer  # noqa: PLC0415 - on use

    with FakeServer() as server:
        for name, value in variables(server.url, os.environ).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        yield server


def variables(url: str, environ: Mapping[str, str]) -> dict[str, str | None]:
    """The variables by which all clients reach the server at a URL without a path; those to take away are `None`."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - on use

    from llmnet.providers.services import SERVICES  # noqa: PLC0415 - on use

    # Azure's own client asks for a version: one that has all of the classic form.
    found: dict[str, str | None] = {"OPENAI_API_VERSION": "2024-10-21"}
    for service in SERVICES.values():
        # One variable has the key: a vendor's own client may send several, or refuse them.
        names = [name for name, _ in service.key_vars]
        found |= dict.fromkeys([*service.env_headers, *names])
        if names:
            found[max(names, key=lambda name: name.endswith("_API_KEY"))] = KEY
        # The path of an address is that of the vendor's, where a client does not append it itself.
        for variable in service.base_vars:
            path = service.apis[variable.apis[0]].path if variable.apis else urlsplit(service.base_url).path
            found[variable.name] = url + path.removesuffix(variable.suffix)
    host = urlsplit(url).hostname or ""
    for name in ("no_proxy", "NO_PROXY"):  # hosts that no proxy is asked for stay
        found[name] = ",".join(filter(None, (host, environ.get(name))))
    return found
