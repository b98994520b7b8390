"""The plugin of pytest: the fixture `fake_llm`; pytest loads it at each of its starts, so it loads all else on use."""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from llmnet.testing.server import FakeServer

KEY = "sk-fake-llm"
# A version that Azure's own client asks for, and that has all of the classic form.
_AZURE_VERSION = "2024-10-21"
_NO_PROXY = ("no_proxy", "NO_PROXY")


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
    """The variables with which the clients of all providers reach one server; with `None` those to take away.

    Args:
        url: the address of the server, without a path.
        environ: the variables there are: hosts that no proxy is asked for stay.
    """
    from llmnet.providers.services import SERVICES  # noqa: PLC0415 - on use

    found: dict[str, str | None] = {"OPENAI_API_VERSION": _AZURE_VERSION}
    for service in SERVICES.values():
        # One variable has the key: a vendor's own client may send several, or refuse them.
        names = [name for name, _ in service.key_vars]
        chosen = next((name for name in names if name.endswith("_API_KEY")), names[0] if names else None)
        found |= dict.fromkeys(service.env_headers) | {name: KEY if name == chosen else None for name in names}
        # The path of an address is that of the vendor's, where a client does not append it itself.
        for variable in service.base_vars:
            path = service.apis[variable.apis[0]].path if variable.apis else urlsplit(service.base_url).path
            found[variable.name] = url + path.removesuffix(variable.suffix)
    host = urlsplit(url).hostname or ""
    return found | {name: ",".join(filter(None, (host, environ.get(name)))) for name in _NO_PROXY}
