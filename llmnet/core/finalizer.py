"""How a finalizer does its work: a Ctrl-C in there ends it, and Python tells nobody but standard error."""

from collections.abc import Callable


def surely(act: Callable[[], object]) -> None:
    """Do something in a finalizer; where it is interrupted, it is done again from its beginning."""
    try:
        act()
    except BaseException:
        act()
        raise
