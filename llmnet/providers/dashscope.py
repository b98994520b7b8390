"""DashScope's native API: streams by header, frames that may repeat, an end without `[DONE]` (PROTOCOLS 4.3)."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import msgspec

from llmnet.core.chat import EmbeddingResponse, FinishReason, ModelInfo, StreamChunk, ToolCallDelta, Usage
from llmnet.core.draft import Draft, ToolDraft
from llmnet.core.errors import ConfigurationError, InvalidResponseError
from llmnet.core.glimpse import glimpse
from llmnet.core.http import Request, merged
from llmnet.core.json import decode
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers.chat_completions import FINISH, content_of, first_choice, tool_deltas
from llmnet.providers.dashscope_input import native_messages, parameters
from llmnet.providers.faults import has_code
from llmnet.providers.form import Form
from llmnet.providers.increments import Increments
from llmnet.providers.reading import LARGEST, Paths, check_size, items_of, model_info, text_of, usage_of, vector_of
from llmnet.providers.writing import REFUSED, Rule, translated

PAGE_SIZE = 100
NATIVE_USAGE: Paths = {
    "input_tokens": (("input_tokens",),),
    "output_tokens": (("output_tokens",),),
    "total_tokens": (("total_tokens",),),
    "cached_tokens": (("prompt_tokens_details", "cached_tokens"),),
    "cache_write_tokens": (("prompt_tokens_details", "cache_creation_input_tokens"),),
    "reasoning_tokens": (("output_tokens_details", "reasoning_tokens"),),
}
# The deep-research models' own spelling of the end, and a right one should they ever mend it.
_ENDED = ("fininshed", "finished")
_END_REASON = ("finish_reason", "fininshed_reason", "finished_reason")


def _floats(encoding: Any) -> dict[str, Any]:
    if encoding != "float":
        raise ConfigurationError(f"encoding_format={encoding!r} has no counterpart in the native form, it gives floats")
    return {}


EMBED_RULES: dict[str, Rule] = {"dimensions": "dimension", "encoding_format": _floats, "user": REFUSED}


class Native(Form):
    """DashScope's own form."""

    def prepare(self, chat: ChatRequest) -> Request:
        """Messages go into `input`, all else into `parameters`; one image, audio or video changes the address."""
        messages, multimodal = native_messages(chat.messages)
        url = self.url(f"/services/aigc/{'multimodal' if multimodal else 'text'}-generation/generation")
        body = {"model": chat.model, "input": {"messages": messages}, "parameters": parameters(chat)}
        request = self.post(url, body, stream=chat.stream)
        # A stream is chosen by this header alone; what the caller says of it stands.
        by_header = merged({"x-dashscope-sse": "enable"}, self.target.headers)
        return request.with_headers(by_header) if chat.stream else request

    # -- chats --------------------------------------------------------------------------------------------------------

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """A whole reply is read as the one frame of a stream."""
        output = payload.get("output") if isinstance(payload, dict) else None
        if not isinstance(output, dict) or not (output.get("choices") or output.get("message") or "text" in output):
            raise InvalidResponseError(f"the reply has no output: {glimpse(payload, 200)}")
        return self._read(payload, draft)

    def parse_event(self, event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """Older gateways leave out blank lines: then each line is a frame, and the event's name is the last one's."""
        *lines, last = event.data.split("\n")
        if not lines or is_json(event.data):
            return super().parse_event(event, draft)
        chunks: list[StreamChunk | None] = []
        named = ServerSentEvent(event=event.event, data=last, comments=event.comments)
        for frame in (*(ServerSentEvent(data=line) for line in lines), named):
            chunks.append(super().parse_event(frame, draft))
            if draft.done:
                break
        return joined(chunk for chunk in chunks if chunk is not None)

    def read_event(self, payload: dict[str, Any], event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """One frame of a stream."""
        return self._read(payload, draft)

    def find_error(self, payload: Any) -> bool:
        """A code means an error, whatever stands beside it."""
        return super().find_error(payload) or (isinstance(payload, dict) and has_code(payload))

    def _read(self, payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
        said = payload.get("output")
        output = said if isinstance(said, dict) else {}
        message, finish = message_of(output), finish_of(output)
        usage = usage_of(payload.get("usage"), NATIVE_USAGE)
        note(draft, payload, output, message)
        if message.get("phase") == "KeepAlive":
            draft.usage = usage or draft.usage
            return None
        draft.done = finish is not None or draft.done
        content, reasoning = texts_of(message)
        deltas = tool_deltas(message, draft)
        frame: dict[Hashable, str] = {"content": content, "reasoning": reasoning}
        frame |= {delta.index: delta.arguments for delta in deltas}
        increments: Increments = draft.extra.setdefault("increments", Increments())
        added = increments.take(frame, tokens=usage.output_tokens if usage else None, last=draft.done)
        return draft.add(
            content=added.get("content", ""),
            reasoning=added.get("reasoning", ""),
            tools=new_pieces(deltas, added, draft),
            finish=finish,
            usage=usage,
            raw=payload,
        )

    # -- models and embeddings ----------------------------------------------------------------------------------------

    def models_request(self, cursor: str | None) -> Request:
        """A page of the model list; the cursor is its number."""
        return self.get(self.url("/models", {"page_no": cursor or "1", "page_size": PAGE_SIZE}))

    def parse_models(self, payload: Any) -> tuple[list[ModelInfo], str | None]:
        """The models of a page, and the number of the next one."""
        output = _output_of(payload)
        models = [model_info(row, "model" if row.get("model") else "name") for row in items_of(output, "models")]
        number, size, total = (_count(output.get(name)) for name in ("page_no", "page_size", "total"))
        return models, str(number + 1) if models and 0 < number * size < total else None

    def embed_request(self, inputs: list[Any], model: str, params: Mapping[str, Any]) -> Request:
        """The request for the vectors of some texts."""
        if not all(isinstance(text, str) for text in inputs):
            raise ConfigurationError("inputs must be strings: DashScope's native form takes no token lists")
        given = {name: value for name, value in params.items() if value is not None}
        body = {"model": model, "input": {"texts": inputs}, "parameters": translated(given, EMBED_RULES, "native")}
        return self.post(self.url("/services/embeddings/text-embedding/text-embedding"), body)

    def parse_embeddings(self, payload: Any, size: int) -> EmbeddingResponse:
        """The vectors of one request for that many texts, in their order."""
        rows = sorted(items_of(_output_of(payload), "embeddings"), key=lambda row: _count(row.get("text_index")))
        check_size(rows, size)
        return EmbeddingResponse(
            vectors=[vector_of(row.get("embedding")) for row in rows],
            usage=usage_of(payload.get("usage"), NATIVE_USAGE) or Usage(),
            raw=payload,
        )


def note(draft: Draft, payload: Mapping[str, Any], output: Mapping[str, Any], message: Mapping[str, Any]) -> None:
    """Note the names of a reply, and whether a deep-research stream has ended or may do so."""
    draft.name(id=payload.get("request_id"), model=output.get("model_name") or draft.model or draft.asked)
    draft.request_id = draft.id or None
    draft.done = any(output.get(name) in (True, "true") for name in _ENDED)
    # No end frame of that family is on record; its answer says itself that it is whole.
    draft.may_end = draft.may_end or (message.get("phase") == "answer" and message.get("status") == "finished")


def message_of(output: Mapping[str, Any]) -> dict[str, Any]:
    """The message of a reply: in a choice, alone (deep research) or as bare text (older models)."""
    places = (first_choice(output.get("choices")).get("message"), output.get("message"))
    return next((place for place in places if isinstance(place, dict)), {"content": output.get("text")})


def texts_of(message: Mapping[str, Any]) -> tuple[str, str]:
    """Text and reasoning of a message; what deep research says in its phases before the answer is reasoning."""
    content, thought = content_of(message.get("content"))
    reasoning = text_of(message.get("reasoning_content")) or thought
    return (content, reasoning) if message.get("phase") in (None, "answer") else ("", reasoning + content)


def finish_of(output: Mapping[str, Any]) -> tuple[FinishReason, str] | None:
    """Why a reply ended; null, an absent key and the word `null` all mean that it has not."""
    places = [first_choice(output.get("choices")).get("finish_reason"), *(output.get(name) for name in _END_REASON)]
    native = next((reason for reason in places if isinstance(reason, str) and reason not in ("", "null")), None)
    return (FINISH.get(native, FinishReason.OTHER), native) if native else None


def new_pieces(deltas: Iterable[ToolCallDelta], added: Mapping[Any, str], draft: Draft) -> list[ToolCallDelta]:
    """The pieces of tool calls that are new; an id or name that is known is not said again."""
    said = {delta.index: delta for delta in deltas}
    pieces = []
    for index in sorted(said.keys() | {place for place in added if isinstance(place, int)}):
        delta, known = said.get(index, ToolCallDelta(index=index)), draft.tools.get(index, ToolDraft())
        name, call_id = "" if known.name else delta.name, "" if known.id else delta.id
        pieces.append(ToolCallDelta(index=index, id=call_id, name=name, arguments=added.get(index, "")))
    return [piece for piece in pieces if piece.id or piece.name or piece.arguments]


def joined(chunks: Iterable[StreamChunk]) -> StreamChunk | None:
    """Several chunks as one."""
    parts = list(chunks)
    if not parts:
        return None
    return msgspec.structs.replace(
        parts[-1],
        content="".join(part.content for part in parts),
        reasoning="".join(part.reasoning or "" for part in parts) or None,
        tool_calls=[delta for part in parts for delta in part.tool_calls],
        usage=next((part.usage for part in reversed(parts) if part.usage), None),
    )


def is_json(text: str) -> bool:
    """Whether a text is JSON."""
    try:
        decode(text)
    except ValueError:
        return False
    return True


def _output_of(payload: Any) -> dict[str, Any]:
    output = payload.get("output") if isinstance(payload, dict) else None
    return output if isinstance(output, dict) else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and abs(value) <= LARGEST else 0
