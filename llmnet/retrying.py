"""Retries for a user's own functions, sync and async: tenacity drives, `Call.decide` judges and names the wait."""

import functools
import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from llmnet.core.bounds import Timeout, positive
from llmnet.core.errors import APIConnectionError, APIStatusError, ConfigurationError, LLMNetError
from llmnet.core.http import Headers, Request
from llmnet.core.outcome import Outcome
from llmnet.core.request import is_async_callable
from llmnet.core.retry import RETRY_STATUSES, RetryPolicy, count

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger("llmnet")
_FOREVER = Timeout(connect=math.inf, response=math.inf, idle=math.inf, total=math.inf)


def with_retry(
    max_attempts: int = 3,
    *,
    base_delay: float = 1.0,
    max_delay: float = 10.0,
    retry_on: type[Exception] | tuple[type[Exception], ...] | None = None,
) -> Callable[[F], F]:
    """Decorate a function, sync or async, that is to be called again when it fails for a passing reason.

    Repeated are network errors (Python's, requests', httpx's), errors that carry a retryable HTTP status, and the types
    in *retry_on*. `Retry-After` is obeyed. An error of an llmnet client is not repeated, since the client has done so,
    unless that client had `max_retries=0`. Each sleep is logged; in the end the last error is raised.

    Args:
        max_attempts: calls at most, the first one included.
        base_delay: seconds that the first backoff is drawn from.
        max_delay: seconds that a backoff never exceeds.
        retry_on: further exception types to repeat.

    Raises:
        ConfigurationError: an argument is wrong, or the function is a generator, which cannot be begun anew.
    """
    if callable(max_attempts):
        raise ConfigurationError("write @with_retry() with parentheses")
    policy = _policy(max_attempts, base_delay, max_delay, RETRY_STATUSES)
    types = _types(retry_on)

    def decorate(function: F) -> F:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(f"{function.__name__} is a generator; what it has yielded cannot be taken back")
        if is_async_callable(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                return await _drive_async(lambda: function(*args, **kwargs), Judge(policy, types))

            return awaited  # type: ignore[return-value]

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return _drive(lambda: function(*args, **kwargs), Judge(policy, types))

        return wrapper  # type: ignore[return-value]

    return decorate


def retry_with_backoff(
    func: Callable[[], T],
    max_attempts: int = 3,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    retryable_status_codes: Collection[int] = RETRY_STATUSES,
) -> T:
    """Call `func()` until it succeeds; an async one gives an awaitable.

    A status is read from exceptions and from returned responses; the last response is returned as it is.

    Args:
        func: called without arguments.
        max_attempts: calls at most, the first one included.
        base_delay: seconds that the first backoff is drawn from.
        max_delay: seconds that a backoff never exceeds.
        retryable_status_codes: HTTP statuses to repeat.

    Raises:
        ConfigurationError: an argument is wrong.
    """
    if not callable(func):
        raise ConfigurationError(f"func must be a function without arguments, not {type(func).__name__}")
    judge = Judge(_policy(max_attempts, base_delay, max_delay, frozenset(retryable_status_codes)), (), results=True)
    if is_async_callable(func):
        return _drive_async(func, judge)  # type: ignore[arg-type, return-value]
    return _drive(func, judge)


def _policy(max_attempts: Any, base_delay: Any, max_delay: Any, statuses: Collection[int]) -> RetryPolicy:
    if count(max_attempts, "max_attempts") < 1:
        raise ConfigurationError("max_attempts must be at least 1")
    # A throttle is an ordinary failure here: nobody else shares a gate with the function.
    return RetryPolicy(
        max_retries=max_attempts - 1,
        base_delay=positive(base_delay, "base_delay"),
        max_delay=positive(max_delay, "max_delay"),
        max_throttle_wait=0,
        retry_statuses=statuses,
        budget=None,
    )


def _types(retry_on: Any) -> tuple[type[Exception], ...]:
    types = () if retry_on is None else retry_on if isinstance(retry_on, tuple) else (retry_on,)
    for one in types:
        if not (isinstance(one, type) and issubclass(one, Exception)):
            raise ConfigurationError(f"retry_on must be exception types, not {one!r}")
    return types


class Judge:
    """Decides after each call of a function; one for each time that it is to succeed."""

    def __init__(self, policy: RetryPolicy, types: tuple[type[Exception], ...], *, results: bool = False) -> None:
        from llmnet.transports.plain import plain_call  # noqa: PLC0415 - on use

        self._types, self._results = types, results
        self._call = plain_call(Request(method="CALL", url=""), policy, _FOREVER)
        self.delay = 0.0

    def __call__(self, state: Any) -> bool:
        """Tenacity's question whether to go on; the wait is decided with the answer, and asked for later."""
        error = state.outcome.exception()
        failure = self._failure(error) if error is not None else self._status_of_result(state.outcome.result())
        if failure is None:
            return False
        self._call.begin(None)
        self._call.meta.headers = _headers_of(error if error is not None else state.outcome.result())
        decision = self._call.decide(Outcome(failure))
        self.delay = decision.delay
        return decision.retry

    def _failure(self, error: BaseException) -> LLMNetError | None:
        if isinstance(error, LLMNetError):
            listed = isinstance(error, self._types) if self._types else False
            return None if error.repeated and not listed else error
        if not isinstance(error, Exception):
            return None
        status = status_of(error)
        if status is not None and not isinstance(error, self._types):
            return APIStatusError(str(error), status=status, http_status=status)
        known = isinstance(error, self._types) or _is_network_error(error)
        return APIConnectionError(str(error)) if known else None

    def _status_of_result(self, result: Any) -> LLMNetError | None:
        status = status_of(result) if self._results else None
        return APIStatusError("", status=status, http_status=status) if status is not None and status >= 400 else None

    def wait(self, state: Any) -> float:
        """Tenacity's question how long."""
        return self.delay

    def note(self, state: Any) -> None:
        """Log before each sleep."""
        error = state.outcome.exception()
        why = type(error).__name__ if error is not None else "a retryable status"
        log.warning("attempt %d ended in %s; the next one follows in %.2f s", state.attempt_number, why, self.delay)


def _settings(judge: Judge) -> dict[str, Any]:
    from tenacity import stop_never  # noqa: PLC0415 - on use

    return {
        "retry": judge,
        "wait": judge.wait,
        "stop": stop_never,
        "before_sleep": judge.note,
        "reraise": True,
    }


def _drive(function: Callable[[], T], judge: Judge) -> T:
    from tenacity import Retrying  # noqa: PLC0415 - on use

    return Retrying(**_settings(judge))(function)


async def _drive_async(function: Callable[[], Awaitable[T]], judge: Judge) -> T:
    from tenacity import AsyncRetrying  # noqa: PLC0415 - on use

    return await AsyncRetrying(**_settings(judge))(function)


def status_of(thing: Any) -> int | None:
    """The HTTP status of a response, or of an exception of whichever library."""
    for place in (thing, getattr(thing, "response", None)):
        for name in ("status_code", "status"):
            value = getattr(place, name, None)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
    return None


def _headers_of(thing: Any) -> Headers:
    """The response headers of a response, or of an exception that holds one."""
    for place in (getattr(thing, "response", None), thing):
        headers = getattr(place, "headers", None)
        if headers is not None and hasattr(headers, "items"):
            return Headers([(str(name), str(value)) for name, value in headers.items()])
    return Headers()


def _is_network_error(error: Exception) -> bool:
    from llmnet.transports.foreign import is_network_error  # noqa: PLC0415 - on use

    return is_network_error(error)
