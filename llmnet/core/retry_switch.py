"""Whether anything in this process is sent again: tests turn that off, for as long as they like.

Read by the rules of every verdict, and by nothing else on the way of a call that succeeds.
"""

import contextlib
from collections.abc import Iterator

# One entry for each block that has turned retries off; a list is added to and taken from in one step.
_off: list[object] = []


@contextlib.contextmanager
def no_retries() -> Iterator[None]:
    """Within the block nothing is sent again, in the whole process: all behave as with `max_retries=0`.

    So do clients, batches, `with_retry`, `retry_with_backoff`, `create_session` and `create_async_client`, on whatever
    thread or loop, whenever they were made. A connection that turns out dead is still replaced. Blocks may be nested.
    """
    block = object()
    _off.append(block)
    try:
        yield
    finally:
        _off.remove(block)


def is_off() -> bool:
    """Whether nothing is to be sent again."""
    return bool(_off)
