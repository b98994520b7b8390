"""Asks a plain function of the caller's on a daemon thread of its own, for both fronts; who waits for it is bounded.

The function may block for as long as it likes. An executor would starve on a few of those, and is joined when the
interpreter exits; a daemon thread is left behind. A function that has left too many behind is not asked again before
one of them ends.
"""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from llmnet.core.errors import APIConnectionError
from llmnet.core.forks import register_after_fork
from llmnet.core.headers import ByIdentity, drop
from llmnet.core.outcome import AttemptError, Outcome

ASKED = "while the callable api_key was asked"
MOST_LEFT = 64
"""Threads of one function for which nobody waits any more."""


class _Left:
    """Each answer that nobody waits for, and whose it is; added and taken out in one step of the interpreter each."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Begin with none: a forked child lacks these threads."""
        self.answers: dict[Future[Any], ByIdentity] = {}


_LEFT = register_after_fork(_Left())


def asked(function: Callable[[], Any]) -> "Future[Any]":
    """Call a function on a thread of its own, with the caller's context variables.

    Returns:
        What will have come of it: its value, or the very exception that it raised.

    Raises:
        AttemptError: the system has no thread left, or too many of this function's were left behind.
    """
    if [*_LEFT.answers.values()].count(ByIdentity(function)) >= MOST_LEFT:
        said = f"the callable api_key has not answered {MOST_LEFT} earlier calls, and is not asked again before it does"
        raise AttemptError(Outcome(APIConnectionError(said)))
    answer: Future[Any] = Future()
    answer.set_running_or_notify_cancel()  # from here on nobody can cancel it
    work = contextvars.copy_context().run
    try:
        threading.Thread(target=work, args=(_ask, function, answer), name="llmnet-key", daemon=True).start()
    except RuntimeError as error:
        raise AttemptError(Outcome(APIConnectionError(f"no thread to ask the callable api_key: {error}"))) from error
    return answer


def forgo(function: Callable[[], Any], answer: "Future[Any]") -> None:
    """Note that nobody waits for an answer any more; its thread lives until it comes."""
    _LEFT.answers[answer] = ByIdentity(function)
    answer.add_done_callback(_came_late)


def _came_late(answer: "Future[Any]") -> None:
    _LEFT.answers.pop(answer, None)
    if answer.exception() is None:
        drop(answer.result())


def _ask(function: Callable[[], Any], answer: "Future[Any]") -> None:
    try:
        answer.set_result(function())
    except (StopIteration, StopAsyncIteration) as error:
        answer.set_exception(loud(error))
    except BaseException as error:  # noqa: BLE001 - whoever waits gets it
        answer.set_exception(error)


def loud(error: StopIteration | StopAsyncIteration) -> RuntimeError:
    """What stands for an exception that would end the caller's loop without a word, as in generators (PEP 479)."""
    failure = RuntimeError(f"the callable api_key raised {type(error).__name__}")
    failure.__cause__ = error
    return failure
