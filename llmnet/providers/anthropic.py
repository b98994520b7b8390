"""The wire form `messages`, Anthropic's: a chat is one body, a reply comes back as blocks, complete or by events.

The facts: docs/vendors.md, Messages.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from llmnet.core.chat import FinishReason, StreamChunk, Usage
from llmnet.core.draft import Draft, chat_message
from llmnet.core.errors import ConfigurationError, InvalidResponseError
from llmnet.core.http import Request
from llmnet.core.other_replies import ModelInfo
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers.anthropic_block import Added, answer_in
from llmnet.providers.anthropic_params import has_no_format, parameters, thinks
from llmnet.providers.anthropic_reply import TEXT_DELTAS, TEXTS, Reply, blocks_in, delta_type, sendable
from llmnet.providers.anthropic_request import conversation
from llmnet.providers.form import Form
from llmnet.providers.reading import Paths, dict_of, models_in, text_of, usage_of
from llmnet.providers.text_events import MessagesText, reader
from llmnet.providers.wire_forms import MESSAGES
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
            **conversation(chat.messages, first=chat.first, signed=self.target.signs_thinking),
        }
        own = parameters(params_of(chat), model=chat.model, limit=MAX_TOKENS)
        stream = {"stream": True} if chat.stream else {}
        return self.post(self._url("/messages"), body | own | stream, stream=chat.stream)

    def wanting(self, chat: ChatRequest, output: "Output") -> ChatRequest:
        """By a schema; by a tool where the model is older, or the host has it not, or no schema can say the type."""
        from llmnet.providers import strict_schema, structured_output  # noqa: PLC0415 - loaded on use

        schema = strict_schema.strict_schema_of(output, strict_schema.ANTHROPIC)
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
        added = reply.read(blocks) | {"usage": _count(body.get("usage"), draft)}
        draft.spoken = body.get("content") == [] or any(blocks)
        self.check(payload, draft, "content blocks")
        return draft.add(**added, **finish_of(body, reply), raw=payload)

    def read_text(self, data: str, draft: Draft) -> StreamChunk | None:
        """The text of a block, or its thinking."""
        event = _text_event(data)
        if event is None or not event.delta.get(TEXTS.get(event.delta.get("type", ""), "")):
            return None
        added = draft.own(Reply).grow(event.index, event.delta)
        return draft.text(added.get("content", ""), added.get("reasoning", ""), data)

    def read_event(self, payload: dict[str, Any], event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """One event of a stream; pings and unknown types give no chunk."""
        read = _EVENTS.get(text_of(payload.get("type")) or event.event)
        delta = dict_of(payload.get("delta"))
        if read in (_message_start, _block_start) or (read is _block_delta and delta_type(delta) not in TEXT_DELTAS):
            draft.keep(event.data)
        return read(payload, draft) if read else None

    def answer(self, draft: Draft) -> str:
        """The last call of the answer's tool, or the text behind all that is none."""
        return answer_in(draft.own(Reply).blocks)

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


def finish_of(message: Mapping[str, Any], reply: Reply) -> Added:
    """Why a reply ended, from a complete one or from a stream's last delta; nothing where it has not ended."""
    native = text_of(message.get("stop_reason"))
    if not native:
        return {}
    refused = dict_of(message.get("stop_details")) if native == "refusal" else {}
    reason = FINISH.get(native, FinishReason.OTHER)
    if reason is FinishReason.TOOL_CALLS and reply.answered and not reply.calls:
        reason = FinishReason.STOP
    finish = (reason, native)
    return {"finish": finish, "refusal": text_of(refused.get("explanation"))}


def _message_start(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    """The head of the message; its usage is a first count, its content is empty except in a resumed tool loop."""
    message, reply = dict_of(payload.get("message")), draft.own(Reply)
    if reply.started:
        # Proxies have repeated the start; one of another message means that two streams were mixed.
        if (again := text_of(message.get("id"))) != draft.id:
            raise InvalidResponseError(f"two messages in one stream: {again!r} began inside {draft.id!r}")
        return None
    reply.started, reply.finish = True, finish_of(message, reply)
    draft.name(id=message.get("id"), model=message.get("model"))
    draft.usage = _count(_usage_in(payload), draft)
    blocks = blocks_in(message.get("content"))
    draft.spoken = any(blocks)
    return draft.add(**reply.read(blocks), raw=payload)


def _block_start(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    added = draft.own(Reply).open(_index(payload), dict_of(payload.get("content_block")))
    chunk = draft.add(**added, raw=payload)
    draft.begun = draft.silent = draft.spoken = True
    return chunk


def _block_delta(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    return draft.add(**draft.own(Reply).grow(_index(payload), dict_of(payload.get("delta"))), raw=payload)


def _block_stop(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    draft.silent = False
    return draft.add(**draft.own(Reply).stop(_index(payload)), raw=payload)


def _message_delta(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    """The end of the message and its cumulative usage; it also ends the blocks that are still open."""
    draft.begun = True
    reply = draft.own(Reply)
    finish = finish_of(dict_of(payload.get("delta")), reply)
    draft.spoken = draft.spoken or bool(finish)
    return draft.add(**reply.stop_all(), **finish, usage=_count(_usage_in(payload), draft), raw=payload)


def _message_stop(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    draft.done = True
    reply = draft.own(Reply)
    finish = {} if draft.native_finish_reason else reply.finish
    return draft.add(**finish, **reply.stop_all(), usage=_count(_usage_in(payload), draft), raw=payload)


def _usage_in(payload: dict[str, Any]) -> dict[str, Any] | None:
    """The counts in an event: next to the message or delta, or inside it, as some gateways send them."""
    places = (payload, dict_of(payload.get("delta")), dict_of(payload.get("message")))
    return next((place["usage"] for place in places if isinstance(place.get("usage"), dict)), None)


def _count(usage: Any, draft: Draft) -> Usage | None:
    """Take the cumulative counts of an event: they replace those before, except null ones and an input of 0."""
    if not isinstance(usage, dict):
        return None
    counts: dict[str, Any] = draft.extra.setdefault("counts", {})
    new = {name: usage[name] for name in _COUNTED if usage.get(name) is not None}
    if not any(new.get(name) for name in _INPUT):
        new = {name: value for name, value in new.items() if name not in _INPUT or name not in counts}
    counts.update(new)
    inputs = [value for name in _INPUT if isinstance(value := counts.get(name), int)]
    known = isinstance(counts.get("input_tokens"), int)
    return usage_of(counts | ({"input_tokens": sum(inputs)} if known else {}), USAGE)


def _index(payload: dict[str, Any]) -> int | None:
    index = payload.get("index")
    return index if isinstance(index, int) else None


_EVENTS: dict[str, Callable[[dict[str, Any], Draft], StreamChunk | None]] = {
    "message_start": _message_start,
    "content_block_start": _block_start,
    "content_block_delta": _block_delta,
    "content_block_stop": _block_stop,
    "message_delta": _message_delta,
    "message_stop": _message_stop,
}
