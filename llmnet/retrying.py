"""Retries for a user's own functions, sync and async: tenacity drives, `Call.decide` judges and names the wait."""

import functools
import inspect
import math
from collections.abc import Callable, Collection, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

from llmnet.core.bounds import Timeout, positive
from llmnet.core.errors import ConfigurationError
from llmnet.core.http import Request
from llmnet.core.judge import retries_are_off
from llmnet.core.logger import LOG
from llmnet.core.outcome import Outcome
from llmnet.core.plain import public
from llmnet.core.request import is_async_callable
from llmnet.core.retry import RETRY_STATUSES, RetryPolicy, count
from llmnet.core.tracebacks import shorten

P = ParamSpec("P")
T = TypeVar("T")
Types = tuple[type[Exception], ...]
ErrorTypes = type[Exception] | Types

_FOREVER = Timeout(connect=math.inf, response=math.inf, idle=math.inf, total=math.inf)


@public
def with_retry(
    max_attempts: int = 3, *, base_delay: float = 1.0, max_delay: float = 10.0, retry_on: ErrorTypes | None = None
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function, sync or async, that is to be called again when it fails for a passing reason.

    Repeated are network errors (Python's, requests', httpx's and others'), errors that carry a retryable HTTP status
    or a `retry_after`, and the types in *retry_on*. `Retry-After` is obeyed; one beyond two minutes ends the attempts.
    An error of an llmnet client is not repeated, since the client has done so, unless that client had `max_retries=0`.
    Each sleep is logged before; in the end the last error is raised as it is.

    Args:
        max_attempts: calls at most, the first one included.
        base_delay: seconds that the first backoff is drawn from; each further one doubles it.
        max_delay: seconds that a backoff never exceeds.
        retry_on: further exception types to repeat.

    Raises:
        ConfigurationError: an argument is wrong, or the function is a generator, which cannot be begun anew.
    """
    if callable(max_attempts):
        raise ConfigurationError("with_retry takes no function: write @with_retry() with parentheses")
    policy, types = _policy(max_attempts, base_delay, max_delay, RETRY_STATUSES), _types(retry_on)

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        _check(function, "what with_retry() decorates")
        judge = functools.partial(TenacityPolicy, _name(function), policy, types)
        if is_async_callable(function):

            @functools.wraps(function)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                return await _run_async(functools.partial(function, *args, **kwargs), judge())

            return cast("Callable[P, T]", awaited)

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            return _run(functools.partial(function, *args, **kwargs), judge())

        return wrapper

    return decorate


@public
def retry_with_backoff(
    func: Callable[[], T],
    max_attempts: int = 3,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    retryable_status_codes: Collection[int] = RETRY_STATUSES,
) -> T:
    """Call `func()` until it succeeds; an async one gives an awaitable.

    What is repeated, and when, is as in `with_retry`; a status is read from a returned response, too. The last error
    is raised, the last response returned, as it is.

    Args:
        func: called without arguments.
        max_attempts: calls at most, the first one included.
        base_delay: seconds that the first backoff is drawn from; each further one doubles it.
        max_delay: seconds that a backoff never exceeds.
        retryable_status_codes: HTTP statuses to repeat.

    Raises:
        ConfigurationError: an argument is wrong.
    """
    _check(func, "func")
    policy = _policy(max_attempts, base_delay, max_delay, retryable_status_codes)
    judge = TenacityPolicy(_name(func), policy, results=True)
    return cast("T", _run_async(func, judge)) if is_async_callable(func) else _run(func, judge)


def _check(function: object, what: str) -> None:
    if not callable(function):
        raise ConfigurationError(f"{what} must be a function, not {type(function).__name__}")
    for one in (function, getattr(type(function), "__call__", None)):  # noqa: B004 - an object's own `__call__`
        if inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one):
            raise ConfigurationError(f"{_name(function)} is a generator; what it has yielded cannot be taken back")


def _name(function: object) -> str:
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__qualname__", type(inner).__name__))


def _policy(max_attempts: int, base_delay: float, max_delay: float, statuses: Any) -> RetryPolicy:
    numbers = isinstance(statuses, Collection) and all(isinstance(c, int) and not isinstance(c, bool) for c in statuses)
    if not numbers or isinstance(statuses, bytes):
        raise ConfigurationError(f"retryable_status_codes must be a set of HTTP statuses, not {statuses!r}")
    # A throttle is an ordinary failure here: nobody else shares a gate with the function.
    return RetryPolicy(
        max_retries=count(max_attempts, "max_attempts", 1) - 1,
        base_delay=positive(base_delay, "base_delay"),
        max_delay=positive(max_delay, "max_delay"),
        max_throttle_wait=0,
        retry_statuses=frozenset(map(int, statuses)),
        budget=None,
    )


def _types(retry_on: Any) -> Types:
    types = () if retry_on is None else retry_on if isinstance(retry_on, tuple) else (retry_on,)
    for one in types:
        if not (isinstance(one, type) and issubclass(one, Exception)):
            raise ConfigurationError(f"retry_on must be an exception type or a tuple of them, not {one!r}")
    return types


class TenacityPolicy:
    """Decides after each call of a function; made anew for each time that the function is to succeed."""

    def __init__(self, name: str, policy: RetryPolicy, types: Types = (), *, results: bool = False) -> None:
        from llmnet.transports.generic import GenericCall  # noqa: PLC0415 - on use
        from llmnet.transports.sync.wait import SyncWait  # noqa: PLC0415 - on use

        # Exceptions of these types are repeated whatever they say; results of the function may be failures, too.
        self._name, self._types, self._results = name, types, results
        self._attempts = 1 if retries_are_off() else policy.max_retries + 1
        self.waits = SyncWait()
        self.call = GenericCall(Request(method="CALL", url=""), policy, _FOREVER, self.waits)
        self._delay = 0.0
        self._status: int | None = None

    def __call__(self, state: Any) -> bool:
        """Tenacity's question whether to go on; the wait is decided with the answer."""
        from llmnet.transports import third_party  # noqa: PLC0415 - on use

        error, failure = state.outcome.exception(), None
        if isinstance(error, Exception):  # Ctrl-C, an exit and a cancelled task are no failures
            failure = third_party.failure(error, self.call, listed=isinstance(error, self._types))
        elif error is None and self._results:
            failure = third_party.refusal(state.outcome.result(), self.call)
        if failure is None:
            return False
        decision = self.call.decide(Outcome(failure))
        self._delay = decision.delay
        self._status = getattr(failure, "status", None)
        return decision.retry

    def settings(self, waits: Any) -> dict[str, Any]:
        """The arguments of tenacity, for a function or a coroutine function."""
        return {
            "sleep": lambda seconds: waits.sleep(seconds, self.call.interruption),
            "retry": self,
            "wait": lambda _: self._delay,
            # The policy counts, too; but it is not asked where the function raises tenacity's own `TryAgain`.
            "stop": lambda state: state.attempt_number >= self._attempts,
            "before_sleep": self._note,
            "reraise": True,
        }

    def _note(self, state: Any) -> None:
        error = state.outcome.exception()  # which may be a `TryAgain`, of which nobody was asked
        fields = {
            "code.function.name": self._name,
            "llmnet.attempt": state.attempt_number,
            "llmnet.max_attempts": self._attempts,
            "error.type": f"HTTP {self._status}" if error is None else type(error).__name__,
            "llmnet.wait": self._delay,
        }
        LOG.warning("%s: call %d of %d ended in %s; the next one follows in %.2f s", *fields.values(), extra=fields)


def _run(function: Callable[[], T], judge: TenacityPolicy) -> T:
    """Call a function until its judge is content; a coroutine that it gives is driven by whoever awaits it."""
    from tenacity import Retrying  # noqa: PLC0415 - on use

    judge.call.enter()
    retrying = Retrying(**judge.settings(judge.waits))
    try:
        result = retrying(function)
    except Exception as error:
        shorten(error)
        raise
    if isinstance(result, Coroutine):
        made = [result]
        return cast("T", _run_async(lambda: made.pop() if made else function(), judge))
    return result


async def _run_async(function: Callable[[], Any], judge: TenacityPolicy) -> Any:
    from tenacity import AsyncRetrying  # noqa: PLC0415 - on use

    from llmnet.transports.aio.wait import AsyncWait  # noqa: PLC0415 - on use

    judge.call.enter()

    async def attempt() -> Any:
        return await function()

    retrying = AsyncRetrying(**judge.settings(AsyncWait()))
    try:
        return await retrying(attempt)
    except Exception as error:
        shorten(error)
        raise
