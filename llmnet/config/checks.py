"""The fields of a client: their types, and a check of each, which takes its value and name and returns what to keep."""

import functools
import ssl
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from reprlib import repr as brief
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from llmnet.core.bounds import Timeout
from llmnet.core.defaults import checked_defaults, checked_system
from llmnet.core.errors import ConfigurationError
from llmnet.core.events import Hook
from llmnet.core.headers import checked_headers, checked_key
from llmnet.core.plain import public
from llmnet.core.request import checked_timeout, is_async_callable, model_text, plain_text
from llmnet.core.retry import RetryPolicy, count
from llmnet.core.transport import AsyncTransport, Transport
from llmnet.providers.addresses import checked_url
from llmnet.providers.model_names import nearest
from llmnet.providers.services import NAMED, SERVICES

if TYPE_CHECKING:
    from llmnet.config.fields import ClientConfig

ApiKey = str | Callable[[], str] | Callable[[], Awaitable[str]]
Engine = Literal["auto", "fast", "httpx"] | Transport | AsyncTransport


@public
class Provider(StrEnum):
    """The providers that have a name of their own; other services are named by their string."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    AZURE = "azure"
    DASHSCOPE = "dashscope"
    QIANFAN = "qianfan"
    FAKE = "fake"


class ClientFields(TypedDict, total=False):
    """The fields of `ClientConfig`, as keyword arguments of a client."""

    provider: Provider | str
    api: str | None
    model: str | None
    api_key: ApiKey | None
    base_url: str | None
    timeout: float | Timeout
    max_retries: int
    retry: RetryPolicy | None
    max_concurrent: int
    headers: Mapping[str, str | None] | None
    proxy: str | None
    verify: bool | str | ssl.SSLContext
    http2: bool
    api_version: str | None
    on_event: Hook | None
    transport: Engine
    defaults: Mapping[str, Any] | None
    system: str | None


def timeout(value: Any, name: str) -> float | Timeout:
    """Check seconds or a `Timeout`, of which there must be one."""
    checked = checked_timeout(value, name)
    if checked is None:
        raise ConfigurationError(f"{name} must be seconds or a Timeout, not None; math.inf switches a bound off")
    return checked


def key(value: Any, name: str) -> Any:
    """Check a key; a callable that gives one is taken as it is."""
    return value if callable(value) else checked_key(value, name)


def one_of(*types: type, expected: str) -> Callable[[Any, str], Any]:
    """The check for values of some types, which an error describes as *expected*."""

    def check(value: Any, name: str) -> Any:
        if not isinstance(value, types):
            raise ConfigurationError(f"{name} must be {expected}, not {type(value).__name__}")
        return value

    return check


def hook(value: Any, name: str) -> Hook:
    """Check a plain function that takes an event."""
    if not callable(value) or is_async_callable(value):
        raise ConfigurationError(f"{name} must be a plain function that takes an event, not {brief(value)}")
    checked: Hook = value
    return checked


def transport(value: Any, name: str) -> Any:
    """Check the name of an engine of the async client, or an object of the Protocols of `core.transport`."""
    methods = [callable(getattr(value, method, None)) for method in ("send", "close", "aclose")]
    own = methods[0] and any(methods[1:]) and not isinstance(value, type)
    if not own and value not in ("auto", "fast", "httpx"):
        said = brief(value) if isinstance(value, str) else type(value).__name__
        takes = (
            "'auto', 'fast', 'httpx', or an object with send(exchange, bounds) and close(), for AsyncClient aclose()"
        )
        raise ConfigurationError(f"{name} must be {takes}; not {said}")
    return value


def given_transport(config: "ClientConfig", close: str) -> Any:
    """The transport that the caller has made, or `None`.

    Args:
        config: the fields of the client.
        close: what closes it: `"close"` in a sync client, `"aclose"` in an async one.

    Raises:
        ConfigurationError: it is one of the other front, or a field is given that only our own transports take.
    """
    transport: Any = config.transport
    if isinstance(transport, str):
        return None
    if not callable(getattr(transport, close, None)) or (close == "close" and is_async_callable(transport.send)):
        front = (
            "Client needs a plain send() and close()" if close == "close" else "AsyncClient needs send() and aclose()"
        )
        raise ConfigurationError(f"transport={type(transport).__name__} is made for the other client: {front}")
    for name, usual in (("proxy", None), ("verify", True), ("http2", False)):
        if getattr(config, name) != usual:
            raise ConfigurationError(f"{name} says nothing to a transport of your own; tell {type(transport).__name__}")
    return transport


def checked_provider(value: Any, name: str) -> Provider | str:
    """Check the name of a provider, or of another service."""
    service = NAMED.get(value.strip().lower()) if isinstance(value, str) else None
    if service is None:
        hint = nearest(value) if isinstance(value, str) else None
        detail = f": {brief(value)} (did you mean {hint!r}?)" if hint else ""  # without a hint it may be a key
        raise ConfigurationError(f"{name} is unknown{detail}; known are {', '.join(sorted(SERVICES))}")
    return Provider(service.name) if service.name in Provider.__members__.values() else service.name


def check_api(api: str | None, provider: str) -> None:
    """Check that a provider has this API."""
    apis = SERVICES[provider].apis
    if api is not None and api not in apis:
        raise ConfigurationError(f"api must be one of {', '.join(apis)} for {provider}, not {brief(api)}")


CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "provider": checked_provider,
    "api": plain_text,
    "model": model_text,
    "api_key": key,
    "base_url": checked_url,
    "timeout": timeout,
    "max_retries": count,
    "retry": one_of(RetryPolicy, expected="a RetryPolicy"),
    "max_concurrent": functools.partial(count, least=1),
    "headers": checked_headers,
    "proxy": one_of(str, expected="an address like 'http://host:3128', or '' for none"),
    "verify": one_of(bool, str, ssl.SSLContext, expected="the path of a CA file, an SSLContext or a bool"),
    "http2": one_of(bool, expected="True or False"),
    "api_version": plain_text,
    "on_event": hook,
    "transport": transport,
    "defaults": checked_defaults,
    "system": checked_system,
}
