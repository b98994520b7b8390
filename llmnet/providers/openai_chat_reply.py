"""Where a reply of the chat form says what: the places in which services and servers put texts, ends and usage."""

from collections.abc import Iterable
from typing import Any

from llmnet.core.chat import FinishReason, Usage
from llmnet.providers.error_bodies import is_hollow
from llmnet.providers.reading import CHAT_USAGE, dict_of, dicts_of, text_of, usage_of

Object = dict[str, Any]

FINISH: dict[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,  # Together
    "eos_token": FinishReason.STOP,  # TGI, and the next one
    "stop_sequence": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
    "insufficient_system_resource": FinishReason.ERROR,
    "network_error": FinishReason.ERROR,  # Zhipu, and the next one
    "model_context_window_exceeded": FinishReason.LENGTH,
    # Words of Anthropic and Google, which gateways hand on as they are.
    "end_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "safety": FinishReason.CONTENT_FILTER,
}
# Qianfan marks content that is not to be shown by a flag beside an ordinary finish (docs/vendors.md, Chat completions).
_UNSAFE_FLAG = 2
_REASONING = ("reasoning_content", "reasoning", "thinking", "reasoning_text")
# Parts of a content that are reasoning, and the names of the text in parts of all kinds.
_THOUGHTS = ("thinking", "reasoning", "reasoning_text", "summary_text")
_WORDS = ("text", "thinking", "reasoning", "summary", "content", "value")
_NO_FINISH = ("", "null")
# Ends that explain why nothing was said.
_SPEECHLESS = (FinishReason.LENGTH, FinishReason.CONTENT_FILTER, FinishReason.ERROR)

_PLAIN = {"index", "delta", "finish_reason", "logprobs", "content_filter_results", "native_finish_reason"}
_ALONE = {"content": "content", "reasoning_content": "reasoning", "reasoning": "reasoning"}

Finish = tuple[FinishReason, str]


def choice_in(choices: Any) -> Object:
    """The choice of a whole reply: the first one, or the lone one whatever its index; one that says nothing is none."""
    rows = sorted(dicts_of(choices), key=lambda row: bool(row.get("index")))
    return next((row for row in rows if speaks(said_in(row))), rows[0] if rows else {})


class Choices:
    """Which choice of a stream counts: the first one, and another only where that never comes."""

    def __init__(self) -> None:
        self._found = False
        self._held: list[tuple[Object, Object]] = []

    def first(self) -> None:
        """The first choice has come."""
        self._found, self._held = True, []

    def pick(self, payload: Object, rows: Any) -> Object | None:
        """The choice of a chunk that counts, an empty one where it has none; `None` where it must wait for the end."""
        choices = dicts_of(rows)
        firsts = [row for row in choices if not row.get("index")]
        first = choice_in(firsts) if firsts else None
        if first is not None:
            self.first()
        elif choices and not self._found:
            self._held += [(payload, row) for row in choices]
            return None
        return first or {}

    def held(self) -> list[tuple[Object, Object]]:
        """At the end, where the first choice has not come: the chunks of the one that came in its place."""
        number = min((row["index"] for _, row in self._held), key=str, default=None)
        found = [(payload, row) for payload, row in self._held if row["index"] == number]
        self._held = []
        return found


def said_in(choice: Object, places: Iterable[str] = ("message", "delta")) -> Object:
    """What a choice says: in the first of some places that says anything, or in the choice itself, as it once did."""
    found = (said_at(choice, place) for place in places)
    return next((said for said in found if speaks(said)), None) or {
        "content": choice.get("text") or choice.get("content"),
        **{name: choice[name] for name in (*_REASONING, "tool_calls") if choice.get(name)},
    }


def said_at(choice: Object, place: str) -> Object:
    """What a choice says in one place; a bare text is a message."""
    said = choice.get(place)
    return {"content": said} if isinstance(said, str) else dict_of(said)


def speaks(said: Object) -> bool:
    """Whether a message or delta says anything but who speaks."""
    return any(value for name, value in said.items() if name != "role")


def has_place(choice: Object, finish: Finish | None) -> bool:
    """Whether a choice has a place for what the model says, be it empty, or a reason for having none."""
    if isinstance(choice.get("text"), str) or (finish and finish[0] in _SPEECHLESS):
        return True
    found = [choice[place] for place in ("message", "delta") if isinstance(choice.get(place), dict | str)]
    if finish is not None:
        return bool(found)
    return any(
        isinstance(said, str) or any(said[name] is not None for name in said.keys() - {"role"}) for said in found
    )


def texts_in(said: Object, details: str) -> Object:
    """Text, reasoning and refusal of a message or delta; `details` is what its reasoning details say."""
    content, thought = content_of(said.get("content"))
    return {"content": content, "reasoning": _reasoning_of(said) or details or thought, "refusal": refusal_of(said)}


def _reasoning_of(said: Object) -> str:
    for name in _REASONING:
        if (value := said.get(name)) and (text := words_of(value)):
            return text
    return ""


def content_of(content: Any) -> tuple[str, str]:
    """Text and reasoning of a content that is a string, a part, a list of parts or nothing."""
    if not isinstance(content, list | dict):
        return text_of(content), ""
    parts = content if isinstance(content, list) else [content]
    text = "".join(words_of(part) for part in parts if not is_thought(part))
    return text, "".join(words_of(part) for part in parts if is_thought(part))


def is_thought(part: Any) -> bool:
    """Whether a part of a content is reasoning."""
    return isinstance(part, dict) and (part.get("type") in _THOUGHTS or bool(part.get("thinking")))


def words_of(value: Any) -> str:
    """The text of a string, of a part, or of a list of them."""
    if isinstance(value, list):
        return "".join(map(words_of, value))
    if isinstance(value, dict):
        return next((text for name in _WORDS if (text := words_of(value.get(name)))), "")
    return text_of(value)


def refusal_of(said: Object) -> str:
    """Why it refused, which some put into a part of the content."""
    own, content = text_of(said.get("refusal")), said.get("content")
    if own or not isinstance(content, list):
        return own
    return "".join(text_of(part.get("refusal")) for part in dicts_of(content))


def finish_of(choice: Object) -> Finish | None:
    """Why a choice ended; null, an absent key, `""` and the word `null` all mean that it has not."""
    native = _reason_in(choice.get("finish_reason"))
    if native in _NO_FINISH and (native := _finish_elsewhere(choice)) in _NO_FINISH:
        return None
    flag = choice.get("flag")
    unsafe = isinstance(flag, int) and flag >= _UNSAFE_FLAG
    return FinishReason.CONTENT_FILTER if unsafe else FINISH.get(native.lower(), FinishReason.OTHER), native


def _finish_elsewhere(choice: Object) -> str:
    for place in ("delta", "message"):
        said = choice.get(place)
        if isinstance(said, dict) and "finish_reason" in said:
            return _reason_in(said["finish_reason"])
    return _reason_in(choice.get("finish_details"))


def _reason_in(value: Any) -> str:
    """A reason that is a text, or the type of an object, as SGLang has it."""
    return text_of(value.get("type") if isinstance(value, dict) else value)


def failure_in(choice: Object) -> Any:
    """What went wrong in a choice, as OpenRouter says it: beside its finish, or where the model's words belong."""
    places = (choice, dict_of(choice.get("delta")), dict_of(choice.get("message")))
    return next((place for place in places if not is_hollow(place.get("error"))), None)


def usage_in(payload: Object, choice: Object) -> Usage | None:
    """The usage of a reply or chunk: its own, Groq's, or that of a choice, as Moonshot has it."""
    wholes = (
        payload,
        dict_of(payload.get("x_groq")),
        choice,
        dict_of(choice.get("message")),
        dict_of(choice.get("delta")),
    )
    places = (whole.get("usage") for whole in wholes)
    found = [usage for place in places if place and (usage := usage_of(place, CHAT_USAGE))]
    return next((usage for usage in found if usage.total_tokens), found[0] if found else None)


def text_alone(payload: Object) -> Object:
    """The text or reasoning of a chunk that holds nothing else, as nearly all do: there is no need to look further."""
    choices = payload.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or payload.get("usage") or payload.get("x_groq"):
        return {}
    choice = choices[0]
    delta = choice.get("delta") if isinstance(choice, dict) else None
    if not isinstance(delta, dict) or not choice.keys() <= _PLAIN or choice.get("index") or choice.get("finish_reason"):
        return {}
    said = [name for name, value in delta.items() if value and name != "role"]
    if len(said) != 1 or said[0] not in _ALONE or not isinstance(delta[said[0]], str):
        return {}
    return {_ALONE[said[0]]: delta[said[0]]}


def has_unseen(said: Object) -> bool:
    """Whether there is audio or an image; the last word on an audio only says when it expires."""
    audio, content = said.get("audio"), said.get("content")
    heard = isinstance(audio, dict) and any(audio.get(name) for name in ("data", "transcript"))
    parts = dicts_of(content if isinstance(content, list) else [content])
    return heard or bool(said.get("images")) or any(map(_is_unseen, parts))


def _is_unseen(part: Object) -> bool:
    """Whether a part of a content is neither text nor reasoning nor a refusal."""
    silent = part.get("type") in ("text", "output_text", *_THOUGHTS) or words_of(part) or part.get("refusal")
    return not silent and any(value for name, value in part.items() if name != "type")
