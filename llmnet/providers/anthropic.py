"""The wire form `messages`, Anthropic's: a chat is one body, a reply comes back as blocks, complete or by events.

The facts: docs/vendors.md, Messages.
"""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from llmnet.core.chat import FinishReason, StreamChunk, Usage
from llmnet.core.draft import Draft, chat_message
from llmnet.core.errors import ConfigurationError, InvalidResponseError
from llmnet.core.http import Request
from llmnet.core.other_replies import ModelInfo
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers.anthropic_params import has_no_format, parameters, thinks
from llmnet.providers.anthropic_reply import GROWING, TEXTS, Added, Reply, blocks_in, field_of, sendable
from llmnet.providers.anthropic_request import conversation
from llmnet.providers.form import Form
from llmnet.providers.reading import Paths, dict_of, models_in, text_of, usage_of
from llmnet.providers.target import MESSAGES
from llmnet.providers.text_events import MessagesText, reader
from llmnet.providers.writing import params_of, with_items

if TYPE_CHECKING:
    from llmnet.core.output import Output

VERSION = "2023-06-01"
# The API requires a limit; this one holds where the caller sets none.
MAX_TOKENS = 8192
MODELS_IN_A_PAGE = 1000

FINISH: dict[str, FinishReason] = {
    **dict.fromkeys(("end_turn", "stop_sequence"), FinishReason.STOP),
    **dict.fromkeys(("max_tokens", "model_context_window_exceeded"), FinishReason.LENGTH),
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
    **dict.fromkeys(("pause_turn", "compaction"), FinishReason.PAUSED),
}

# Where each figure stands (docs/vendors.md, Usage).
USAGE: Paths = {
    "input_tokens": (("input_tokens",),),
    "output_tokens": (("output_tokens",),),
    "cached_tokens": (("cache_read_input_tokens",),),
    "cache_write_tokens": (("cache_creation_input_tokens",),),
    "reasoning_tokens": (("output_tokens_details", "thinking_tokens"),),
}
# Anthropic counts input that it reads from the cache and writes to it apart.
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_COUNTED = {place[0] for places in USAGE.values() for place in places}
_ENDS = ("message_delta", "message_stop")
_text_event = reader(MessagesText)


class Messages(Form):
    """The Messages form; the API requires the header of its version."""

    own_headers: ClassVar[Mapping[str, str]] = {"anthropic-version": VERSION}

    def prepare(self, chat: ChatRequest) -> Request:
        """Conversation and parameters in Anthropic's form; we add only the limit that it requires."""
        chat.check_json()
        body: dict[str, Any] = {
            "model": chat.model,
            "max_tokens": MAX_TOKENS,
            **conversation(chat.messages, chat.first, signed=self.target.signs_thinking),
        }
        own = parameters(params_of(chat), model=chat.model, limit=MAX_TOKENS)
        stream = {"stream": True} if chat.stream else {}
        return self.post(self._url("/messages"), body | own | stream, stream=chat.stream)

    def wanting(self, chat: ChatRequest, output: "Output") -> ChatRequest:
        """By a schema; by a tool where the model is older, or the host has it not, or no schema can say the type."""
        from llmnet.providers import structured_output  # noqa: PLC0415 - loaded on use

        schema = structured_output.strict_schema_of(output, structured_output.ANTHROPIC)
        if schema is None or not self.target.takes_schemas or has_no_format(chat.model):
            return structured_output.by_tool(chat, output, force=not thinks(chat.params))
        return structured_output.with_params(chat, response_format={"type": "json_schema", "schema": schema})

    def _url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        return self.url(self._version + path, query)

    @functools.cached_property
    def _version(self) -> str:
        """Anthropic's base URL is a bare host; those of gateways often end in the version."""
        return "" if urlsplit(self.target.base_url).path.rstrip("/").endswith("/v1") else "/v1"

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """A complete reply: all its blocks at once."""
        body = dict_of(payload)
        draft.name(id=body.get("id"), model=body.get("model"))
        reply = draft.own(Reply)
        blocks = blocks_in(body.get("content"))
        added = reply.read(blocks) | {"usage": _usage(body, reply)}
        draft.spoken = body.get("content") == [] or any(blocks)
        self.check(payload, draft, "content blocks")
        return draft.add(**added, **_finish(body, reply), raw=payload)

    def read_text(self, data: str, draft: Draft) -> StreamChunk | None:
        """The text of a block, or its thinking."""
        event = _text_event(data)
        if event is None or (field := field_of(event.delta)) not in TEXTS or not event.delta.get(field):
            return None
        added = draft.own(Reply).grow(event.index, event.delta)
        return draft.text(added.get("content", ""), added.get("reasoning", ""), data)

    def read_event(self, payload: dict[str, Any], event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """One event of a stream; pings and unknown types give no chunk."""
        kind, reply = text_of(payload.get("type")) or event.event, draft.own(Reply)
        index, delta = payload.get("index"), dict_of(payload.get("delta"))
        index = index if isinstance(index, int) else None
        if kind == "message_start":
            draft.keep(event.data)
            return _start(payload, draft, reply)
        if kind == "content_block_start":
            draft.keep(event.data)
            chunk = draft.add(**reply.open(index, dict_of(payload.get("content_block"))), raw=payload)
            draft.begun = draft.silent = draft.spoken = True
            return chunk
        if kind == "content_block_delta":
            if field_of(delta) not in GROWING:
                draft.keep(event.data)
            return draft.add(**reply.grow(index, delta), raw=payload)
        if kind == "content_block_stop":
            draft.silent = False
            return draft.add(**reply.stop(index), raw=payload)
        return _end(payload, draft, reply, whole=kind == "message_stop") if kind in _ENDS else None

    def answer(self, draft: Draft) -> str:
        """The last call of the answer's tool, or the text behind all that is none."""
        return draft.own(Reply).answer()

    def message(self, draft: Draft) -> dict[str, Any]:
        """The assistant message, with the blocks that the vendor wants back unchanged; plain text needs none.

        The explanation of a refusal is the vendor's, not the model's, and is left out.
        """
        message = {name: value for name, value in chat_message(draft).items() if name != "refusal"}
        blocks = [block.complete() for block in draft.own(Reply).blocks]
        blocks = [block for block in blocks if sendable(block, signed=False)]
        plain = [{"type": "text", "text": message["content"]}]
        return message if blocks == plain else with_items(message, MESSAGES, blocks)

    def models_request(self, cursor: str | None) -> Request:
        """A page of models; the vendor's own default is 20 a page."""
        return self.get(self._url("/models", {"limit": MODELS_IN_A_PAGE, "after_id": cursor}))

    def parse_models(self, payload: Any) -> tuple[list[ModelInfo], str | None]:
        """The models of a page; its last id is the cursor of the next one."""
        models = models_in(payload, "data")
        return models, (text_of(payload.get("last_id")) or None) if payload.get("has_more") else None

    def embed_request(self, *_: Any, **__: Any) -> Request:
        """Anthropic has no embeddings."""
        raise ConfigurationError(f"{self.provider} has no embeddings in its messages form; embed with another provider")


def _finish(message: Mapping[str, Any], reply: Reply) -> Added:
    """Why a reply ended, from a complete one or from a stream's last delta; nothing where it has not ended."""
    native = text_of(message.get("stop_reason"))
    if not native:
        return {}
    reason = FINISH.get(native, FinishReason.OTHER)
    if reason is FinishReason.TOOL_CALLS and reply.answered and not reply.calls:
        reason = FinishReason.STOP
    refused = dict_of(message.get("stop_details")) if native == "refusal" else {}
    return {"finish": (reason, native), "refusal": text_of(refused.get("explanation"))}


def _start(payload: dict[str, Any], draft: Draft, reply: Reply) -> StreamChunk | None:
    """The head of the message; its usage is a first count, its content is empty except in a resumed tool loop."""
    message = dict_of(payload.get("message"))
    if reply.started:
        # Proxies have repeated the start; one of another message means that two streams were mixed.
        if (again := text_of(message.get("id"))) != draft.id:
            raise InvalidResponseError(f"two messages in one stream: {again!r} began inside {draft.id!r}")
        return None
    reply.started, reply.finish = True, _finish(message, reply)
    draft.name(id=message.get("id"), model=message.get("model"))
    draft.usage = _usage(payload, reply)
    blocks = blocks_in(message.get("content"))
    draft.spoken = any(blocks)
    return draft.add(**reply.read(blocks), raw=payload)


def _end(payload: dict[str, Any], draft: Draft, reply: Reply, *, whole: bool) -> StreamChunk | None:
    """The end of the message, which also ends the blocks that are still open; behind it the stream is *whole*."""
    if whole:
        draft.done = True
        finish = {} if draft.native_finish_reason else reply.finish
    else:
        draft.begun = True
        finish = _finish(dict_of(payload.get("delta")), reply)
        draft.spoken = draft.spoken or bool(finish)
    return draft.add(**reply.stop_all(), **finish, usage=_usage(payload, reply), raw=payload)


def _usage(payload: dict[str, Any], reply: Reply) -> Usage | None:
    """The counts of a reply or event, which some gateways put inside its message or delta.

    They are cumulative: each replaces the one before, except by null and by an input of 0.
    """
    places = (payload, dict_of(payload.get("delta")), dict_of(payload.get("message")))
    usage = next((place["usage"] for place in places if isinstance(place.get("usage"), dict)), None)
    if usage is None:
        return None
    counts = reply.counts
    left = () if any(usage.get(name) for name in _INPUT) else [name for name in _INPUT if name in counts]
    counts |= {name: usage[name] for name in _COUNTED if usage.get(name) is not None and name not in left}
    if not isinstance(counts.get("input_tokens"), int):
        return usage_of(counts, USAGE)
    inputs = [value for name in _INPUT if isinstance(value := counts.get(name), int)]
    return usage_of(counts | {"input_tokens": sum(inputs)}, USAGE)
