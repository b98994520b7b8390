"""Where a reply of the chat form has what: the fields in which services and servers put texts, finish and usage."""

from collections.abc import Iterable
from typing import Any

from llmnet.core.chat import FinishReason, Usage
from llmnet.providers.error_bodies import is_no_error
from llmnet.providers.reading import CHAT_USAGE, Object, dicts_of, text_of, usage_of

# By the services' own values, and those of Anthropic and Google, which gateways pass on unchanged.
FINISH: dict[str, FinishReason] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "stop_sequence", "end_turn"), FinishReason.STOP),
    **dict.fromkeys(("length", "model_length", "max_tokens", "model_context_window_exceeded"), FinishReason.LENGTH),
    **dict.fromkeys(("tool_calls", "function_call", "tool_use"), FinishReason.TOOL_CALLS),
    **dict.fromkeys(("content_filter", "sensitive", "safety"), FinishReason.CONTENT_FILTER),
    **dict.fromkeys(("error", "insufficient_system_resource", "network_error"), FinishReason.ERROR),
}
# Qianfan flags content that must not be displayed, next to an ordinary finish (docs/vendors.md, Chat completions).
_UNSAFE_FLAG = 2
_REASONING = ("reasoning_content", "reasoning", "thinking", "reasoning_text")
# Types of the parts of a content that are reasoning, and the fields of a part that may hold its text.
_REASONING_PARTS = ("thinking", "reasoning", "reasoning_text", "summary_text")
_TEXT_FIELDS = ("text", "thinking", "reasoning", "summary", "content", "value")
NO_FINISH = ("", "null")
# Finish reasons that explain an empty reply.
_EXPLAINS_EMPTY = (FinishReason.LENGTH, FinishReason.CONTENT_FILTER, FinishReason.ERROR)

Finish = tuple[FinishReason, str]


def choice_in(choices: Any) -> Object:
    """The choice of a complete reply: the first that is not empty, by preference one without an index or with 0."""
    rows = dicts_of(choices)
    if len(rows) < 2:
        return rows[0] if rows else {}
    rows.sort(key=lambda row: bool(row.get("index")))
    return next((row for row in rows if is_filled(message_in(row))), rows[0])


class Choices:
    """Selects the choice of a stream: the one of index 0, and another only where that never comes."""

    def __init__(self) -> None:
        self._found = False
        self._held: list[tuple[Object, Object]] = []

    def found(self) -> None:
        """Choice 0 has come."""
        self._found, self._held = True, []

    def pick(self, payload: Object, rows: Any) -> Object | None:
        """Choice 0 of a chunk, `{}` where the chunk has no choice; `None` where others are held until the end."""
        choices = dicts_of(rows)
        firsts = [row for row in choices if not row.get("index")]
        first = choice_in(firsts) if firsts else None
        if first is not None:
            self.found()
        elif choices and not self._found:
            self._held += [(payload, row) for row in choices]
            return None
        return first or {}

    def held(self) -> list[tuple[Object, Object]]:
        """At the end, where choice 0 has not come: the chunks of the choice that came instead."""
        number = min((row["index"] for _, row in self._held), key=str, default=None)
        found = [(payload, row) for payload, row in self._held if row["index"] == number]
        self._held = []
        return found


def message_in(choice: Object, fields: Iterable[str] = ("message", "delta")) -> Object:
    """The message of a choice: the first of some fields that is filled, or the choice itself, as in old APIs."""
    for field in fields:
        if is_filled(message := message_at(choice, field)):
            return message
    more = {name: choice[name] for name in (*_REASONING, "tool_calls") if choice.get(name)}
    return {"content": choice.get("text") or choice.get("content"), **more}


def message_at(choice: Object, field: str) -> Object:
    """The message in one field of a choice; a string is the content of a message."""
    message = choice.get(field)
    if isinstance(message, dict):
        return message
    return {"content": message} if isinstance(message, str) else {}


def is_filled(message: Object) -> bool:
    """Whether a message or delta has anything but its role."""
    for name, value in message.items():  # noqa: SIM110 - `any` costs more than three times as much
        if value and name != "role":
            return True
    return False


def has_place(choice: Object, finish: Finish | None) -> bool:
    """Whether a choice has a field for the model's output, even an empty one, or a reason for having no output."""
    if isinstance(choice.get("text"), str) or (finish and finish[0] in _EXPLAINS_EMPTY):
        return True
    for place in (choice.get("message"), choice.get("delta")):
        if isinstance(place, str) or (isinstance(place, dict) and (finish is not None or _has_field(place))):
            return True
    return False


def _has_field(message: Object) -> bool:
    return any(value is not None for name, value in message.items() if name != "role")


def texts_in(message: Object, details: str) -> Object:
    """Text, reasoning and refusal of a message or delta; `details` is the text of its reasoning details."""
    content, thought = content_of(message.get("content"))
    reasoning = ""
    for name in _REASONING:
        if (value := message.get(name)) and (reasoning := nested_text(value)):
            break
    return {"content": content, "reasoning": reasoning or details or thought, "refusal": refusal_of(message)}


def content_of(content: Any) -> tuple[str, str]:
    """Text and reasoning of a content that is a string, a part, a list of parts or nothing."""
    if not isinstance(content, list | dict):
        return content if isinstance(content, str) else "", ""
    parts = content if isinstance(content, list) else [content]
    texts = [(nested_text(part), _is_reasoning(part)) for part in parts]
    return "".join(text for text, thought in texts if not thought), "".join(text for text, thought in texts if thought)


def _is_reasoning(part: Any) -> bool:
    return isinstance(part, dict) and (part.get("type") in _REASONING_PARTS or bool(part.get("thinking")))


def nested_text(value: Any) -> str:
    """The text of a string, of a part, or of a list of them."""
    if isinstance(value, list):
        return "".join(map(nested_text, value))
    if isinstance(value, dict):
        return next((text for name in _TEXT_FIELDS if (text := nested_text(value.get(name)))), "")
    return value if isinstance(value, str) else ""


def refusal_of(message: Object) -> str:
    """The text of a refusal, which some services put into a part of the content."""
    refusal, content = message.get("refusal"), message.get("content")
    if isinstance(refusal, str) and refusal:
        return refusal
    return "".join(text_of(part.get("refusal")) for part in dicts_of(content)) if isinstance(content, list) else ""


def finish_of(choice: Object) -> Finish | None:
    """Why a choice ended; null, an absent key, `""` and the string `"null"` mean that it has not."""
    native = _reason_in(choice.get("finish_reason"))
    if native in NO_FINISH:
        native = _reason_in(_finish_elsewhere(choice))
    if native in NO_FINISH:
        return None
    flag = choice.get("flag")
    unsafe = isinstance(flag, int) and flag >= _UNSAFE_FLAG
    return FinishReason.CONTENT_FILTER if unsafe else reason_of(native), native


def reason_of(native: str) -> FinishReason:
    """What a service's own word for the end of a reply means."""
    return FINISH.get(native.lower(), FinishReason.OTHER)


def _finish_elsewhere(choice: Object) -> Any:
    for field in ("delta", "message"):
        inner = choice.get(field)
        if isinstance(inner, dict) and "finish_reason" in inner:
            return inner["finish_reason"]
    return choice.get("finish_details")


def _reason_in(value: Any) -> str:
    """A reason that is a text, or the type of an object, as SGLang sends it."""
    reason = value.get("type") if isinstance(value, dict) else value
    return reason if isinstance(reason, str) else ""


def failure_in(choice: Object) -> Any:
    """What failed in a choice, as OpenRouter sends it: next to its finish, or in the message or delta."""
    for place in (choice, choice.get("delta"), choice.get("message")):
        if isinstance(place, dict) and not is_no_error(place.get("error")):
            return place
    return None


def usage_in(payload: Object, choice: Object) -> Usage | None:
    """The usage of a reply or chunk: its own, Groq's, or that of a choice, as Moonshot sends it."""
    found = None
    for place in (payload, payload.get("x_groq"), choice, choice.get("message"), choice.get("delta")):
        usage = usage_of(place.get("usage"), CHAT_USAGE) if isinstance(place, dict) else None
        if usage is not None and usage.total_tokens:
            return usage
        found = found or usage
    return found


def has_media(message: Object) -> bool:
    """Whether there is audio or an image; the last chunk of an audio only has the time when it expires."""
    audio, content = message.get("audio"), message.get("content")
    if message.get("images") or (isinstance(audio, dict) and (audio.get("data") or audio.get("transcript"))):
        return True
    if isinstance(content, str | None):
        return False
    return any(map(_is_media, dicts_of(content if isinstance(content, list) else [content])))


def _is_media(part: Object) -> bool:
    """Whether a part of a content is neither text nor reasoning nor a refusal."""
    is_text = part.get("type") in ("text", "output_text", *_REASONING_PARTS) or nested_text(part) or part.get("refusal")
    return not is_text and any(value for name, value in part.items() if name != "type")
