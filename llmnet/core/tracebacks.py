"""Leaves of an error and its causes what its caller can use and may see: where he called, his own code below that.

What an error was made from stays its `__context__`, which is not printed; its frames are let go, and with them the
connection and the request that they hold. With the variable `LLMNET_DEBUG` no frame is left out.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from llmnet.core.errors import LLMNetError
from llmnet.core.outcome import AttemptError

P = ParamSpec("P")
T = TypeVar("T")

VARIABLE = "LLMNET_DEBUG"
# What runs our calls; none of it is the caller's, where nothing of the caller's is above it.
_BELOW_US = {"llmnet", "requests", "urllib3", "httpx", "httpcore", "anyio", "h11", "h2", "tenacity"}
_SIDES = ("__cause__", "__context__")
_PLAIN = (str, bytes, int, float, type(None), BaseException)


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
        outer: the `id` of what the caller was handling, as in `reachable`.
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


# -- causes ------------------------------------------------------------------------------------------------------------


def reachable(error: BaseException, outer: int = 0) -> Iterator[BaseException]:
    """An exception and all its causes, whichever way a library keeps them; the nearest first.

    Args:
        error: where to begin.
        outer: the `id` of an exception that is no cause: the one that the caller was handling when it called, which
            Python makes the context of all that fails in the call.
    """
    seen, waiting = {outer} - {id(error)}, [error]
    for one in waiting:
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += _below(one)


def _below(error: BaseException) -> list[BaseException]:
    group = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    reasons = (getattr(error, "reason", None), getattr(error, "original_error", None))
    places = (error.__cause__, error.__context__, *reasons, *error.args, *group)
    return [one for one in places if isinstance(one, BaseException)]


def drop_tracebacks(error: BaseException, outer: int) -> None:
    """Let go of the frames of an exception that nobody meets any more, and of all that it was made from.

    A frame may hold the very exception whose traceback holds the frame: those of urllib3 do, and since Python 3.12
    those of `contextlib` that end a block with another exception. All frames down to the caller's, with what they
    hold, would live until the collector comes by.

    Args:
        error: where to begin.
        outer: as in `reachable`.
    """
    for one in reachable(error, outer):
        one.__traceback__ = None


def cut_causes(error: BaseException, shows: Callable[[str], bool], outer: int) -> None:
    """Empty all causes of an exception, and remove those whose text shows a secret.

    A library's exception may hold the request, with its headers, a response, a pool: the caller of a client needs none
    of them, so none is kept, whether or not there is a secret in it. An exception that the caller was handling is the
    caller's.

    Args:
        error: the one that the caller gets; it is left as it is.
        shows: whether a text shows a secret.
        outer: as in `reachable`.
    """
    ours = [*reachable(error, outer)]
    for one in ours[1:]:
        _empty(one)
    for one in ours:
        for side in _SIDES:
            below = getattr(one, side)
            if below is not None and id(below) not in (outer, id(error)) and _shows(below, shows):
                setattr(one, side, None)


def _empty(error: BaseException) -> None:
    """Remove from an exception all that is neither a plain value nor an exception."""
    if isinstance(error, LLMNetError | AttemptError | BaseExceptionGroup):
        return
    facts = vars(error)
    facts |= {name: None for name, fact in facts.items() if name != "__notes__" and not isinstance(fact, _PLAIN)}
    if not all(isinstance(one, _PLAIN) for one in error.args):
        error.args = tuple(one if isinstance(one, _PLAIN) else type(one).__name__ for one in error.args)


def _shows(error: BaseException, shows: Callable[[str], bool]) -> bool:
    parts: list[Any] = [error, error.args]
    if not isinstance(error, LLMNetError | AttemptError):
        parts.append(vars(error))
    return shows(" ".join(map(str, parts)))
