"""What a program says to a model and hears from it, in one form for all vendors; values only."""

import sys
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Required, TypeVar, cast

import msgspec

from llmnet.core.errors import OutputError
from llmnet.core.http import Meta
from llmnet.core.json import decode
from llmnet.core.plain import Value, public
from llmnet.core.tool_call import ToolCall, ToolCallDelta

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    try:  # pydantic, which has it installed, refuses that of `typing` here
        from typing_extensions import TypedDict
    except ImportError:
        from typing import TypedDict

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultedVar

    # Without `output_type`, and in a bare `ChatResponse`, the value of a reply is None. For that an argument of such a
    # type has None as its default: of `NOT_GIVEN`, which is Any, pyright makes Any.
    X = DefaultedVar("X", default=None)
    X_co = DefaultedVar("X_co", default=None, covariant=True)
else:
    X, X_co = TypeVar("X"), TypeVar("X_co", covariant=True)

T = TypeVar("T")


@public
class Message(TypedDict, total=False):
    """One message in the form of OpenAI's chat API; a plain dict at run time."""

    role: Required[str]
    content: Any
    name: str
    tool_calls: list[dict[str, Any]]
    tool_call_id: str
    reasoning_content: str | None


@public
class FinishReason(StrEnum):
    """Why a reply ended (docs/vendors.md, Finish reasons); the vendor's own word is in `native_finish_reason`."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    PAUSED = "paused"
    ERROR = "error"
    OTHER = "other"


@public
class Usage(Value, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens as the vendor counted them; unknown is `None`, never 0. Input includes what was cached or written."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Decoded:  # noqa: PLW1641 - it holds lists
    """A value whose `raw` is the text of the vendor's JSON until it is asked for; it is compared and shown decoded."""

    __slots__ = ()

    @property
    def raw(self) -> dict[str, Any] | None:
        """The vendor's JSON, decoded when it is asked for."""
        field: Any = super(_Decoded, type(self)).raw  # type: ignore[misc]  # of the struct, which stands behind this one
        held = field.__get__(self)
        if isinstance(held, str | bytes):
            held = decode(held)
            field.__set__(self, held)
        return cast("dict[str, Any] | None", held)

    def __repr__(self) -> str:
        _ = self.raw
        return super().__repr__()

    def __eq__(self, other: object) -> bool:
        _ = self.raw, isinstance(other, _Decoded) and other.raw
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        _ = self.raw, isinstance(other, _Decoded) and other.raw
        return super().__ne__(other)


class _Chunk(Value, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a chunk holds; `raw` may be the text of the vendor's JSON."""

    content: str = ""
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] = msgspec.field(default_factory=list)
    finish_reason: FinishReason | None = None
    native_finish_reason: str | None = None
    usage: Usage | None = None
    raw: Any = None


@public
class StreamChunk(_Decoded, _Chunk, frozen=True, gc=False):
    """One step of a streamed reply; `str(chunk)` is its text."""

    def __str__(self) -> str:
        return self.content


class _Reply(Value, msgspec.Struct, frozen=True, kw_only=True):
    """What a reply holds; `raw` may be the text of the vendor's JSON, and `parsed` a `NoValue`."""

    id: str = ""
    model: str = ""
    content: str = ""
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] = msgspec.field(default_factory=list)
    finish_reason: FinishReason | None = None
    native_finish_reason: str | None = None
    usage: Usage = msgspec.field(default_factory=Usage)
    provider: str = ""
    meta: Meta = msgspec.field(default_factory=Meta)
    raw: Any = None
    message: dict[str, Any] = msgspec.field(default_factory=dict)
    parsed: Any = None


class NoValue(msgspec.Struct, frozen=True):
    """Why a reply has no value of `output_type`, to be said when it is asked for."""

    why: str


@public
class ChatResponse(_Decoded, _Reply, Generic[X_co], frozen=True):
    """A whole reply; `str(reply)` is its text, `len(reply)` the length of that text.

    Attributes:
        id: the vendor's id of the reply.
        model: the model that answered, as the vendor names it.
        content: the text, `""` where there is none.
        reasoning: what the model thought aloud, or `None`.
        refusal: why it refused, or `None`.
        tool_calls: the tools that it wants called.
        finish_reason: why it ended, or `None` where the vendor did not say.
        native_finish_reason: the vendor's own word for that.
        usage: tokens as counted by the vendor.
        provider: the service that answered.
        meta: how the call went.
        raw: the vendor's JSON, or `None` on a reply assembled from a stream.
        message: the assistant message to append to `messages` for the next turn.
    """

    @property  # type: ignore[misc]  # in the place of the field
    def parsed(self) -> X_co:
        """The value that `output_type` asked for; without it `None`.

        Raises:
            OutputError: the reply calls tools, and is no such value.
        """
        value: X_co | NoValue = super().parsed
        if isinstance(value, NoValue):
            raise OutputError(value.why, partial=self, meta=self.meta, provider=self.provider or None)
        return value

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types, without `raw`; `parsed` is `None` where the reply calls tools."""
        is_value = not isinstance(super().parsed, NoValue)
        return super().to_dict() if is_value else msgspec.structs.replace(self, parsed=None).to_dict()

    def __str__(self) -> str:
        return self.content

    def __len__(self) -> int:
        return len(self.content)

    def __bool__(self) -> bool:
        return True


@public
class StreamCallbacks(msgspec.Struct, frozen=True):
    """What to call while a reply arrives; plain functions, in the async client coroutine functions too.

    Attributes:
        on_chunk: called with each `StreamChunk`.
        on_complete: called once with the `ChatResponse`.
        on_error: called once with the exception, which `chat` then raises.
    """

    on_chunk: Callable[[StreamChunk], object] | None = None
    on_complete: Callable[[ChatResponse[Any]], object] | None = None
    on_error: Callable[[Exception], object] | None = None


def total_usage(usages: list[Usage]) -> Usage:
    """The sum of several usages; a figure that one of them does not know stays unknown."""
    fields = Usage.__struct_fields__
    columns = {name: [getattr(usage, name) for usage in usages] for name in fields}
    return Usage(**{name: None if None in column else sum(column) for name, column in columns.items() if column})


def replace_meta(reply: ChatResponse[X], meta: Meta) -> ChatResponse[X]:
    """The same reply with the meta of its call."""
    return msgspec.structs.replace(reply, meta=meta)
