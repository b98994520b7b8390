"""What a batch takes and gives: rows, their results, figures; a wrong row is refused before anything is sent."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, Never

import msgspec

from llmnet.core.chat import ChatResponse, X_co
from llmnet.core.defaults import over_defaults
from llmnet.core.errors import ConfigurationError, LLMNetError
from llmnet.core.plain import Value, public
from llmnet.core.tracebacks import drop_tracebacks

# The addresses in an OpenAI Batch file whose bodies are arguments of `chat`.
_CHAT_URL = "/chat/completions"


@public
class BatchResult(Value, msgspec.Struct, Generic[X_co], frozen=True, kw_only=True):
    """What came of one row: a `BatchSuccess` or a `BatchFailure`.

    Type checkers tell them apart by `isinstance`, by `error is None` and by `ok is True`; mypy by `ok` alone, too.

    Attributes:
        index: its place among the rows, from 0.
        custom_id: the caller's own name for it, or `None`.
        response: the reply, or `None` where it failed.
        error: why it failed, or `None`.
    """

    index: int
    custom_id: str | None = None
    response: ChatResponse[X_co] | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a reply."""
        return self.error is None

    def unwrap(self) -> ChatResponse[X_co]:
        """The reply.

        Raises:
            Exception: the error of a row that failed.
        """
        if self.response is None:
            raise self.error or ValueError("the row has neither a reply nor an error")
        return self.response


@public
class BatchSuccess(BatchResult[X_co], Generic[X_co], frozen=True, kw_only=True):
    """A row with its reply."""

    response: ChatResponse[X_co]
    error: None = None

    @property
    def ok(self) -> Literal[True]:
        """Whether there is a reply: there is."""
        return True


@public
class BatchFailure(BatchResult[Never], frozen=True, kw_only=True):
    """A row that failed, and why."""

    error: Exception
    response: None = None

    @property
    def ok(self) -> Literal[False]:
        """Whether there is a reply: there is none."""
        return False


Result = BatchSuccess[Any] | BatchFailure


@public
class BatchProgress(Value, msgspec.Struct, frozen=True, kw_only=True):
    """How far a batch is.

    Attributes:
        done: rows delivered, those that failed included.
        failed: of these, the ones with an error.
        total: rows in all, where the source has a length.
        in_flight: rows being worked on.
        throttled: attempts that a limit has turned away so far.
        elapsed: seconds since the first row.
        requests_per_second: rows done in a second, recently; in the last figures, since the start.
        tokens_per_second: tokens received in a second, likewise.
        left: seconds until the end at this pace, where the total is known.
        over: whether these are the last figures.
    """

    done: int
    failed: int
    total: int | None
    in_flight: int
    throttled: int
    elapsed: float
    requests_per_second: float
    tokens_per_second: float
    left: float | None
    over: bool


Show = Callable[[BatchProgress], object]
Progress = bool | Show | None


def without_frames(error: Exception, outer: int) -> Exception:
    """An error as a value: ours need no traceback, whose frames would keep its row alive; *outer* as in `reachable`."""
    if isinstance(error, LLMNetError):
        drop_tracebacks(error, outer)
        error.__cause__ = error.__context__ = None
    return error


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row as `chat` takes it."""

    messages: Any
    custom_id: str | None = None
    params: dict[str, Any] = msgspec.field(default_factory=dict)


def iterator(rows: Any) -> Iterator[Any]:
    """Iterate over the rows of a batch.

    Raises:
        ConfigurationError: they are not iterable, or a single row.
    """
    wrong = f"requests must be an iterable of rows, not {type(rows).__name__}"
    if isinstance(rows, str | bytes | Mapping):
        raise ConfigurationError(wrong)
    try:
        return iter(rows)
    except TypeError:
        raise ConfigurationError(wrong) from None


def custom_id_of(item: Any) -> str | None:
    """The name of a row, whatever else is wrong with it."""
    name = item.get("custom_id") if isinstance(item, Mapping) else None
    return name if isinstance(name, str) else None


def read_row(item: Any, common: Mapping[str, Any]) -> Row:
    """Read a row: a prompt, messages, a dict of `chat`'s arguments, which replace common ones, or an OpenAI Batch line.

    Raises:
        ConfigurationError: it is none of these.
    """
    if not isinstance(item, Mapping):
        return Row(messages=item, params=dict(common))
    fields = _with_text_names(item)
    custom_id = fields.pop("custom_id", None)
    if custom_id is not None and not isinstance(custom_id, str):
        raise ConfigurationError(f"custom_id must be a string, not {custom_id!r}")
    inputs = [name for name in ("prompt", "messages", "body") if name in fields]
    if inputs == ["body"]:
        fields = _body(fields)
        inputs = [name for name in ("prompt", "messages") if name in fields]
    if len(inputs) != 1:
        raise ConfigurationError(f"a row needs either prompt or messages, it has {', '.join(fields) or 'nothing'}")
    messages = fields.pop(name := inputs[0])
    if not isinstance(
        messages, str | Sequence
    ):  # what else is wrong with them is said of messages, whatever their name
        raise ConfigurationError(f"{name} must be a string or a list of messages, not {type(messages).__name__}")
    return Row(messages=messages, custom_id=custom_id, params=over_defaults(common, fields))


def _body(line: dict[str, Any]) -> dict[str, Any]:
    """The arguments in a line of an OpenAI Batch file."""
    method, url, body = line.get("method", "POST"), line.get("url", _CHAT_URL), line["body"]
    if method != "POST" or not isinstance(url, str) or not url.endswith(_CHAT_URL):
        raise ConfigurationError(f"only POST …{_CHAT_URL} can be batched, not {method} {url}")
    if not isinstance(body, Mapping):
        raise ConfigurationError(f"body must be an object, not {type(body).__name__}")
    return _with_text_names(body)


def _with_text_names(fields: Mapping[Any, Any]) -> dict[str, Any]:
    if odd := [name for name in fields if not isinstance(name, str)]:
        raise ConfigurationError(f"the names in a row must be strings, not {odd[0]!r}")
    return dict(fields)
