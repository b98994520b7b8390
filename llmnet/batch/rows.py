"""What a row of a batch may be, and what comes of it; a row that is none says why before anything is sent."""

from collections.abc import Mapping
from typing import Any

import msgspec

from llmnet.core.chat import ChatResponse
from llmnet.core.errors import ConfigurationError

# The addresses in an OpenAI Batch file whose bodies are arguments of `chat`.
_CHAT_URL = "/chat/completions"


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one row.

    Attributes:
        index: its place among the rows, from 0.
        custom_id: the caller's own name for it, or `None`.
        response: the reply, or `None` where it failed.
        error: why it failed, or `None`.
    """

    index: int
    custom_id: str | None = None
    response: ChatResponse | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a reply."""
        return self.error is None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row as `chat` takes it."""

    messages: Any
    custom_id: str | None = None
    params: dict[str, Any] = msgspec.field(default_factory=dict)


def custom_id_of(item: Any) -> str | None:
    """The name of a row, whatever else is wrong with it."""
    named = item.get("custom_id") if isinstance(item, Mapping) else None
    return named if isinstance(named, str) else None


def read_row(item: Any, common: Mapping[str, Any]) -> Row:
    """Read a row: a prompt, messages, a dict of `chat`'s arguments, or a line of an OpenAI Batch file.

    Args:
        item: the row.
        common: arguments of `chat` for all rows; a row's own go before them.

    Raises:
        ConfigurationError: it is none of these.
    """
    if not isinstance(item, Mapping):
        return Row(messages=item, params=dict(common))
    given = dict(item)
    name = given.pop("custom_id", None)
    if name is not None and not isinstance(name, str):
        raise ConfigurationError(f"custom_id must be a string, not {name!r}")
    if "body" in given:
        given = _body(given)
    asked = [word for word in ("prompt", "messages") if word in given]
    if len(asked) != 1:
        raise ConfigurationError(f"a row needs prompt or messages, it has {', '.join(map(str, given)) or 'nothing'}")
    return Row(messages=given.pop(asked[0]), custom_id=name, params={**common, **given})


def _body(line: dict[str, Any]) -> dict[str, Any]:
    """The arguments in a line of an OpenAI Batch file."""
    method, url, body = line.get("method", "POST"), line.get("url", _CHAT_URL), line["body"]
    if method != "POST" or not isinstance(url, str) or not url.endswith(_CHAT_URL):
        raise ConfigurationError(f"only POST …{_CHAT_URL} can be batched, not {method} {url}")
    if not isinstance(body, Mapping):
        raise ConfigurationError(f"body must be an object, not {type(body).__name__}")
    return dict(body)
