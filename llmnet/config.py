"""What a client was told and what the environment adds, resolved once into where calls go and how they are paid for."""

import dataclasses
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Literal, TypedDict

from llmnet.core.bounds import Timeout
from llmnet.core.errors import ConfigurationError
from llmnet.core.request import checked_headers, checked_key, checked_timeout, plain_text
from llmnet.core.retry import RetryPolicy, count
from llmnet.providers.addresses import checked_url
from llmnet.providers.services import SERVICES

ApiKey = str | Callable[[], str] | Callable[[], Awaitable[str]]
FAKE_URL = "fake:"
_ENGINES = ("auto", "httpx", "fast")
_SECRET_WORDS = ("auth", "key", "token", "secret", "cookie")


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
    transport: Literal["auto", "fast", "httpx"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """All settings of a client; checked when it is made.

    Attributes:
        provider: a `Provider`, or the name of another service.
        api: which of the provider's wire forms, if not its usual one.
        model: default model of calls that name none.
        api_key: a string, or a callable that is asked for every attempt; `None` or blank: the provider's variable.
        base_url: where to send; `None`: the provider's variable, then its public address.
        timeout: seconds, or a `Timeout`.
        max_retries: retries after the first attempt (3); given beside `retry`, it wins.
        retry: a whole `RetryPolicy`.
        max_concurrent: calls in flight; more wait in a fair queue.
        headers: extra headers; they replace ours whatever their case, `None` removes one.
        proxy: the proxy to use, whatever the environment says; `""` for none.
        verify: a CA file or folder, an `SSLContext`, or `False` (unsafe).
        http2: HTTP/2 where the server has it (async, needs the extra `http2`).
        api_version: Azure's.
        transport: the engine of the async client.

    Raises:
        ConfigurationError: a value is wrong; the message names the field, the value and the fix.
    """

    provider: Provider | str = Provider.OPENAI
    api: str | None = None
    model: str | None = None
    api_key: ApiKey | None = dataclasses.field(default=None, repr=False)
    base_url: str | None = None
    timeout: float | Timeout = dataclasses.field(default_factory=Timeout)
    max_retries: int | None = None
    retry: RetryPolicy | None = None
    max_concurrent: int = 100
    headers: Mapping[str, str | None] | None = dataclasses.field(default=None, repr=False)
    proxy: str | None = dataclasses.field(default=None, repr=False)
    verify: bool | str | ssl.SSLContext = True
    http2: bool = False
    api_version: str | None = None
    transport: Literal["auto", "fast", "httpx"] = "auto"
    _own_retries: bool = dataclasses.field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        _set(self, "provider", _checked_provider(self.provider))
        _set(self, "_own_retries", self.max_retries is not None)
        _check_retries(self.max_retries, self.retry)
        default = self.retry.max_retries if self.retry is not None else RetryPolicy().max_retries
        _set(self, "max_retries", default if self.max_retries is None else self.max_retries)
        self._check_texts()
        self._check_rest()

    def _check_texts(self) -> None:
        service = SERVICES[self.provider]
        for name in ("model", "api_version"):
            if getattr(self, name) is not None:
                plain_text(getattr(self, name), name)
        if self.api is not None and self.api not in service.apis:
            raise ConfigurationError(
                f"api must be one of {', '.join(service.apis)} for {service.name}, not {self.api!r}"
            )
        if self.base_url is not None:
            checked_url(self.base_url, "base_url")
        if not callable(self.api_key):
            checked_key(self.api_key)
        checked_headers(self.headers, "headers")

    def _check_rest(self) -> None:
        checked_timeout(self.timeout)
        if self.timeout is None:
            raise ConfigurationError("timeout must be seconds or a Timeout, not None; math.inf switches a bound off")
        if count(self.max_concurrent, "max_concurrent") < 1:
            raise ConfigurationError("max_concurrent must be at least 1")
        if self.proxy is not None and not isinstance(self.proxy, str):
            raise ConfigurationError(
                f"proxy must be an address like 'http://host:3128', not {type(self.proxy).__name__}"
            )
        if not isinstance(self.verify, bool | str | ssl.SSLContext):
            raise ConfigurationError(
                f"verify must be a path, an SSLContext or a bool, not {type(self.verify).__name__}"
            )
        if not isinstance(self.http2, bool):
            raise ConfigurationError(f"http2 must be True or False, not {self.http2!r}")
        if self.transport not in _ENGINES or self.transport == "fast":
            raise ConfigurationError(
                f"transport must be 'auto' or 'httpx', not {self.transport!r}; 'fast' is not built yet"
            )

    def __repr__(self) -> str:
        shown = ("provider", "api", "model", "base_url", "max_retries", "max_concurrent")
        return f"ClientConfig({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def over(self, fields: Mapping[str, Any]) -> "ClientConfig":
        """This config with other values in some fields."""
        unknown = set(fields) - set(FIELDS)
        if unknown:
            raise TypeError(f"unknown option {', '.join(sorted(unknown))}; the options are {', '.join(FIELDS)}")
        own = {name: getattr(self, name) for name in FIELDS}
        if not self._own_retries:
            own["max_retries"] = None
        return ClientConfig(**{**own, **fields})

    @property
    def policy(self) -> RetryPolicy:
        """The retry policy, with `max_retries` where it was given on its own."""
        return dataclasses.replace(self.retry or RetryPolicy(), max_retries=self.max_retries or 0)

    @property
    def effective_base_url(self) -> str:
        """Where calls will go, by this config and the environment."""
        from llmnet.environment import address  # noqa: PLC0415 - it stands on this file

        return address(self, os.environ)[0]


FIELDS = tuple(field.name for field in dataclasses.fields(ClientConfig) if field.init)


def _set(config: ClientConfig, name: str, value: object) -> None:
    object.__setattr__(config, name, value)


def _checked_provider(provider: Any) -> Provider | str:
    name = provider.lower() if isinstance(provider, str) else provider
    if name not in SERVICES:
        raise ConfigurationError(f"unknown provider {provider!r}; known are {', '.join(sorted(SERVICES))}")
    return Provider(name) if name in Provider.__members__.values() else str(name)


def _check_retries(max_retries: Any, retry: Any) -> None:
    if max_retries is not None:
        count(max_retries, "max_retries")
    if retry is not None and not isinstance(retry, RetryPolicy):
        raise ConfigurationError(f"retry must be a RetryPolicy, not {type(retry).__name__}")


def client_config(model_or_config: str | ClientConfig | None, fields: Mapping[str, Any]) -> ClientConfig:
    """The config that a client's arguments make.

    A model string is split at its first colon if no provider is given and a known one stands before it.
    """
    if isinstance(model_or_config, ClientConfig):
        return model_or_config.over(fields)
    if model_or_config is None:
        return ClientConfig().over(fields)
    model = plain_text(model_or_config, "the model")
    if "model" in fields:
        raise ConfigurationError("the model is given twice: as the first argument and as model=")
    before, colon, after = model.partition(":")
    if colon and "provider" not in fields and before.lower() in SERVICES:
        return ClientConfig().over({"provider": before, "model": after or None, **fields})
    return ClientConfig().over({"model": model, **fields})
