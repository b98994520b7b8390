"""Addresses as people paste them, checked and completed; a base that names a path is used as given."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from llmnet.core.errors import ConfigurationError
from llmnet.core.request import plain_text

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")

# What people copy from Azure's portal stands for its base (docs/vendors.md, Azure addresses).
_AZURE_CALLS = re.compile(r"(?<=.)/(chat/completions|completions|responses|embeddings|models)$")
# What people copy from examples of a request.
_CALLS = re.compile(
    r"(/v1)?/messages$|/(chat/completions|completions|responses|embeddings|services/aigc/[a-z-]+/generation)$"
)
_AZURE_DEPLOYMENT = re.compile(r"/deployments(?:/([^/]+))?$")


def checked_url(url: Any, name: str) -> str:
    """Check an address, and take blanks around it away.

    Raises:
        ConfigurationError: it is no http(s) URL; the address is not shown, it may hold a password or be a key.
    """
    text = plain_text(url.strip() if isinstance(url, str) else url, name)
    if problem := _problem(text):
        raise ConfigurationError(f"{name} {problem}")
    return text


def checked_base(base: str, name: str) -> str:
    """Check that an address is a base and not that of a call, behind which the path of a call would stand twice.

    Raises:
        ConfigurationError: it is one; the message says what to cut.
    """
    if call := _CALLS.search(urlsplit(base).path.rstrip("/")):
        raise ConfigurationError(
            f"{name} ends in {call[0]}, the path of a call: give it without that, which is appended; the wire form is "
            "chosen by api="
        )
    return base


def host_url(host: str, name: str) -> str:
    """The address of a bare host.

    Raises:
        ConfigurationError: it is none, or more than that.
    """
    url = checked_url(f"https://{host}", name)
    if urlsplit(url).netloc != host:
        raise ConfigurationError(f"{name} is no name that a host can have")
    return url


def _problem(text: str) -> str | None:
    """What is wrong with an address."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "has no usable host and port"
    if parts.scheme not in ("http", "https"):
        return "must begin with http:// or https://"
    if "@" in parts.netloc:
        return "must not hold a user name or password; give the key as api_key="
    if "#" in text or any(c.isspace() for c in text):
        return "must have no blank and no part behind '#'"
    return None if _is_host(parts.hostname or "") and port != 0 else "has no usable host and port"


def _is_host(host: str) -> bool:
    if ":" in host:
        return _is_address(host)
    try:
        labels = host.removesuffix(".").encode("idna").decode().split(".")
    except UnicodeError:
        return False
    return all(_LABEL.fullmatch(label) for label in labels)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def extended(base: str, suffix: str) -> str:
    """A base with a path behind it, unless it ends in that already."""
    parts = urlsplit(base)
    return parts._replace(path=parts.path.rstrip("/").removesuffix(suffix) + suffix).geturl()


def completed(base: str, path: str) -> str:
    """A bare host with the path of its wire form; anything longer stays as it is."""
    parts = urlsplit(base)
    return base if parts.path.strip("/") else parts._replace(path=path).geturl()


def azure_address(base: str, api: str | None, apis: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Azure's base, wire form and deployment, from any usual shape of its address.

    Accepted are the resource, its `/openai`, `/openai/v1`, `/models`, a deployment, and each of them with the path of a
    call behind it, as the portal shows it. An address with `/deployments/` means the classic form.
    """
    parts = urlsplit(base)
    path = _AZURE_CALLS.sub("", parts.path.rstrip("/"))
    deployment = _AZURE_DEPLOYMENT.search(path)
    name = api or ("deployments" if deployment else next(iter(apis)))
    if deployment and (name != "deployments" or deployment[1] is None):
        path = path[: deployment.start()]
    whole = parts._replace(path=_azure_path(path, name, parts)).geturl()
    return whole, name, unquote(deployment[1]) if deployment and deployment[1] else None


def _azure_path(path: str, api: str, given: SplitResult) -> str:
    """The path of a resource by wire form; classic Responses live at `/openai/responses?api-version=…`."""
    if path not in ("", "/openai", "/openai/v1"):
        return path
    classic = api == "responses" and path == "/openai" and "api-version=" in given.query
    return "/openai" if classic or api == "deployments" else "/openai/v1"
