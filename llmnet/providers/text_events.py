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
_NoText = Literal[""] | None


class _Fields(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An object of an event that has no other fields than these.

    They stand in the order in which most servers send them: msgspec looks for each one behind the one before.
    """


class _ChatDelta(_Fields):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    role: str | None = None
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
    text: str | None = None
    seed: int | None = None
    content_filter_results: dict[str, dict[str, bool | str]] | None = None


class ChatText(_Fields, kw_only=True):
    """A text of the chat form."""

    id: str | None = None
    object: Literal["chat.completion.chunk", "chat.completion", ""] | None = None
    created: int | float | None = None
    model: str | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    choices: tuple[_ChatChoice]
    usage: None = None
    error: None = None
    x_groq: None = None
    obfuscation: str | None = None
    p: str | None = None
    provider: str | None = None
    request_id: str | None = None
    citations: list[str] | None = None
    prompt_token_ids: None = None


class _ChatMessage(_Fields, kw_only=True):
    role: str | None = None
    content: str
    refusal: _NoText = None
    annotations: _Empty = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: _Empty = None
    images: _Empty = None
    reasoning_details: _Empty = None
    thinking_blocks: _Empty = None
    function_call: None = None
    audio: None = None
    provider_specific_fields: None = None


class _ChatAnswer(_Fields, kw_only=True):
    index: Literal[0] | None = None
    message: _ChatMessage
    logprobs: None = None
    finish_reason: str
    native_finish_reason: str | None = None
    matched_stop: int | str | None = None
    stop_reason: int | str | None = None
    token_ids: None = None
    seed: int | None = None
    content_filter_results: dict[str, dict[str, bool | str]] | None = None


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


class ChatReply(_Fields, kw_only=True):
    """A complete reply of the chat form; `chat_usage` reads its usage."""

    id: str | None = None
    object: Literal["chat.completion", ""] | None = None
    created: int | float | None = None
    model: str | None = None
    choices: tuple[_ChatAnswer]
    usage: dict[str, int | float | str | dict[str, int | float | str | None] | None] | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    error: None = None
    x_groq: None = None
    provider: str | None = None
    request_id: str | None = None
    citations: list[str] | None = None
    prompt_token_ids: None = None
    prompt_logprobs: None = None
    kv_transfer_params: None = None


class ResponsesText(_Fields):
    """A text of the Responses form."""

    type: Literal["response.output_text.delta"]
    delta: str
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    sequence_number: int | None = None
    logprobs: _Empty = None
    obfuscation: str | None = None


class MessagesText(_Fields):
    """A text of the Messages form, or its thinking."""

    type: Literal["content_block_delta"]
    index: int
    delta: dict[str, str]


class _NativeMessage(_Fields):
    content: str = ""
    reasoning_content: str | None = None
    role: str | None = None
    tool_calls: _Empty = None


class _NativeChoice(_Fields):
    message: _NativeMessage
    finish_reason: Literal["null", ""] | None = None
    index: Literal[0] | None = None


class _NativeOutput(_Fields):
    choices: tuple[_NativeChoice]
    model_name: str | None = None


class NativeText(_Fields):
    """A text of DashScope's native form, which has the counts so far in each event."""

    output: _NativeOutput
    usage: dict[str, int | dict[str, int | None] | None] | None = None
    request_id: str | None = None


def chat_usage(usage: object) -> Usage | None:
    """The usage of a reply of the chat form, by the rules of all forms where it has other fields than most."""
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
    """What reads the data of an event, or a body: as this type, or `None` where it says anything else."""
    decode = msgspec.json.Decoder(kind).decode

    def read(data: str | bytes | bytearray) -> T | None:
        if len(data) > LONGEST:
            return None
        try:
            return decode(data)
        except (msgspec.DecodeError, UnicodeError):
            return None

    return read
