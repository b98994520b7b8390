"""Makes calls of the rows of a batch, and checks rows as their calls would be, without making calls of them.

Whether a row of plain texts can be sent depends on its parameters and on who says something, and not on what is said:
of many rows that differ in nothing else, one is checked.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from llmnet.client.base import BaseClient
from llmnet.core.call import Call
from llmnet.core.errors import ConfigurationError
from llmnet.core.extras import take_extras
from llmnet.core.json import encodable, encode
from llmnet.core.params import given_params
from llmnet.core.request import check_common
from llmnet.core.tracebacks import short_errors

_MOST = 1000  # shapes that are remembered


@short_errors
def calls_with(client: BaseClient, common: Mapping[str, Any]) -> Callable[[Any], Call]:
    """What makes a call of each row of a batch, with these arguments of `chat` for all of them.

    Raises:
        ConfigurationError: one of them is wrong for every row, or the client is closed.
    """
    client._common.check_open()
    common = given_params(common)
    check_common(common)
    take_extras(dict(common))
    if common.get("model") is not None:
        client._model_of(common["model"])
    return functools.partial(row_call, client, common)


def row_call(client: BaseClient, common: Mapping[str, Any], row: Any) -> Call:
    """The call of one row of a batch.

    Raises:
        ConfigurationError: the row is wrong.
    """
    from llmnet.batch.rows import read_row  # noqa: PLC0415 - loaded on use

    read = read_row(row, common)
    return client._chat_call(read.messages, read.params, stream=False)


class _Checks(BaseClient):
    """The checks of a client, which end where a call would be made."""

    def __init__(self, client: BaseClient) -> None:
        vars(self).update(vars(client), _is_child=True)

    def _make_call(self, *_: Any, **__: Any) -> Any:
        """Nothing: its route, gate, bounds and record cannot be wrong."""


def row_check(client: BaseClient) -> Callable[[Any], None]:
    """What checks rows for a client, each as a whole; it raises the `ConfigurationError` that `batch` would give."""
    from llmnet.batch.rows import read_row  # noqa: PLC0415 - loaded on use

    checks, passed = _Checks(client), set[tuple[Any, ...]]()

    def check(item: Any) -> None:
        row = read_row(item, {})
        shape = _shape(row.messages, row.params)
        if shape is None or shape not in passed:
            checks._chat_call(row.messages, row.params, stream=False)
            if shape is not None and len(passed) < _MOST:
                passed.add(shape)

    return check


def _shape(messages: Any, params: dict[str, Any]) -> tuple[Any, ...] | None:
    """All of a row but its texts, as something that can be compared; `None` where it holds more than plain texts."""
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    if not isinstance(turns, list):
        return None
    kinds = [_kind(turn) for turn in turns]
    if None in kinds:
        return None
    if not params:
        return tuple(kinds)
    output = params.get("output_type")
    try:
        hash(output)
        return *kinds, output, encode({**params, "output_type": None})
    except (ConfigurationError, TypeError):
        return None


def _kind(turn: Any) -> tuple[str, bool, bool] | None:
    """Who says something, and whether it is nothing; `None` for a message with more than a role and a text."""
    if not isinstance(turn, dict) or len(turn) != 2:
        return None
    role, text = turn.get("role"), turn.get("content")
    if not isinstance(role, str) or not isinstance(text, str) or not encodable(text):
        return None
    return role, text == "", text == "" or text.isspace()
