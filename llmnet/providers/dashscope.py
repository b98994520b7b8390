"""The wire form `native`, DashScope's: streams by header, frames that may repeat, an end without `[DONE]`.

The facts: docs/vendors.md, DashScope native.
"""

from collections.abc import Mapping
from typing import Any

from llmnet.core.chat import StreamChunk
from llmnet.core.draft import Draft
from llmnet.core.http import Request, merged
from llmnet.core.other_replies import EmbeddingResponse, ModelInfo
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers import openai_chat_reply as reply
from llmnet.providers.dashscope_request import chat_body, embed_body
from llmnet.providers.error_bodies import has_code
from llmnet.providers.form import Form
from llmnet.providers.increments import Increments, increment_of
from llmnet.providers.reading import (
    LARGEST,
    Object,
    Paths,
    dict_of,
    embeddings_of,
    items_of,
    joined,
    models_in,
    usage_of,
)
from llmnet.providers.text_events import NativeText, reader
from llmnet.providers.tool_calls import RepeatedCalls, complete_calls
from llmnet.providers.tool_rows import rows_of

PAGE_SIZE = 100
NATIVE_USAGE: Paths = {
    "input_tokens": (("input_tokens",),),
    "output_tokens": (("output_tokens",),),
    "total_tokens": (("total_tokens",),),
    "cached_tokens": (("prompt_tokens_details", "cached_tokens"),),
    "cache_write_tokens": (("prompt_tokens_details", "cache_creation_input_tokens"),),
    "reasoning_tokens": (("output_tokens_details", "reasoning_tokens"),),
}
# The deep-research models misspell the end of a reply; the right spelling is read too.
_ENDED = ("fininshed", "finished")
_END_REASON = ("finish_reason", "fininshed_reason", "finished_reason")
_text_event = reader(NativeText)


class Native(Form):
    """DashScope's own form."""

    def prepare(self, chat: ChatRequest) -> Request:
        """Messages go into `input`, all else into `parameters`; one image, audio or video changes the address."""
        chat.check_json()
        body, kind = chat_body(chat)
        request = self.post(self.url(f"/services/aigc/{kind}-generation/generation"), body, stream=chat.stream)
        # This header alone makes it a stream; the caller's own value of it wins.
        by_header = merged({"x-dashscope-sse": "enable"}, self.target.headers)
        return request.with_headers(by_header) if chat.stream else request

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """A complete reply is read as the one frame of a stream."""
        chunk, output = None, dict_of(payload).get("output")
        if isinstance(output, dict):
            chunk = self._read(payload, reply.choice_in(output.get("choices")), draft, complete=True)
        self.check(payload, draft, "output")
        return chunk

    def read_text(self, data: str, draft: Draft) -> StreamChunk | None:
        """The text or reasoning of a stream that is known to send what is new."""
        event = _text_event(data)
        if event is None or draft.own(Increments).repeats is not False:
            return None
        message = event.output.choices[0].message
        if not (message.content or message.reasoning_content):
            return None
        _name(draft, event.request_id, event.output.model_name)
        usage = usage_of(event.usage, NATIVE_USAGE)
        return draft.text(message.content, message.reasoning_content or "", data, usage)

    def read_event(self, payload: dict[str, Any], event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """One frame of a stream: the first choice counts, others only where it never comes."""
        choice = draft.own(reply.Choices).pick(payload, dict_of(payload.get("output")).get("choices"))
        if choice is None:
            draft.keep(event.data)
            draft.begun = True
            return None
        return self._read(payload, choice, draft)

    def end(self, draft: Draft) -> StreamChunk | None:
        """What was held: a choice whose index is not 0."""
        return joined([self._read(payload, choice, draft) for payload, choice in draft.own(reply.Choices).held()])

    def find_error(self, payload: Any) -> bool:
        """A code means an error, whatever else the reply has."""
        return super().find_error(payload) or (isinstance(payload, dict) and has_code(payload))

    def _read(self, payload: Object, choice: Object, draft: Draft, *, complete: bool = False) -> StreamChunk | None:
        output = dict_of(payload.get("output"))
        reasons = (choice, *({"finish_reason": output.get(name)} for name in _END_REASON))
        finish = next(filter(None, map(reply.finish_of, reasons)), None)
        message = _message_in(output, choice)
        usage = usage_of(payload.get("usage"), NATIVE_USAGE) or usage_of(output.get("usage"), NATIVE_USAGE)
        _name(draft, payload.get("request_id"), output.get("model_name"))
        draft.done = any(output.get(name) in (True, "true") for name in _ENDED)
        # No recording of deep research has an end frame; the status of the answer shows that it is complete.
        draft.may_end |= message.get("phase") == "answer" and message.get("status") == "finished"
        if message.get("phase") == "KeepAlive":
            draft.usage = usage or draft.usage
            return None
        draft.done = finish is not None or draft.done
        draft.spoken = draft.spoken or any(reply.has_place(place, finish) for place in (choice, output))
        fields = reply.texts_in(message, "")
        if message.get("phase") not in (None, "answer"):  # what deep research says before its answer
            fields |= {"content": "", "reasoning": fields["reasoning"] + fields["content"]}
        if complete:
            fields |= {"tools": complete_calls(message, draft)}
        else:
            calls = draft.own(RepeatedCalls, draft).take(rows_of(message))
            tokens = usage.output_tokens if usage else None
            fields = increment_of(draft, fields, calls, tokens=tokens, last=draft.done)
        return draft.add(**fields, finish=finish, usage=usage, raw=payload)

    def models_request(self, cursor: str | None) -> Request:
        """A page of the model list; the cursor is its number."""
        return self.get(self.url("/models", {"page_no": cursor or "1", "page_size": PAGE_SIZE}))

    def parse_models(self, payload: Any) -> tuple[list[ModelInfo], str | None]:
        """The models of a page, and the number of the next one."""
        output = dict_of(dict_of(payload).get("output"))
        models = models_in(output, "models")
        number, size, total = (_count(output.get(name)) for name in ("page_no", "page_size", "total"))
        return models, str(number + 1) if models and 0 < number * size < total else None

    def embed_request(self, inputs: list[Any], model: str, params: Mapping[str, Any]) -> Request:
        """The request for the vectors of some texts."""
        url = self.url("/services/embeddings/text-embedding/text-embedding")
        return self.post(url, embed_body(inputs, model, params))

    def parse_embeddings(self, payload: Any, size: int) -> EmbeddingResponse:
        """The vectors of one request for that many texts, in their order."""
        output = dict_of(dict_of(payload).get("output"))
        rows = sorted(items_of(output, "embeddings"), key=lambda row: _count(row.get("text_index")))
        return embeddings_of(payload, rows, size, usage_of(payload.get("usage"), NATIVE_USAGE))


def _name(draft: Draft, request_id: object, model: object) -> None:
    if not (draft.id and draft.model):
        draft.name(id=request_id, model=model or draft.asked)
        draft.request_id = draft.id or None


def _message_in(output: Object, choice: Object) -> Object:
    """The message of a reply: in a choice, in the output (deep research) or as a string (older models)."""
    places = (reply.message_in(choice), reply.message_at(output, "message"))
    return next((place for place in places if reply.is_filled(place)), {"content": output.get("text")})


def _count(value: Any) -> int:
    return value if isinstance(value, int) and abs(value) <= LARGEST else 0
