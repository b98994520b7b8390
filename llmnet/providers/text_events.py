"""Events and replies that say a text and nothing else, as nearly all do, each read in one step.

A type here admits such JSON and no other: what has any further field, or a field of another type, is not decoded
and goes by the general rules of its form. The fields listed beside the text mean nothing to those rules.
"""

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import msgspec

from llmnet.core.chat import Usage
from llmnet.providers.reading import CHAT_USAGE, LARGEST, usage_of

T = TypeVar("T")

# A longer text may hold more values than are ever decoded; the types alone bound how deep they are nested.
LONGEST = 64 * 1024

_Empty = Annotated[list[None], msgspec.Meta(max_length=0)] | None
_Text = str | None
_NoText = Literal[""] | None
_Filters = dict[str, dict[str, bool | str]] | None


class _Fields(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An object of an event that has no other fields than these.

    They stand in the order of most servers: msgspec looks for each one behind the one before.
    """


# What an event adds, and the message of a reply.
class _ChatDelta(_Fields):
    content: _Text = None
    reasoning_content: _Text = None
    reasoning: _Text = None
    role: _Text = None
    refusal: _NoText = None
    tool_calls: _Empty = None
    annotations: _Empty = None
    images: _Empty = None
    reasoning_details: _Empty = None
    thinking_blocks: _Empty = None
    function_call: None = None
    audio: None = None
    provider_specific_fields: None = None
    token_id: int | None = None


class _ChatChoice(_Fields, kw_only=True):
    index: Literal[0] | None = None
    delta: _ChatDelta
    logprobs: None = None
    finish_reason: _NoText = None
    native_finish_reason: _NoText = None
    matched_stop: None = None
    stop_reason: None = None
    token_ids: None = None
    text: _Text = None
    seed: int | None = None
    content_filter_results: _Filters = None


class _ChatHead(_Fields, kw_only=True):
    """What an event and a reply have beside their choices."""

    id: _Text = None
    object: Literal["chat.completion.chunk", "chat.completion", ""] | None = None
    created: int | float | None = None
    model: _Text = None
    service_tier: _Text = None
    system_fingerprint: _Text = None
    error: None = None
    x_groq: None = None
    provider: _Text = None
    request_id: _Text = None
    citations: list[str] | None = None
    prompt_token_ids: None = None


class ChatText(_ChatHead, kw_only=True):
    """A text of the chat form."""

    choices: tuple[_ChatChoice]
    usage: None = None
    obfuscation: _Text = None
    p: _Text = None


class _ChatAnswer(_Fields, kw_only=True):
    index: Literal[0] | None = None
    message: _ChatDelta
    logprobs: None = None
    finish_reason: str
    native_finish_reason: _Text = None
    matched_stop: int | str | None = None
    stop_reason: int | str | None = None
    token_ids: None = None
    seed: int | None = None
    content_filter_results: _Filters = None


_Count = Annotated[int, msgspec.Meta(ge=-LARGEST, le=LARGEST)]


class _ChatDetails(_Fields):
    cached_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None
    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class _ChatCounts(_Fields):
    prompt_tokens: _Count
    completion_tokens: _Count
    total_tokens: _Count
    prompt_tokens_details: _ChatDetails | None = None
    completion_tokens_details: _ChatDetails | None = None


class ChatReply(_ChatHead, kw_only=True):
    """A complete reply of the chat form; `chat_usage` reads its usage."""

    choices: tuple[_ChatAnswer]
    usage: dict[str, int | float | str | dict[str, int | float | str | None] | None] | None = None
    prompt_logprobs: None = None
    kv_transfer_params: None = None


class ResponsesText(_Fields):
    """A text of the Responses form."""

    type: Literal["response.output_text.delta"]
    delta: str
    item_id: _Text = None
    output_index: int | None = None
    content_index: int | None = None
    sequence_number: int | None = None
    logprobs: _Empty = None
    obfuscation: _Text = None


class MessagesText(_Fields):
    """A text of the Messages form, or its thinking."""

    type: Literal["content_block_delta"]
    index: int
    delta: dict[str, str]


class _NativeMessage(_Fields):
    content: str = ""
    reasoning_content: _Text = None
    role: _Text = None
    tool_calls: _Empty = None


class _NativeChoice(_Fields):
    message: _NativeMessage
    finish_reason: Literal["null", ""] | None = None
    index: Literal[0] | None = None


class _NativeOutput(_Fields):
    choices: tuple[_NativeChoice]
    model_name: _Text = None


class NativeText(_Fields):
    """A text of DashScope's native form, with the counts so far."""

    output: _NativeOutput
    usage: dict[str, int | dict[str, int | None] | None] | None = None
    request_id: _Text = None


def chat_usage(usage: object) -> Usage | None:
    """A usage of the chat form, by the rules of all forms where it has other fields than most."""
    try:
        counts = msgspec.convert(usage, _ChatCounts)
    except msgspec.ValidationError:
        return usage_of(usage, CHAT_USAGE)
    before, after = counts.prompt_tokens_details, counts.completion_tokens_details
    return Usage(
        input_tokens=counts.prompt_tokens,
        output_tokens=counts.completion_tokens,
        total_tokens=counts.total_tokens,
        cached_tokens=before.cached_tokens if before else None,
        reasoning_tokens=after.reasoning_tokens if after else None,
    )


def reader(kind: type[T]) -> Callable[[str | bytes | bytearray], T | None]:
    """What reads an event, or a body, as this type; `None` where it says anything else."""
    decode = msgspec.json.Decoder(kind).decode

    def read(data: str | bytes | bytearray) -> T | None:
        if len(data) > LONGEST:
            return None
        try:
            return decode(data)
        except (msgspec.DecodeError, UnicodeError):
            return None

    return read
