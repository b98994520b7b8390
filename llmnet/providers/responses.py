"""OpenAI's Responses API, as OpenAI, Azure and DashScope speak it: a reply is a list of items (PROTOCOLS 1.4).

A stream tells each item twice, in pieces and then whole, and some servers leave one of the two out: what was handed out
stands, and a whole item only adds what goes beyond it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from llmnet.core.chat import FinishReason, StreamChunk, ToolCallDelta
from llmnet.core.draft import MAX_ITEMS, Draft, Text, chat_message, check_count
from llmnet.core.http import Request
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers.form import Form
from llmnet.providers.reading import CHAT_USAGE, items_of, text_of, usage_of
from llmnet.providers.responses_request import CALL, CUSTOM_CALL, FORM, RULES, input_items
from llmnet.providers.writing import params_of, translated, with_items

Item = tuple[int, dict[str, Any]]

# Events that bring a piece, and what it is a piece of.
DELTAS = {
    "response.output_text.delta": "content",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.reasoning_text.delta": "reasoning",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
}
# Events whose output is no text: it is to be found in `raw`.
UNSEEN = {"response.audio.delta", "response.audio.transcript.delta", "response.image_generation_call.partial_image"}
TERMINAL = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
# Where the text of an item stands: item type, list of parts, part type, name of the text, what it is text of.
TEXTS = (
    ("message", "content", "output_text", "text", "content"),
    ("message", "content", "refusal", "refusal", "refusal"),
    ("reasoning", "summary", "summary_text", "text", "reasoning"),
    ("reasoning", "content", "reasoning_text", "text", "reasoning"),
)
SPEAKING = [row[0] for row in TEXTS]
KINDS = ("content", "refusal", "reasoning")
ARGUMENTS = {CALL: "arguments", CUSTOM_CALL: "input"}
FINISH = {
    "completed": FinishReason.STOP,
    "queued": FinishReason.PAUSED,
    "in_progress": FinishReason.PAUSED,
    "failed": FinishReason.ERROR,
    "cancelled": FinishReason.ERROR,
    "max_output_tokens": FinishReason.LENGTH,
    "max_messages": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}


class Responses(Form):
    """The Responses form."""

    def prepare(self, chat: ChatRequest) -> Request:
        """Messages become items, parameters go by their new names."""
        body: dict[str, Any] = {"model": chat.model, "input": input_items(chat.messages)}
        if chat.stream:
            body["stream"] = True
        body |= translated(params_of(chat), RULES, FORM)
        return self.post(self.url("/responses"), body, stream=chat.stream)

    def find_error(self, payload: Any) -> bool:
        """An event of the stream is an error only by its name: the `code` in one is a program of the model's."""
        named = isinstance(payload, dict) and text_of(payload.get("type")).startswith("response.")
        return not named and super().find_error(payload)

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """A whole reply is what a stream's last event holds."""
        items_of(payload, "output")
        return self._conclude(payload, draft, payload)

    def read_event(self, payload: dict[str, Any], event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """One event; those of bookkeeping only tell the reply's names."""
        kind = text_of(payload.get("type")) or event.event
        if kind in DELTAS:
            return read_delta(payload, DELTAS[kind], draft)
        if kind == "response.output_item.added":
            return open_item(payload, draft)
        if kind == "response.output_item.done":
            draft.keep(event.data)
            return close_item(payload, draft)
        response = object_of(payload.get("response"))
        if kind in TERMINAL:
            status = text_of(response.get("status")) or kind.removeprefix("response.")
            return self._conclude({**response, "status": status}, draft, payload)
        draft.name(id=response.get("id"), model=response.get("model"))
        return draft.add(raw=payload, unseen=True) if kind in UNSEEN else None

    def _conclude(self, reply: dict[str, Any], draft: Draft, raw: dict[str, Any]) -> StreamChunk | None:
        """Read the whole reply; some servers leave it empty at the end of a stream, which has told its items before."""
        draft.name(id=reply.get("id"), model=reply.get("model"))
        if reply.get("status") == "failed" or reply.get("error"):
            raise self.parse_error(200, {}, reply)
        items = list(enumerate(objects_in(reply.get("output")))) or closed_items(draft)
        draft.items, draft.done = [item for _, item in items], True
        news = beyond({what: text_in(items, what) for what in KINDS}, items, draft)
        usage = usage_of(reply.get("usage"), CHAT_USAGE)
        return draft.add(**news, finish=finish_of(reply, draft, news), usage=usage, raw=raw)

    def message(self, draft: Draft) -> dict[str, Any]:
        """The message carries its items: only they bring reasoning back."""
        return with_items(chat_message(draft), FORM, draft.items)


def read_delta(payload: dict[str, Any], what: str, draft: Draft) -> StreamChunk | None:
    """A piece of a text or of a call's arguments."""
    piece, index = text_of(payload.get("delta")), index_of(payload)
    quiet_items(draft).discard(index)
    news: dict[str, Any] = {what: piece}
    if what == "arguments":
        news = {"tools": [ToolCallDelta(index=index, arguments=piece)] if piece else []}
    return draft.add(**news, raw=payload)


def open_item(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    """An item is the first sign of output; a call already tells its name, others show nothing yet."""
    item, index = object_of(payload.get("item")), index_of(payload)
    draft.begun = draft.silent = True
    if is_call(item):
        return draft.add(tools=call_beyond(index, {**item, ARGUMENTS[item["type"]]: ""}, draft), raw=payload)
    quiet = quiet_items(draft)
    quiet.add(index)
    check_count(len(quiet), MAX_ITEMS, "open items")
    return None


def close_item(payload: dict[str, Any], draft: Draft) -> StreamChunk | None:
    """The whole item: it is kept, and adds what no delta has told."""
    item, index = object_of(payload.get("item")), index_of(payload)
    quiet = quiet_items(draft)
    quiet.discard(index)
    draft.silent = bool(quiet)
    closed = draft.extra.setdefault("closed", [])
    closed.append((index, item))
    check_count(len(closed), MAX_ITEMS, "items")
    spoken = told_whole(closed, draft) if item.get("type") in SPEAKING else {}
    image = item.get("type") == "image_generation_call" and bool(item.get("result"))
    return draft.add(**beyond(spoken, [(index, item)], draft), raw=payload, unseen=image)


def quiet_items(draft: Draft) -> set[int]:
    """The items that are open and of which nothing was shown yet."""
    quiet: set[int] = draft.extra.setdefault("quiet", set())
    return quiet


def closed_items(draft: Draft) -> list[Item]:
    """The items that a stream has told whole, in their order."""
    return sorted(draft.extra.get("closed", ()), key=lambda row: row[0])


def told_whole(closed: list[Item], draft: Draft) -> dict[str, str]:
    """The texts of all items that a stream has told whole, in their order; nearly always the last one comes last."""
    whole: dict[str, str] = draft.extra.setdefault("whole", dict.fromkeys(KINDS, ""))
    index, last = closed[-1][0], draft.extra.get("last", -1)
    for what in KINDS:
        whole[what] = whole[what] + text_in(closed[-1:], what) if index >= last else text_in(closed_items(draft), what)
    draft.extra["last"] = max(index, last)
    return whole


def beyond(spoken: Mapping[str, str], called: list[Item], draft: Draft) -> dict[str, Any]:
    """What items say beyond the draft, by their texts and by their calls; what was handed out stands."""
    told = {"content": draft.content, "refusal": draft.refusal, "reasoning": draft.reasoning}
    news: dict[str, Any] = {
        what: rest(spoken[what], str(text)) if len(spoken.get(what, "")) > len(text) else ""
        for what, text in told.items()
    }
    calls = [call_beyond(index, item, draft) for index, item in called if is_call(item)]
    return {**news, "tools": [piece for pieces in calls for piece in pieces]}


def rest(whole: str, told: Text | str) -> str:
    """The part of a text that was not told yet; what was told is put together only where there may be more."""
    return whole[len(told) :] if len(whole) > len(told) and whole.startswith(str(told)) else ""


def text_in(items: Iterable[Item], what: str) -> str:
    """All that items hold of one kind of text."""
    rows = [row for row in TEXTS if row[-1] == what]
    return "".join(
        text_of(part.get(text))
        for _, item in items
        for item_type, parts, part_type, text, _ in rows
        if item.get("type") == item_type
        for part in objects_in(item.get(parts))
        if part.get("type") == part_type
    )


def is_call(item: dict[str, Any]) -> bool:
    """Whether an item calls a tool of the caller's; hosted tools are called by the vendor itself."""
    return text_of(item.get("type")) in ARGUMENTS


def call_beyond(index: int, item: dict[str, Any], draft: Draft) -> list[ToolCallDelta]:
    """What a call's item says beyond the draft: id and name where it is new, and arguments not told yet."""
    call_id, name = text_of(item.get("call_id")), text_of(item.get("name"))
    at = next((at for at, tool in draft.tools.items() if call_id and tool.id == call_id), index)
    known = draft.tools.get(at)
    if known is not None and known.id and call_id and known.id != call_id:
        at, known = max(draft.tools) + 1, None
    arguments = rest(text_of(item.get(ARGUMENTS[item["type"]])), known.arguments if known else "")
    if known is None or not (known.id or known.name):
        return [ToolCallDelta(index=at, id=call_id, name=name, arguments=arguments)]
    return [ToolCallDelta(index=at, arguments=arguments)] if arguments else []


def finish_of(reply: dict[str, Any], draft: Draft, news: dict[str, Any]) -> tuple[FinishReason, str] | None:
    """Why a reply ended: its status, which of an incomplete one only the details explain."""
    status = text_of(reply.get("status"))
    if not status:
        return None
    if status == "completed" and (draft.tools or news["tools"]):
        return FinishReason.TOOL_CALLS, status
    reason = object_of(reply.get("incomplete_details")).get("reason") if status == "incomplete" else status
    return FINISH.get(text_of(reason), FinishReason.OTHER), status


def index_of(payload: dict[str, Any]) -> int:
    """The place of an event's item in the output."""
    index = payload.get("output_index")
    return index if isinstance(index, int) else 0


def object_of(value: Any) -> dict[str, Any]:
    """An object as it is; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; anything else has none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
