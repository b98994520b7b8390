"""Checks of a config's fields: each takes a value and the name of its field, and returns what to keep."""

from collections.abc import Callable
from reprlib import repr as brief
from typing import Any

from llmnet.core.bounds import Timeout
from llmnet.core.errors import ConfigurationError
from llmnet.core.events import Hook
from llmnet.core.headers import checked_key
from llmnet.core.request import checked_timeout, is_async_callable


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
