"""Checks the callbacks of a chat when they are given: nothing is sent for what could not be called."""

from collections.abc import Callable
from typing import Any

from llmnet.core.chat import StreamCallbacks
from llmnet.core.errors import ConfigurationError


def checked_callbacks(callbacks: Any, check: Callable[[object, str], None]) -> None:
    """Check callbacks before anything is sent.

    Raises:
        ConfigurationError: they are none, or cannot be called here.
    """
    if not isinstance(callbacks, StreamCallbacks):
        raise ConfigurationError(f"callbacks must be a StreamCallbacks(on_chunk=…, …), not {type(callbacks).__name__}")
    for name in StreamCallbacks.__struct_fields__:
        callback = getattr(callbacks, name)
        if callback is not None and not callable(callback):
            raise ConfigurationError(f"callbacks.{name} must be a function, not {type(callback).__name__}")
        check(callback, f"callbacks.{name}")
