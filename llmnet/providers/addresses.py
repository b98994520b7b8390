"""Addresses as people paste them, checked and completed."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from llmnet.core.errors import ConfigurationError
from llmnet.core.hosts import is_address
from llmnet.core.request import plain_text
from llmnet.providers.target import RESPONSES

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")

# Calls at the end of a URL: Azure's (docs/vendors.md, Azure addresses) and of examples.
_AZURE_CALLS = r"(?<=.)/(chat/completions|completions|responses|embeddings|models)$"
_CALLS = re.compile(
    r"(/v1)?/messages$|/(chat/completions|completions|responses|embeddings|services/aigc/[a-z-]+/generation)$"
)
_AZURE_DEPLOYMENT = r"/deployments(?:/([^/]+))?$"


def checked_url(url: Any, name: str) -> str:
    """An address without blanks around it.

    Raises:
        ConfigurationError: it is no http(s) URL; it is not quoted, for it may hold a password or a key.
    """
    text = plain_text(url.strip() if isinstance(url, str) else url, name)
    if problem := _problem(text):
        raise ConfigurationError(f"{name} {problem}")
    return text


def checked_base(base: str, name: str) -> str:
    """A base URL as it is.

    Raises:
        ConfigurationError: it is the URL of a call, to which the path would be appended again.
    """
    if call := _CALLS.search(urlsplit(base).path.rstrip("/")):
        raise ConfigurationError(
            f"{name} ends in {call[0]}, the path of a call: give it without that, which is appended; the API is "
            "chosen by api="
        )
    return base


def _problem(text: str) -> str | None:
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
        return is_address(host)
    try:
        labels = host.removesuffix(".").encode("idna").decode().split(".")
    except ValueError:  # the codec's UnicodeError is one
        return False
    return all(_LABEL.fullmatch(label) for label in labels)


def extended(base: str, suffix: str) -> str:
    """A base URL with a path appended, unless it ends in that already."""
    parts = urlsplit(base)
    return parts._replace(path=parts.path.rstrip("/").removesuffix(suffix) + suffix).geturl()


def completed(base: str, path: str) -> str:
    """A bare host with the path of its API; a base URL that has a path stays as it is."""
    parts = urlsplit(base)
    return base if parts.path.strip("/") else parts._replace(path=path).geturl()


def azure_address(base: str, api: str | None, apis: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Azure's base URL, API and deployment, from its address as people have it.

    That is the resource, its `/openai`, `/openai/v1`, `/models` or a deployment (the classic form), or a call there.
    """
    parts = urlsplit(base)
    path = re.sub(_AZURE_CALLS, "", parts.path.rstrip("/"))
    deployment = re.search(_AZURE_DEPLOYMENT, path)
    name = api or ("deployments" if deployment else next(iter(apis)))
    if deployment and (name != "deployments" or deployment[1] is None):
        path = path[: deployment.start()]
    if path in ("", "/openai", "/openai/v1"):
        # Classic Responses are at `/openai/responses?api-version=…`.
        classic = name == RESPONSES and path == "/openai" and "api-version=" in parts.query
        path = "/openai" if classic or name == "deployments" else "/openai/v1"
    url = parts._replace(path=path).geturl()
    return url, name, unquote(deployment[1]) if deployment and deployment[1] else None
