"""The exit code of each error; `__init__.py` lists what the codes mean."""

from llmnet.core.errors import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    IncompleteStreamError,
    PermissionDeniedError,
    RateLimitError,
)


class TerminatedError(KeyboardInterrupt):
    """SIGTERM asked the program to end."""


class HungUpError(KeyboardInterrupt):
    """SIGHUP: the terminal is gone."""


# The first class that matches decides.
_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (ConfigurationError, 2),
    (AuthenticationError, 3),
    (PermissionDeniedError, 3),
    (RateLimitError, 4),
    (APIConnectionError, 5),
    (IncompleteStreamError, 5),
    (TerminatedError, 143),
    (HungUpError, 129),
    (KeyboardInterrupt, 130),
)


def code_of(error: BaseException) -> int:
    """The exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), 1)
