"""Addresses as people paste them, checked and completed; a base that names a path is used as given."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from llmnet.core.errors import ConfigurationError
from llmnet.core.request import plain_text

# What people copy from Azure's portal stands for its base (PROTOCOLS 3.1).
_AZURE_CALLS = re.compile(r"/(chat/completions|completions|responses|embeddings|models)$")
_AZURE_DEPLOYMENT = re.compile(r"/deployments/([^/]+)$")


def checked_url(url: Any, name: str) -> str:
    """Check an address.

    Raises:
        ConfigurationError: it is no http(s) URL, or holds a password; the message does not show one.
    """
    text = plain_text(url, name).strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{name} is no address: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError(f"{name} must begin with http:// or https://, not {text[:80]!r}")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{name} must not hold a user name or password; give the key as api_key=")
    if not _is_host(parts.hostname) or port == 0:
        raise ConfigurationError(f"{name} has no usable host and port: {text[:80]!r}")
    if parts.fragment or any(c.isspace() for c in text):
        raise ConfigurationError(f"{name} must have no blank and no part behind '#': {text[:80]!r}")
    return text


def _is_host(host: str | None) -> bool:
    if not host:
        return False
    try:
        labels = host.encode("idna").decode().split(".") if not host.isascii() else host.split(".")
    except UnicodeError:
        return False
    return ":" in host or all(label and len(label) < 64 for label in (labels[:-1] if host.endswith(".") else labels))


def completed(base: str, path: str) -> str:
    """A bare host with the path of its wire form; anything longer stays as it is."""
    parts = urlsplit(base)
    return base if parts.path.strip("/") else urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def azure_address(base: str, api: str | None, apis: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Azure's base, wire form and deployment, from any usual shape of its address.

    Accepted are the resource, its `/openai`, `/openai/v1`, `/models`, a deployment, and each of them with the path of a
    call behind it, as the portal shows it. An address with `/deployments/` means the classic form.
    """
    parts = urlsplit(base)
    path = _AZURE_CALLS.sub("", parts.path.rstrip("/")) if parts.path.rstrip("/") != "/models" else "/models"
    deployment = _AZURE_DEPLOYMENT.search(path)
    name = api or ("deployments" if deployment else next(iter(apis)))
    if name != "deployments" and deployment:
        path = path[: deployment.start()]
    path = _azure_path(path, name, versioned="api-version=" in parts.query)
    whole = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
    return whole, name, unquote(deployment.group(1)) if deployment else None


def _azure_path(path: str, api: str, *, versioned: bool) -> str:
    if path in ("", "/openai"):
        # Classic Responses live at /openai/responses?api-version=…
        return "/openai" if api == "deployments" or (path and versioned) else "/openai/v1"
    return "/openai" if path == "/openai/v1" and api == "deployments" else path
