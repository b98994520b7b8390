"""Which exit code an error stands for; what the codes mean is said in `__init__.py`."""

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
    """SIGHUP said that the terminal is gone."""


# The first class that fits says the code.
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
    """The exit code that an error stands for."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), 1)
