"""Asks a plain function of the caller's on a daemon thread of its own, for both fronts; who waits for it is bounded.

The function may block for as long as it likes. An executor would starve on a few of those, and is joined when the
interpreter exits; a daemon thread is left behind.
"""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from llmnet.core.errors import APIConnectionError
from llmnet.core.outcome import Fault, Outcome

ASKED = "while the callable api_key was asked"


def asked(function: Callable[[], Any]) -> "Future[Any]":
    """Call a function on a thread of its own, with the caller's context variables.

    Returns:
        What will have come of it: its value, or the very exception that it raised.

    Raises:
        Fault: the system has no thread left.
    """
    answer: Future[Any] = Future()
    answer.set_running_or_notify_cancel()  # from here on nobody can cancel it
    work = contextvars.copy_context().run
    try:
        threading.Thread(target=work, args=(_ask, function, answer), name="llmnet-key", daemon=True).start()
    except RuntimeError as error:
        raise Fault(Outcome(APIConnectionError(f"no thread to ask the callable api_key: {error}"))) from error
    return answer


def _ask(function: Callable[[], Any], answer: "Future[Any]") -> None:
    try:
        answer.set_result(function())
    except (StopIteration, StopAsyncIteration) as error:
        answer.set_exception(loud(error))
    except BaseException as error:  # noqa: BLE001 - whoever waits gets it
        answer.set_exception(error)


def loud(error: StopIteration | StopAsyncIteration) -> RuntimeError:
    """What stands for an exception that would end the caller's loop without a word, as in generators (PEP 479)."""
    said = RuntimeError(f"the callable api_key raised {type(error).__name__}")
    said.__cause__ = error
    return said
