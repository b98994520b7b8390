"""Runs what outlives its caller in no context of the caller's: all that is in one lives as long as a callback in it."""

import contextvars
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def without_context(work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await a coroutine whose steps see none of the caller's context variables; it stays in the caller's task."""
    context, step, value = contextvars.Context(), work.send, None
    while True:
        try:
            waited = context.run(step, value)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            step, value = work.send, (yield waited)
        except BaseException as error:  # noqa: BLE001 - it is passed on
            step, value = work.throw, error
