"""What a client's arguments are, and nothing more: their types, by name."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Literal, TypedDict

from llmnet.core.bounds import Timeout
from llmnet.core.events import Hook
from llmnet.core.public import public
from llmnet.core.retry import RetryPolicy
from llmnet.core.transport import AsyncTransport, Transport

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
