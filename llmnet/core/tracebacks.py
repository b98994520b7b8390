"""Leaves of an error what its caller can use: where he called, and his own code below that.

What an error was made from stays its `__context__`, which is not printed; its frames are let go, and with them the
connection and the request that they hold. With the variable `LLMNET_DEBUG` nothing is left out.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import ParamSpec, TypeVar

from llmnet.core.errors import LLMNetError
from llmnet.core.exception_graph import drop_tracebacks
from llmnet.core.outcome import AttemptError

P = ParamSpec("P")
T = TypeVar("T")

VARIABLE = "LLMNET_DEBUG"
# What runs our calls; none of it is the caller's, where nothing of the caller's is above it.
_BELOW_US = {"llmnet", "requests", "urllib3", "httpx", "httpcore", "anyio", "h11", "h2", "tenacity"}


class _Setting:
    """What is shown, in the whole process: a client sets it when it is made."""

    whole = False


def set_up(environ: Mapping[str, str]) -> None:
    """Show everything from now on, or no longer, as the variable says."""
    _Setting.whole = environ.get(VARIABLE, "").strip().lower() not in ("", "0", "false", "no", "off")


def shorten(error: BaseException) -> None:
    """Remove from a traceback the frames of llmnet, and of what it runs on, but for the first, which is about to raise.

    Frames of the caller's, as of a key function, stay. An error that is neither ours nor from a function of the
    caller's is a bug, and keeps all.
    """
    trace = error.__traceback__
    if _Setting.whole or trace is None or not isinstance(error, Exception):
        return
    kept = [*_of_the_caller(trace.tb_next)]
    if kept or isinstance(error, LLMNetError):
        for entry in kept:
            trace.tb_next = entry
            trace = entry
        trace.tb_next = None


def short_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that checks arguments: its errors show who called it, and no frame below."""

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except LLMNetError as error:
            shorten(error)
            if not _Setting.whole and error.__traceback__ is not None:
                error.__traceback__ = error.__traceback__.tb_next  # `raise` alone does not add this frame again
            raise

    return checked


def _of_the_caller(entry: TracebackType | None) -> Iterator[TracebackType]:
    """From the first frame that is the caller's on all but our own: what his function calls is his, too."""
    his = False
    while entry is not None:
        room = str(entry.tb_frame.f_globals.get("__name__", "")).partition(".")[0]  # the caller's may be anything
        his = his or not (room in _BELOW_US or room in sys.stdlib_module_names)
        if his and room != "llmnet":
            yield entry
        entry = entry.tb_next


def present(error: BaseException, outer: int) -> None:
    """Say where a call's error is described, and leave of what it was made from exceptions without frames, unprinted.

    Inside an `except` block of the caller's, what it handles is shown, as Python does, and is all that is left.

    Args:
        error: as it was raised where the call was judged.
        outer: the `id` of what the caller was handling, as in `exception_graph.reachable`.
    """
    if not (isinstance(error, LLMNetError) and isinstance(error.__context__, AttemptError)):
        return
    if (note := f"see {error.help}") not in getattr(error, "__notes__", ()):
        error.add_note(note)  # a traceback shows it, `str(error)` and logs do not
    if _Setting.whole:
        return
    chain = [*_contexts(error)]
    # An error of another task knows nothing of what is handled here: Python itself adds it, as it passes the `await`.
    handled = next((one for one in chain if id(one) == outer), None)
    handles = outer != id(None)
    made_from = (one for one in (error.__cause__, *chain) if one is not None and not isinstance(one, AttemptError))
    trace, cause = error.__traceback__, next(made_from, None)
    drop_tracebacks(error, outer)
    error.__traceback__, error.__cause__ = trace, None
    error.__context__ = handled if handles else cause
    error.__suppress_context__ = not handles


def _contexts(error: BaseException) -> Iterator[BaseException]:
    """What was being handled as an error was raised, and so on: at the end stands what the caller was handling."""
    seen, one = {id(error)}, error.__context__
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__context__
