"""Walks all causes of an exception, and removes from them what the caller must not see."""

from collections.abc import Callable, Iterator
from typing import Any

from llmnet.core.errors import LLMNetError
from llmnet.core.outcome import AttemptError

_SIDES = ("__cause__", "__context__")
_PLAIN = (str, bytes, int, float, type(None), BaseException)


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
