"""The wire form `responses`, OpenAI's, as OpenAI, Azure and DashScope speak it: a reply is a list of items.

The facts: docs/vendors.md, Responses.
"""

from collections.abc import Callable
from typing import Any

from llmnet.core.chat import FinishReason, StreamChunk
from llmnet.core.draft import Draft, chat_message
from llmnet.core.http import Request
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers.error_bodies import is_no_error
from llmnet.providers.form import Form
from llmnet.providers.openai_chat_reply import nested_text
from llmnet.providers.reading import CHAT_USAGE, Object, dict_of, dicts_of, text_of, usage_of
from llmnet.providers.responses_reply import Output, content_in, joined_texts, texts_beyond, texts_in
from llmnet.providers.responses_request import RULES, input_items, sendable
from llmnet.providers.target import RESPONSES
from llmnet.providers.text_events import ResponsesText, reader
from llmnet.providers.tool_rows import arguments_text
from llmnet.providers.writing import params_of, translated, with_items

# The field and the kind of a text, by the stem of its events: two kinds may carry the same reasoning.
TEXTS = {
    "response.output_text": ("content", "text"),
    "response.refusal": ("refusal", "refusal"),
    "response.reasoning_summary_text": ("reasoning", "summary"),
    "response.reasoning_summary": ("reasoning", "summary"),
    "response.reasoning_text": ("reasoning", "text"),
    "response.reasoning": ("reasoning", "text"),
}
ARGUMENTS = {"response.function_call_arguments": "arguments", "response.custom_tool_call_input": "input"}
# Events whose output is no text: only `raw` has it.
MEDIA = {"response.audio.delta", "response.audio.transcript.delta", "response.image_generation_call.partial_image"}
TERMINAL = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
FINISH = {
    "completed": FinishReason.STOP,
    **dict.fromkeys(("queued", "in_progress"), FinishReason.PAUSED),
    **dict.fromkeys(("failed", "cancelled"), FinishReason.ERROR),
    **dict.fromkeys(("max_output_tokens", "max_messages"), FinishReason.LENGTH),
    "content_filter": FinishReason.CONTENT_FILTER,
}
_text_event = reader(ResponsesText)


class Responses(Form):
    """The Responses form."""

    def prepare(self, chat: ChatRequest) -> Request:
        """Messages become items, parameters get their new names."""
        chat.check_json()
        body: Object = {
            "model": chat.model,
            "input": input_items(chat.messages, first=chat.first, stored=chat.params.get("store") is not False),
        }
        if chat.stream:
            body["stream"] = True
        body |= translated(params_of(chat), RULES, RESPONSES)
        return self.post(self.url("/responses"), body, stream=chat.stream)

    def find_error(self, payload: Any) -> bool:
        """An event of the stream is an error only by its type: its `code` is a program that the model wrote."""
        return not self.is_own_event(payload) and super().find_error(payload)

    def is_own_event(self, payload: Any) -> bool:
        """Whether it is an event of the stream: a hosted tool that has failed is no failure of the call."""
        return text_of(dict_of(payload).get("type")).startswith("response.")

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """A complete reply is read like a stream's last event."""
        body = dict_of(payload)
        has_output = isinstance(body.get("output"), list) or text_of(body.get("output_text"))
        chunk = self._finish(body, draft, body) if has_output else None
        self.check(payload, draft, "output")
        return chunk

    def read_text(self, data: str, draft: Draft) -> StreamChunk | None:
        """A piece of the same text as the piece before."""
        event = _text_event(data)
        if event is None or not event.delta:
            return None
        place = ("text", event.item_id, event.output_index, event.content_index, None)
        return draft.text(event.delta, "", data) if draft.own(Output, draft).is_latest(place) else None

    def read_event(self, payload: Object, event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """One event; those without output only carry the reply's id and model."""
        kind = text_of(payload.get("type")) or event.event
        stem, _, what = kind.rpartition(".")
        if what in ("delta", "done") and (stem in TEXTS or stem in ARGUMENTS):
            return draft.add(**_piece(payload, stem, what == "done", draft), raw=payload)
        if kind == "response.output_item.done":
            draft.keep(event.data)
        if kind in _ITEMS:
            return _ITEMS[kind](payload, draft)
        response = dict_of(payload.get("response"))
        if kind in TERMINAL:
            status = text_of(response.get("status")) or kind.removeprefix("response.")
            return self._finish({**(response or payload), "status": status}, draft, payload)
        draft.name(id=response.get("id"), model=response.get("model"))
        return draft.add(raw=payload, unseen=True) if kind in MEDIA else None

    def _finish(self, reply: Object, draft: Draft, raw: Object) -> StreamChunk | None:
        """Read the complete reply; some servers leave it empty at the end of a stream, after its items."""
        draft.name(id=reply.get("id"), model=reply.get("model"))
        if reply.get("status") == "failed" or not is_no_error(reply.get("error")):
            raise self.parse_error(200, {}, reply)
        output = draft.own(Output, draft)
        items = [row for row in enumerate(dicts_of(reply.get("output"))) if row[1]] or output.closed
        tools, draft.items = output.match_calls(items)
        draft.done = True
        draft.extra["stored"] = reply.get("store") is not False
        texts = texts_beyond(joined_texts([*map(texts_in, draft.items)]), draft)
        if not (draft.content or any(texts.values())):
            texts |= output.opened_texts()
            texts["content"] = texts["content"] or text_of(reply.get("output_text"))
        usage = usage_of(reply.get("usage"), CHAT_USAGE) or usage_of(raw.get("usage"), CHAT_USAGE)
        empty = reply.get("output") == [] and (usage is not None or reply.get("status") not in (None, "completed"))
        draft.spoken = draft.spoken or bool(items) or empty
        finish = finish_of(reply, called=bool(draft.tools or tools))
        return draft.add(**texts, tools=tools, finish=finish, usage=usage, raw=raw)

    def answer(self, draft: Draft) -> str:
        """The text of the last message: commentary stands in messages of its own before it."""
        texts = [text for item in draft.items if (text := content_in(item))]
        return texts[-1] if texts else ""

    def message(self, draft: Draft) -> Object:
        """The message carries its items: only they bring reasoning back."""
        items = sendable(draft.items, stored=draft.extra.get("stored", True))
        return with_items(chat_message(draft), RESPONSES, items)


def _piece(payload: Object, stem: str, complete: bool, draft: Draft) -> Object:
    """What a delta adds to a text or to a call's arguments, or the event that repeats all of the text."""
    output = draft.own(Output, draft)
    if stem in ARGUMENTS:
        if not complete:
            return output.call_piece(payload, arguments_text(payload.get("delta")))
        return output.call(payload, {"arguments": payload.get(ARGUMENTS[stem]), "name": payload.get("name")})
    field, kind = TEXTS[stem]
    value = payload.get("refusal" if field == "refusal" else "text") if complete else payload.get("delta")
    return output.text(payload, field, kind, nested_text(value), complete=complete)


def _open_item(payload: Object, draft: Draft) -> StreamChunk | None:
    """An item is the first sign of output."""
    draft.begun = draft.silent = draft.spoken = True
    return draft.add(**draft.own(Output, draft).open(payload), raw=payload)


def _close_item(payload: Object, draft: Draft) -> StreamChunk | None:
    output, item = draft.own(Output, draft), dict_of(payload.get("item"))
    added = output.close(payload)
    draft.silent, draft.spoken = bool(output.pending), draft.spoken or bool(item)
    image = item.get("type") == "image_generation_call" and bool(item.get("result"))
    return draft.add(**added, raw=payload, unseen=image)


def _close_part(payload: Object, draft: Draft) -> StreamChunk | None:
    """A complete part of a message, for servers that send no text in pieces."""
    output, part = draft.own(Output, draft), dict_of(payload.get("part"))
    field, kind = TEXTS.get(f"response.{text_of(part.get('type'))}", ("", ""))
    if output.has_deltas or field not in ("content", "refusal"):
        return None
    text = nested_text(part.get("refusal" if field == "refusal" else "text"))
    return draft.add(**output.text(payload, field, kind, text, complete=True), raw=payload)


def _begin_part(_: Object, draft: Draft) -> None:
    draft.own(Output, draft).begin_part()


_ITEMS: dict[str, Callable[[Object, Draft], StreamChunk | None]] = {
    "response.output_item.added": _open_item,
    "response.output_item.done": _close_item,
    "response.content_part.done": _close_part,
    "response.reasoning_summary_part.added": _begin_part,
}


def finish_of(reply: Object, *, called: bool) -> tuple[FinishReason, str] | None:
    """Why a reply ended: its status, which only the details explain where the reply is incomplete."""
    status = text_of(reply.get("status"))
    if not status:
        return None
    if status == "completed" and called:
        return FinishReason.TOOL_CALLS, status
    reason = dict_of(reply.get("incomplete_details")).get("reason") if status == "incomplete" else status
    return FINISH.get(text_of(reason), FinishReason.OTHER), status
