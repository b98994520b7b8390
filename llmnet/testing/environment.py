"""The environment in which the clients of all providers, and the vendors' own, reach one server."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from llmnet.providers.service_type import Service
from llmnet.providers.services import SERVICES

KEY = "sk-fake-llm"
# A version that Azure's own client asks for, and that has all of the classic form.
_AZURE_VERSION = "2024-10-21"
_NO_PROXY = ("no_proxy", "NO_PROXY")


def variables(url: str, environ: Mapping[str, str]) -> dict[str, str | None]:
    """The variables to set, and with `None` those to take away.

    Args:
        url: the address of the server, without a path.
        environ: the variables there are: hosts that no proxy is asked for stay.
    """
    found: dict[str, str | None] = {"OPENAI_API_VERSION": _AZURE_VERSION}
    for service in SERVICES.values():
        found |= dict.fromkeys(service.env_headers)
        found |= dict(_keys(service))
        found |= dict(_addresses(service, url))
    host = urlsplit(url).hostname or ""
    return found | {name: ",".join(filter(None, (host, environ.get(name)))) for name in _NO_PROXY}


def _keys(service: Service) -> Iterator[tuple[str, str | None]]:
    """One variable has the key: a vendor's own client may send several, or refuse them."""
    names = [name for name, _ in service.key_vars]
    chosen = next((name for name in names if name.endswith("_API_KEY")), names[0] if names else None)
    for name in names:
        yield name, KEY if name == chosen else None


def _addresses(service: Service, url: str) -> Iterator[tuple[str, str]]:
    """The path of an address is that of the vendor's, where a client does not append it itself."""
    for variable in service.base_vars:
        path = urlsplit(service.base_url).path
        if variable.apis:
            path = service.apis[variable.apis[0]].path
        yield variable.name, url + path.removesuffix(variable.suffix)
