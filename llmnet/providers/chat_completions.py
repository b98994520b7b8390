"""OpenAI's Chat Completions, as OpenAI, Azure, DashScope, Qianfan and most others speak it."""

import json
import re
from typing import Any
from urllib.parse import quote, urlsplit

from llmnet.core.chat import FinishReason, StreamChunk, ToolCallDelta
from llmnet.core.draft import MAX_CALLS, Draft, chat_message, check_count
from llmnet.core.errors import ConfigurationError, InvalidResponseError
from llmnet.core.glimpse import glimpse
from llmnet.core.http import Request
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers.form import Form
from llmnet.providers.reading import CHAT_USAGE, text_of, usage_of
from llmnet.providers.writing import VENDOR, Rule, is_neutral, params_of, translated, without_usage

FINISH: dict[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
    "insufficient_system_resource": FinishReason.ERROR,
}
_REASONING = ("reasoning_content", "reasoning")
# Qianfan marks content that is not to be shown by a flag beside an ordinary finish (PROTOCOLS 5.1).
_UNSAFE_FLAG = 2
_DEPLOYMENT = re.compile(r"/deployments/[^/?]*")


class ChatCompletions(Form):
    """The chat form."""

    def prepare(self, chat: ChatRequest) -> Request:
        """Messages and parameters go out as they came; streams ask for usage."""
        body: dict[str, Any] = {
            "model": chat.model,
            "messages": [_sent(message, f"messages[{i}]") for i, message in enumerate(chat.messages)],
        }
        if chat.stream:
            body["stream"] = True
            if self.target.usage_in_streams and "stream_options" not in chat.dropped:
                body["stream_options"] = {"include_usage": True}
        lacks = self.target.service.lacks
        given = {name: v for name, v in params_of(chat).items() if not (name in lacks and is_neutral(name, v))}
        body |= translated(given, self._rules(), "chat-completions")
        return self.post(self._path("/chat/completions", chat.model), body, stream=chat.stream)

    def _rules(self) -> dict[str, Rule]:
        usage: dict[str, Rule] = {} if self.target.usage_in_streams else {"stream_options": without_usage}
        return {"max_tokens": self._limit_name(), **usage, **self.target.service.renames}

    def _limit_name(self) -> str:
        """Reasoning models of OpenAI refuse `max_tokens`, other services do not all know the newer name."""
        newer = self.target.is_at("openai.com") or self.target.api == "v1"
        return "max_completion_tokens" if newer else "max_tokens"

    def _path(self, path: str, model: str) -> str:
        """Azure's classic form has the deployment in the path."""
        if self.target.api != "deployments" or "/deployments/" in urlsplit(self.target.base_url).path:
            return self.url(path)
        return self.url(f"/deployments/{quote(model, safe='')}{path}")

    def embed_request(self, inputs: list[Any], model: str, params: Any) -> Request:
        """As in all chat forms, at Azure's classic address with the deployment in the path."""
        request = super().embed_request(inputs, model, params)
        return Request(method="POST", url=self._path("/embeddings", model), headers=request.headers, body=request.body)

    def models_request(self, cursor: str | None) -> Request:
        """Azure lists its models beside its deployments, not below one of them."""
        request = super().models_request(cursor)
        return Request(method="GET", url=_DEPLOYMENT.sub("", request.url), headers=request.headers)

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """A whole reply is read as one chunk whose delta is the message."""
        choices = payload.get("choices") if isinstance(payload, dict) else None
        if not isinstance(choices, list) or not choices:
            raise InvalidResponseError(f"the reply has no choices: {glimpse(payload, 200)}")
        return self._read(payload, draft, "message")

    def read_event(self, payload: dict[str, Any], event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """One chunk of a stream."""
        return self._read(payload, draft, "delta")

    def done(self, draft: Draft) -> None:
        """`[DONE]`: all has come, usage too."""
        draft.done = True

    def _read(self, payload: dict[str, Any], draft: Draft, where: str) -> StreamChunk | None:
        draft.name(id=payload.get("id"), model=payload.get("model"))
        choice = first_choice(payload.get("choices"))
        said = choice.get(where)
        delta = said if isinstance(said, dict) else {}
        content, thought = content_of(delta.get("content"))
        finish = finish_of(choice)
        draft.may_end = draft.may_end or finish is not None or choice.get("is_end") is True
        groq = payload.get("x_groq")
        usage = payload.get("usage") or (groq.get("usage") if isinstance(groq, dict) else None)
        return draft.add(
            content=content,
            reasoning=next((text for name in _REASONING if (text := text_of(delta.get(name)))), "") or thought,
            refusal=text_of(delta.get("refusal")),
            tools=tool_deltas(delta, draft),
            finish=finish,
            usage=usage_of(usage, CHAT_USAGE),
            raw=payload,
            unseen=has_unseen(delta),
        )

    def message(self, draft: Draft) -> dict[str, Any]:
        """Some services want their reasoning back in the next turn."""
        message = chat_message(draft)
        if self.target.service.returns_reasoning and draft.reasoning:
            message["reasoning_content"] = str(draft.reasoning)
        return message


def _sent(message: dict[str, Any], path: str) -> dict[str, Any]:
    """A message as it goes out; each of its parts must say what it is."""
    content = message.get("content")
    for i, part in enumerate(content if isinstance(content, list | tuple) else ()):
        if "type" not in part:
            raise ConfigurationError(f"{path}.content[{i}].type is missing: it names the kind of the part, like 'text'")
    return {name: value for name, value in message.items() if name != VENDOR}


def first_choice(choices: Any) -> dict[str, Any]:
    """Choice 0; the first and the last chunk of a stream may have none."""
    rows = [row for row in choices if isinstance(row, dict)] if isinstance(choices, list) else []
    return next((row for row in rows if not row.get("index")), {})


def content_of(content: Any) -> tuple[str, str]:
    """Text and reasoning of a content that is a string, a list of parts or nothing."""
    if not isinstance(content, list):
        return text_of(content), ""
    parts = [part for part in content if isinstance(part, dict)]
    text = "".join(text_of(part.get("text")) for part in parts if part.get("type") != "thinking")
    thought = "".join(content_of(part["thinking"])[0] for part in parts if part.get("thinking"))
    return text, thought


def finish_of(choice: dict[str, Any]) -> tuple[FinishReason, str] | None:
    """Why a choice ended; null, an absent key and `""` all mean that it has not."""
    native = choice.get("finish_reason")
    if not isinstance(native, str) or not native:
        return None
    flag = choice.get("flag")
    unsafe = isinstance(flag, int) and flag >= _UNSAFE_FLAG
    return FinishReason.CONTENT_FILTER if unsafe else FINISH.get(native, FinishReason.OTHER), native


def has_unseen(delta: dict[str, Any]) -> bool:
    """Whether there is audio or an image; the last word on an audio only says when it expires."""
    audio = delta.get("audio")
    heard = isinstance(audio, dict) and any(audio.get(name) for name in ("data", "transcript"))
    return heard or bool(delta.get("images"))


def tool_deltas(delta: dict[str, Any], draft: Draft) -> list[ToolCallDelta]:
    """The pieces of tool calls in a delta or message, the legacy `function_call` among them; empty ones say nothing."""
    legacy = delta.get("function_call")
    calls = delta.get("tool_calls") or (legacy and [{"index": 0, "function": legacy}])
    if not isinstance(calls, list):
        return []
    ids = {index: tool.id for index, tool in draft.tools.items()}
    rows = [call for call in calls if isinstance(call, dict)]
    check_count(len(rows), MAX_CALLS, "tool calls")  # each is compared with all others
    pieces = [_piece(call, position, ids) for position, call in enumerate(rows)]
    return [piece for piece in pieces if piece.id or piece.name or piece.arguments]


def _piece(call: dict[str, Any], position: int, ids: dict[int, str]) -> ToolCallDelta:
    """A piece of a call; `ids` are those of the calls that have begun."""
    body = call.get("function") or call.get("custom")
    said = body if isinstance(body, dict) else {}
    call_id, name = text_of(call.get("id")), text_of(said.get("name"))
    index = _index_of(call.get("index"), position, ids, call_id, opens=bool(call_id and name))
    ids[index] = ids.get(index) or call_id
    return ToolCallDelta(
        index=index, id=call_id, name=name, arguments=arguments_text(said.get("arguments", said.get("input")))
    )


def _index_of(said: Any, position: int, ids: dict[int, str], call_id: str, *, opens: bool) -> int:
    """Which call a piece belongs to.

    Some servers give no index: a new id opens a new call, anything else goes on with the last one. Others give the same
    index to all calls: one that another call holds is not believed where id and name open a new one.
    """
    last = max(ids, default=-1)
    if isinstance(said, int) and not (opens and ids.get(said) not in (None, "", call_id)):
        return said
    if call_id and call_id in ids.values():
        return next(index for index, known in ids.items() if known == call_id)
    return last + 1 if call_id or last < 0 or position else last


def arguments_text(arguments: Any) -> str:
    """Arguments as JSON text; some servers send the object itself."""
    return json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, dict) else text_of(arguments)
