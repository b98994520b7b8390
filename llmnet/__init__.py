"""The network layer for programs that talk to language models: one codebase, sync and async.

Nothing is loaded before it is used: `import llmnet` costs no HTTP library, starts nothing and touches no network.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmnet.core import forks

if TYPE_CHECKING:
    from llmnet.batch.rows import BatchFailure, BatchProgress, BatchResult, BatchSuccess
    from llmnet.batch.tasks import AsyncBatch
    from llmnet.batch.threads import Batch
    from llmnet.client.aio import AsyncClient
    from llmnet.client.aio_stream import AsyncAPIStream, AsyncChatStream
    from llmnet.client.sync import Client
    from llmnet.client.sync_stream import APIStream, ChatStream
    from llmnet.config.checks import Provider
    from llmnet.config.fields import ClientConfig
    from llmnet.core.bounds import Timeout
    from llmnet.core.chat import (
        ChatResponse,
        FinishReason,
        Message,
        StreamCallbacks,
        StreamChunk,
        Usage,
    )
    from llmnet.core.errors import (
        APIConnectionError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        ConflictError,
        ContextLengthError,
        IncompleteStreamError,
        InvalidResponseError,
        LLMNetError,
        NotFoundError,
        OutputError,
        OverloadedError,
        PermissionDeniedError,
        QuotaExceededError,
        RateLimitError,
        ServerError,
        StreamCancelledError,
        StreamError,
    )
    from llmnet.core.events import (
        AttemptFailed,
        AttemptStarted,
        CallEvent,
        CallFinished,
        CallQueued,
        FirstToken,
        Throttled,
    )
    from llmnet.core.http import Attempt, Meta
    from llmnet.core.other_replies import APIResponse, EmbeddingResponse, ModelInfo
    from llmnet.core.retry import RetryBudget, RetryPolicy
    from llmnet.core.tool_call import ToolCall, ToolCallDelta
    from llmnet.retrying import retry_with_backoff, with_retry
    from llmnet.telemetry.stats import Stats
    from llmnet.transports.aio.factory import create_async_client
    from llmnet.transports.sync.factory import create_session

__version__ = "0.1.0"

_ROOMS = {
    "client.aio": ("AsyncClient",),
    "batch.rows": ("BatchFailure", "BatchProgress", "BatchResult", "BatchSuccess"),
    "batch.tasks": ("AsyncBatch",),
    "batch.threads": ("Batch",),
    "client.aio_stream": ("AsyncAPIStream", "AsyncChatStream"),
    "client.sync": ("Client",),
    "client.sync_stream": ("APIStream", "ChatStream"),
    "telemetry.stats": ("Stats",),
    "config.checks": ("Provider",),
    "config.fields": ("ClientConfig",),
    "core.bounds": ("Timeout",),
    "core.chat": ("ChatResponse", "FinishReason", "Message", "StreamCallbacks", "StreamChunk", "Usage"),
    "core.other_replies": ("APIResponse", "EmbeddingResponse", "ModelInfo"),
    "core.errors": (
        "APIConnectionError", "APIStatusError", "APITimeoutError", "AuthenticationError", "BadRequestError",
        "ConfigurationError", "ConflictError", "ContextLengthError", "IncompleteStreamError", "InvalidResponseError",
        "LLMNetError", "NotFoundError", "OutputError", "OverloadedError", "PermissionDeniedError", "QuotaExceededError",
        "RateLimitError", "ServerError", "StreamCancelledError", "StreamError",
    ),
    "core.events": (
        "AttemptFailed", "AttemptStarted", "CallEvent", "CallFinished", "CallQueued", "FirstToken", "Throttled",
    ),
    "core.http": ("Attempt", "Meta"),
    "core.retry": ("RetryBudget", "RetryPolicy"),
    "core.tool_call": ("ToolCall", "ToolCallDelta"),
    "retrying": ("retry_with_backoff", "with_retry"),
    "transports.aio.factory": ("create_async_client",),
    "transports.sync.factory": ("create_session",),
}  # fmt: skip
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "APIConnectionError", "APIResponse", "APIStatusError", "APIStream", "APITimeoutError", "AsyncAPIStream",
    "AsyncBatch", "AsyncChatStream", "AsyncClient", "Attempt", "AttemptFailed", "AttemptStarted",
    "AuthenticationError", "BadRequestError", "Batch", "BatchFailure", "BatchProgress", "BatchResult", "BatchSuccess",
    "CallEvent", "CallFinished", "CallQueued", "ChatResponse", "ChatStream", "Client", "ClientConfig",
    "ConfigurationError", "ConflictError", "ContextLengthError", "EmbeddingResponse", "FinishReason", "FirstToken",
    "IncompleteStreamError", "InvalidResponseError", "LLMNetError", "Message", "Meta", "ModelInfo", "NotFoundError",
    "OutputError", "OverloadedError", "PermissionDeniedError", "Provider", "QuotaExceededError", "RateLimitError",
    "RetryBudget", "RetryPolicy", "ServerError", "Stats", "StreamCallbacks", "StreamCancelledError", "StreamChunk",
    "StreamError", "Throttled", "Timeout", "ToolCall", "ToolCallDelta", "Usage", "create_async_client",
    "create_session", "retry_with_backoff", "with_retry",
]  # fmt: skip


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=forks.before, after_in_parent=forks.after_in_parent, after_in_child=forks.after_in_child)


# Hidden from type checkers, to which it would say that any name exists.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _ROOM_OF:
            raise AttributeError(f"module 'llmnet' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"llmnet.{_ROOM_OF[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})
