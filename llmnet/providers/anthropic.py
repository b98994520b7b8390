"""Anthropic's Messages: a chat goes out as one body, a reply comes back as blocks, whole or by events.

The facts: docs/vendors.md, Messages.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from llmnet.core.chat import FinishReason, ModelInfo, StreamChunk
from llmnet.core.draft import Draft, chat_message
from llmnet.core.errors import ConfigurationError, InvalidResponseError
from llmnet.core.http import Request
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers.anthropic_params import parameters
from llmnet.providers.anthropic_reply import PIECES, Shown, blocks_in, kind_of, reply_of, sendable
from llmnet.providers.anthropic_request import conversation
from llmnet.providers.form import Form
from llmnet.providers.reading import dict_of, models_in, text_of
from llmnet.providers.services import MESSAGES
from llmnet.providers.writing import params_of, with_items

VERSION = "2023-06-01"
# The API requires a limit; this is ours where the caller names none.
MAX_TOKENS = 8192
MODELS_IN_A_PAGE = 1000

FINISH: dict[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
    "pause_turn": FinishReason.PAUSED,
    "compaction": FinishReason.PAUSED,
}


class Messages(Form):
    """The Messages form."""

    def prepare(self, chat: ChatRequest) -> Request:
        """Conversation and parameters in Anthropic's words; of our own there is but the limit that it requires."""
        body: dict[str, Any] = {
            "model": chat.model,
            "max_tokens": MAX_TOKENS,
            **conversation(chat.messages, signed=self._signs()),
        }
        own = parameters(params_of(chat), model=chat.model, limit=MAX_TOKENS)
        if "system" in own and "system" in body:
            raise ConfigurationError("system= and messages with the role 'system' say one thing twice; use one of them")
        stream = {"stream": True} if chat.stream else {}
        return self.post(self._url("/messages"), body | own | stream, stream=chat.stream)

    def _signs(self) -> bool:
        """Whether the host is Anthropic's, which signs thinking and takes none back that is not signed."""
        host = urlsplit(self.target.base_url).hostname or ""
        return host == "anthropic.com" or host.endswith(".anthropic.com")

    def own_headers(self) -> dict[str, str]:
        """The API's version, which it insists on; the caller's own replaces it."""
        return {"anthropic-version": VERSION}

    def _url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """Anthropic's base is a bare host; gateways are often given with their version."""
        versioned = urlsplit(self.target.base_url).path.rstrip("/").endswith("/v1")
        return self.url(path if versioned else f"/v1{path}", query)

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """A whole reply: all its blocks at once."""
        whole = dict_of(payload)
        draft.name(id=whole.get("id"), model=whole.get("model"))
        reply = reply_of(draft)
        blocks = blocks_in(whole.get("content"))
        shown = reply.read(blocks) | {"usage": reply.counts.add(whole.get("usage"))}
        draft.spoken = whole.get("content") == [] or any(blocks)
        self.check(payload, draft, "content blocks")
        return draft.add(**shown, **ending_of(whole), raw=payload)

    def read_event(self, payload: dict[str, Any], event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """One event of a stream; those of unknown types, and pings, say nothing."""
        read = _EVENTS.get(text_of(payload.get("type")) or event.event)
        if read in (_message_start, _block_start) or (read is _block_delta and not _is_piece(payload)):
            draft.keep(event.data)
        return read(payload, draft) if read else None

    def message(self, draft: Draft) -> dict[str, Any]:
        """The assistant message, with the blocks that the vendor wants back as they came; plain text needs none.

        Why the vendor refused is no word of the model's and not part of it.
        """
        message = {name: value for name, value in chat_message(draft).items() if name != "refusal"}
        blocks = [
            block for block in (opened.whole() for opened in reply_of(draft).blocks) if sendable(block, signed=False)
        ]
        plain = [{"type": "text", "text": message["content"]}]
        return message if blocks == plain else with_items(message, MESSAGES, blocks)

    def models_request(self, cursor: str | None) -> Request:
        """A page of models; the vendor's own default is 20 to a page."""
        return self.get(self._url("/models", {"limit": MODELS_IN_A_PAGE, "after_id": cursor}))

    def parse_models(self, payload: Any) -> tuple[list[ModelInfo], str | None]:
        """The models of a page; its last id is the cursor of the next one."""
        return models_in(payload, "data"), (text_of(payload.get("last_id")) or None) if payload.get(
            "has_more"
        ) else None

    def embed_request(self, *_: Any, **__: Any) -> Request:
        """Anthropic has no embeddings."""
        raise ConfigurationError(f"{self.provider} has no embeddings in its messages form; embed with another provider")


def ending_of(message: Mapping[str, Any]) -> Shown:
    """Why a reply ended, from a whole one or from a stream's last delta; null and an absent key say that it has not."""
    native = text_of(message.get("stop_reason"))
    if not native:
        return {}
    refused = dict_of(message.get("stop_details")) if native == "refusal" else {}
    finish = (FINISH.get(native, FinishReason.OTHER), native)
    return {"finish": finish, "refusal": text_of(refused.get("explanation"))}


def _message_start(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    """The head of the message; its usage is a first count, its content is empty but in a resumed tool loop."""
    message, reply = dict_of(payload.get("message")), reply_of(draft)
    if reply.started:
        _check_repeated(text_of(message.get("id")), draft.id)
        return None
    reply.started, reply.ending = True, ending_of(message)
    draft.name(id=message.get("id"), model=message.get("model"))
    draft.usage = reply.counts.add(_usage_in(payload))
    blocks = blocks_in(message.get("content"))
    draft.spoken = any(blocks)
    return draft.add(**reply.read(blocks), raw=payload)


def _check_repeated(again: str, known: str) -> None:
    """Proxies have been seen to repeat the start; that of another message means that two streams were spliced."""
    if again != known:
        raise InvalidResponseError(f"two messages in one stream: {again!r} began inside {known!r}")


def _block_start(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    shown = reply_of(draft).open(_index(payload), dict_of(payload.get("content_block")))
    chunk = draft.add(**shown, raw=payload)
    draft.begun = draft.silent = draft.spoken = True
    return chunk


def _block_delta(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    return draft.add(**reply_of(draft).grow(_index(payload), dict_of(payload.get("delta"))), raw=payload)


def _is_piece(payload: dict[str, Any]) -> bool:
    return kind_of(dict_of(payload.get("delta"))) in PIECES


def _block_stop(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    draft.silent = False
    return draft.add(**reply_of(draft).stop(_index(payload)), raw=payload)


def _message_delta(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    """The end of the message and its cumulative usage; blocks that nobody stopped have stopped by now."""
    draft.begun = True
    reply = reply_of(draft)
    ending = ending_of(dict_of(payload.get("delta")))
    draft.spoken = draft.spoken or bool(ending)
    return draft.add(**reply.stop_all(), **ending, usage=reply.counts.add(_usage_in(payload)), raw=payload)


def _message_stop(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    draft.done = True
    reply = reply_of(draft)
    ending = {} if draft.native_finish_reason else reply.ending
    return draft.add(**ending, **reply.stop_all(), usage=reply.counts.add(_usage_in(payload)), raw=payload)


def _usage_in(payload: dict[str, Any]) -> dict[str, Any] | None:
    """The count in an event: beside the message or delta, or inside of it, as some gateways have it."""
    places = (payload, dict_of(payload.get("delta")), dict_of(payload.get("message")))
    return next((place["usage"] for place in places if isinstance(place.get("usage"), dict)), None)


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
