"""The settings of a client, each checked when the config is made; `resolve.py` adds those of the environment.

What of them may be shown: no key, no headers, no password of a proxy, no query of an address.
"""

import dataclasses
import functools
import os
import re
import ssl
from collections.abc import Mapping
from typing import Any

from llmnet.config.address import address
from llmnet.config.checks import CHECKS, ApiKey, Engine, Provider, check_api, checked_provider
from llmnet.core.bounds import Timeout
from llmnet.core.credentials import in_headers
from llmnet.core.errors import ConfigurationError
from llmnet.core.events import Hook
from llmnet.core.plain import Returnable, fields_of, public
from llmnet.core.request import plain_text
from llmnet.core.retry import RetryPolicy
from llmnet.providers.model_names import check_move, split
from llmnet.providers.services import SERVICES


class _Default(int):
    """The default number of retries, which that of a `RetryPolicy` replaces."""


class _Unnamed(str):
    """The default provider."""

    __slots__ = ()


_UNNAMED = _Unnamed(Provider.OPENAI)


class _Reading(Returnable):
    """How a config came by its provider and its model."""

    __slots__ = ("is_named", "is_split")

    is_named: bool  # the caller has named the provider, by its field or in the model string
    is_split: bool  # the model is what a provider was split off from


@public
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClientConfig(_Reading):
    """All settings of a client; checked when it is made.

    Attributes:
        provider: a `Provider`, or the name of another service.
        api: which of the provider's APIs, if not its usual one.
        model: default model of calls that name none; `"provider:model"` names the provider, too.
        api_key: a string, or a callable (a plain one has a thread) asked each time; blank: the provider's variable.
        base_url: where to send; `None`: the provider's variable, then its public address.
        timeout: seconds, or a `Timeout`.
        max_retries: retries after the first attempt (3); given beside `retry`, now or before, it wins.
        retry: a `RetryPolicy`.
        max_concurrent: calls in flight; more wait in a fair queue.
        headers: extra headers; they replace ours whatever their case, `None` removes one.
        proxy: the proxy to use, whatever the environment says; `""` for none.
        verify: a CA file or folder, an `SSLContext`, on which nothing is set, or `False` (unsafe).
        http2: HTTP/2 where the server has it (async, extra `http2`); an `SSLContext` given as `verify` has to offer it.
        api_version: Azure's.
        on_event: called with each event of a call as it happens (`llmnet.core.events`), where the call runs, or on a
            thread of its own if a stream is dropped unclosed; it must be quick; its errors are only logged.
        transport: the engine of the async client: `"fast"`, HTTP/1.1 of our own; `"httpx"`, which alone speaks HTTP/2;
            `"auto"` takes the fast one where nothing needs the other. Or an object of `llmnet.core.transport`, which
            the client closes.
        defaults: arguments of `chat`, `stream_chat` and `batch` for calls without them, like `{"temperature": 0}`; one
            that a call gives wins, and `None` there drops it.
        system: a system message that goes before the messages of each chat.

    Raises:
        ConfigurationError: a value is wrong; the message names the field and the fix.
    """

    provider: Provider | str = _UNNAMED  # becomes `Provider.OPENAI`
    api: str | None = None
    model: str | None = None
    api_key: ApiKey | None = None
    base_url: str | None = None
    timeout: float | Timeout = dataclasses.field(default_factory=Timeout)
    max_retries: int = _Default(3)
    retry: RetryPolicy | None = None
    max_concurrent: int = 100
    headers: Mapping[str, str | None] | None = None
    proxy: str | None = None
    verify: bool | str | ssl.SSLContext = True
    http2: bool = False
    api_version: str | None = None
    on_event: Hook | None = None
    transport: Engine = "auto"
    defaults: Mapping[str, Any] | None = None
    system: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_named", not isinstance(self.provider, _Unnamed))
        for name, check in CHECKS.items():
            value = getattr(self, name)
            if value is not None or FIELDS[name] is not None:
                object.__setattr__(self, name, check(value, name))
        self._read_model()
        check_api(self.api, self.provider)
        if isinstance(self.max_retries, _Default):
            object.__setattr__(self, "max_retries", _Default((self.retry or RetryPolicy()).max_retries))

    def _read_model(self) -> None:
        """Split the provider off the model; that of another provider stays, for an address may make sense of it."""
        service, model = split(self.model or "")
        is_split = service is not None and (not self.is_named or service is SERVICES[self.provider])
        object.__setattr__(self, "is_split", is_split)
        if service is not None and is_split:
            object.__setattr__(self, "is_named", True)
            object.__setattr__(self, "provider", checked_provider(service.name, "provider"))
            object.__setattr__(self, "model", model or None)

    def over(self, fields: Mapping[str, Any]) -> "ClientConfig":
        """This config with other values in some fields.

        Raises:
            ConfigurationError: a value is wrong, or a credential that was given for one provider would go to another.
            TypeError: there is no such field.
        """
        if unknown := [name for name in fields if name not in FIELDS]:
            raise TypeError(f"unknown option {', '.join(unknown)}; the options are {', '.join(FIELDS)}")
        config = ClientConfig(**{**self._arguments(fields.get("provider", self.provider)), **fields})
        if config.provider != self.provider and config.base_url is None and (self.is_named or self.model):
            kept = {"api_key": self.api_key, "headers": in_headers(self.headers or {})}
            check_move(self.provider, config.provider, {name: kept[name] for name in kept.keys() - fields.keys()})
        return config

    def _arguments(self, provider: object) -> dict[str, Any]:
        """The fields that make this config again; a model that was split once is not split again."""
        fields = {name: getattr(self, name) for name in FIELDS if name != "provider" or self.is_named}
        if self.is_split and self.model is not None:
            fields["model"] = f"{provider}:{self.model}"
        return fields

    def __reduce__(self) -> Any:
        return functools.partial(ClientConfig, **self._arguments(self.provider)), ()

    @property
    def policy(self) -> RetryPolicy:
        """The retry policy, with `max_retries` where it was given on its own."""
        return dataclasses.replace(self.retry or RetryPolicy(), max_retries=int(self.max_retries))

    @property
    def effective_base_url(self) -> str:
        """Where calls will go, by this config and the environment.

        Raises:
            ConfigurationError: there is no address, or it is none.
        """
        return address(self, os.environ).base_url

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types, without key and headers, nor extras and queries: they may hold a key, too."""
        shown = fields_of(self)
        del shown["api_key"], shown["headers"]
        for extra in ("extra_body", "extra_query"):
            (shown["defaults"] or {}).pop(extra, None)
        proxy = self.proxy and re.sub(r"^((?:[^:/@]*://)?).*@", r"\1", self.proxy, flags=re.DOTALL)
        return shown | {"base_url": _without_query(self.base_url), "proxy": proxy}

    def __repr__(self) -> str:
        return written("ClientConfig", self)


# By name, with their defaults; those whose default is `None` are optional.
FIELDS = {field.name: field.default for field in dataclasses.fields(ClientConfig)}


def client_config(model_or_config: str | ClientConfig | None, fields: Mapping[str, Any]) -> ClientConfig:
    """The config that a client's arguments make.

    Raises:
        ConfigurationError: a field is wrong, or the model is given twice.
        TypeError: there is no such field.
    """
    if model_or_config is None or isinstance(model_or_config, ClientConfig):
        return (model_or_config or ClientConfig()).over(fields)
    model = plain_text(model_or_config, "the model")
    if "model" in fields:
        raise ConfigurationError("the model is given twice: as the first argument and as model=")
    return ClientConfig().over({"model": model, **fields})


def written(kind: str, config: Any, **effective: Any) -> str:
    """A line that shows a config, with what has come of some of its fields in the place of what was given."""
    names = ("provider", "model", "base_url", "api", "max_retries")
    given = {name: getattr(config, name) for name in names} | effective
    shown = given | {"provider": str(config.provider), "base_url": _without_query(given["base_url"])}
    return f"{kind}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def _without_query(url: str | None) -> str | None:
    return url and url.partition("?")[0]
