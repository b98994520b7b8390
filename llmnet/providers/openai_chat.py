"""The wire form `chat-completions`, OpenAI's, as OpenAI, Azure, DashScope, Qianfan and most others speak it."""

import functools
import re
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import msgspec

from llmnet.core.chat import ChatResponse, StreamChunk, Usage
from llmnet.core.draft import Draft, chat_message
from llmnet.core.errors import ConfigurationError
from llmnet.core.http import Request
from llmnet.core.json import Texts
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers import openai_chat_reply as reply
from llmnet.providers.alike import Alike
from llmnet.providers.form import Form
from llmnet.providers.increments import Increments, increment_of
from llmnet.providers.reading import Object, dict_of, joined, remainder
from llmnet.providers.reply_extras import collect, outgoing, with_extras
from llmnet.providers.target import CHAT
from llmnet.providers.text_events import ChatReply, ChatText, chat_usage, reader
from llmnet.providers.tool_calls import Calls, RepeatedCalls, complete_calls
from llmnet.providers.tool_rows import rows_of
from llmnet.providers.writing import Rule, params_of, translated, without_usage

# Hosts that refuse a history without its reasoning, whatever provider names them (docs/vendors.md, Services).
_WANT_REASONING = (".deepseek.com", ".moonshot.ai", ".moonshot.cn")
_DEPLOYMENT = re.compile(r"/deployments/[^/?]*")
_text_event, _text_reply = reader(ChatText), reader(ChatReply)
# In `Draft.extra`: whether a delta has come with anything but a role.
_FILLED = "filled"


def _said(event: ChatText | None) -> tuple[str, str]:
    """The text and the reasoning of an event that has nothing else."""
    if event is None:
        return "", ""
    delta = event.choices[0].delta
    return delta.content or "", delta.reasoning_content or delta.reasoning or ""


class ChatCompletions(Form):
    """The chat form."""

    ends_with_done = True

    def prepare(self, chat: ChatRequest) -> Request:
        """Messages and parameters are sent as they are; streams ask for usage."""
        body: dict[str, Any] = {
            "model": chat.model,
            "messages": [_sent(message, i, self.provider) for i, message in enumerate(chat.messages, chat.first)],
        }
        if chat.stream:
            body["stream"] = True
            if self.target.usage_in_streams and "stream_options" not in chat.dropped:
                body["stream_options"] = {"include_usage": True}
        if chat.params:
            params = params_of(chat, self.target.service.lacks)
            if len(params) < len(chat.params):  # what is not sent is not to be wrong either
                chat.check_json()
            body |= translated(params, self._rules, CHAT)
        return self.post(self._path("/chat/completions", chat.model), body, stream=chat.stream)

    @functools.cached_property
    def _rules(self) -> dict[str, Rule]:
        """Reasoning models of OpenAI refuse `max_tokens`, other services do not all know the newer name."""
        newer = self.target.is_at("openai.com") or self.target.api == "v1"
        limit = "max_completion_tokens" if newer else "max_tokens"
        usage: dict[str, Rule] = {} if self.target.usage_in_streams else {"stream_options": without_usage}
        return {"max_tokens": limit, **usage, **self.target.service.renames}

    @functools.cached_property
    def _wants_reasoning(self) -> bool:
        host = urlsplit(self.target.base_url).hostname or ""
        return self.target.service.returns_reasoning or host.endswith(_WANT_REASONING)

    def _path(self, path: str, model: str) -> str:
        """Azure's classic form has the deployment in the path."""
        if self.target.api != "deployments" or "/deployments/" in urlsplit(self.target.base_url).path:
            return self.url(path)
        if model in (".", ".."):
            raise ConfigurationError(f"the model {model!r} leads to another address; give the name of the deployment")
        return self.url(f"/deployments/{quote(model, safe='')}{path}")

    def embed_request(self, inputs: list[Any], model: str, params: Any) -> Request:
        """As in all chat forms, at Azure's classic address with the deployment in the path."""
        request = super().embed_request(inputs, model, params)
        return msgspec.structs.replace(request, url=self._path("/embeddings", model))

    def models_request(self, cursor: str | None) -> Request:
        """Azure lists its models next to its deployments, not below one of them."""
        request = super().models_request(cursor)
        return msgspec.structs.replace(request, url=_DEPLOYMENT.sub("", request.url))

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """A complete reply is read as one chunk whose delta is the message."""
        body = dict_of(payload)
        choice = reply.choice_in(body.get("choices"))
        message = reply.message_in(choice)
        texts = reply.texts_in(message, collect(message, draft, complete=True))
        fields = texts | {"tools": complete_calls(message, draft), "finish": reply.finish_of(choice)}
        chunk = self._add(body, choice, message, fields, draft)
        self.check(payload, draft, "choices")
        return chunk

    def read_body(self, body: bytes | bytearray) -> ChatResponse | None:
        """The text of the one choice, with its reasoning, its finish and the usage."""
        found = _text_reply(body)
        if found is None:
            return None
        choice = found.choices[0]
        said, native = choice.message, choice.finish_reason
        if said.content is None or native in reply.NO_FINISH:
            return None
        reasoning = said.reasoning_content or said.reasoning or None
        return ChatResponse(
            id=found.id or "",
            model=found.model or "",
            content=said.content,
            reasoning=reasoning,
            finish_reason=reply.reason_of(native),
            native_finish_reason=native,
            usage=chat_usage(found.usage) or Usage(),
            provider=self.provider,
            raw=bytes(body),
            message=self._with_reasoning({"role": "assistant", "content": said.content}, reasoning),
        )

    def read_text(self, data: str, draft: Draft) -> StreamChunk | Literal[False] | None:
        """The text or reasoning of choice 0; the first event of most streams says only who speaks."""
        alike = draft.own(Alike)
        if text := alike.text(data):
            return draft.text("", text, data) if alike.reasons else draft.text(text, "", data)
        event = _text_event(data)
        if event is None:
            return None
        content, reasoning = _said(event)
        choice, empty = event.choices[0], not (content or reasoning)
        if empty and (choice.delta.content is None or choice.delta.token_id or choice.text):
            return None
        draft.own(reply.Choices).found()
        draft.name(id=event.id, model=event.model)
        if empty:
            draft.spoken, draft.words = True, data
            return False
        alike.learn(data, lambda probe: _said(_text_event(probe)))
        draft.extra[_FILLED] = True
        return draft.text(content, reasoning, data)

    def read_event(self, payload: dict[str, Any], event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """One chunk of a stream: choice 0 counts, others only where it never comes."""
        choice = draft.own(reply.Choices).pick(payload, payload.get("choices"))
        if choice is None:
            draft.keep(event.data)
            draft.begun = True
            return None
        return self._read(payload, choice, draft)

    def end(self, draft: Draft) -> StreamChunk | None:
        """What was held: a choice whose index is not 0, and text that could have been a repetition."""
        usage = draft.usage
        chunks = [self._read(payload, choice, draft) for payload, choice in draft.own(reply.Choices).held()]
        draft.usage = usage or draft.usage
        held = draft.add(**increment_of(draft, {}, last=True)) if Increments in draft.extra else None
        return joined([*chunks, held])

    def _read(self, payload: Object, choice: Object, draft: Draft) -> StreamChunk | None:
        """Read the delta of a chunk; a `message` in its place may be an increment or all of the text so far."""
        delta, finish = reply.message_at(choice, "delta"), reply.finish_of(choice)
        filled = reply.is_filled(delta)
        if not filled:
            message = reply.message_at(choice, "message")
            if reply.is_filled(message) or (finish and Increments in draft.extra):
                frame = _frame(message, draft, finish)
                return self._add(payload, choice, message, frame | {"finish": finish}, draft)
            delta = reply.message_in(choice, ())
        texts = reply.texts_in(delta, collect(delta, draft, complete=False))
        rows = rows_of(delta)
        calls = draft.own(Calls, draft).take(rows) if rows else ()
        draft.extra[_FILLED] = draft.extra.get(_FILLED) or filled or reply.is_filled(delta)
        return self._add(payload, choice, delta, texts | {"taken": calls, "finish": finish}, draft)

    def _add(
        self, payload: Object, choice: Object, message: Object, fields: Object, draft: Draft
    ) -> StreamChunk | None:
        finish = fields["finish"]
        draft.name(id=payload.get("id"), model=payload.get("model"))
        draft.may_end = draft.may_end or finish is not None or choice.get("is_end") is True
        draft.spoken = draft.spoken or reply.has_place(choice, finish)
        usage = reply.usage_in(payload, choice)
        chunk = draft.add(**fields, usage=usage, raw=payload, unseen=reply.has_media(message))
        if (failure := reply.failure_in(choice)) is not None:
            raise self.parse_error(200, {}, failure)
        return chunk

    def message(self, draft: Draft) -> dict[str, Any]:
        """Some services want their reasoning back in the next turn, or the extras of the reply and its calls."""
        message = self._with_reasoning(chat_message(draft), str(draft.reasoning))
        return with_extras(message, self.provider, draft)

    def _with_reasoning(self, message: dict[str, Any], reasoning: str | None) -> dict[str, Any]:
        return message | {"reasoning_content": reasoning} if reasoning and self._wants_reasoning else message


def _sent(message: Object, place: int, provider: str) -> Object:
    """A message as it is sent; each of its parts must have a type."""
    if type(message) is Texts:  # as most are: nothing of it is left out
        return message
    content = message.get("content")
    for i, part in enumerate(content if isinstance(content, list | tuple) else ()):
        if "type" not in part:
            path = f"messages[{place}].content[{i}]"
            raise ConfigurationError(f"{path}.type is missing: it names the kind of the part, like 'text'")
    return outgoing(message, provider)


def _frame(message: Object, draft: Draft, finish: object) -> Object:
    """What a message in the place of a delta adds; after deltas it only repeats the complete reply, at the end."""
    texts = reply.texts_in(message, collect(message, draft, complete=False))
    if not draft.extra.get(_FILLED):
        calls = draft.own(RepeatedCalls, draft).take(rows_of(message))
        return increment_of(draft, texts, calls, last=finish is not None)
    if not finish:
        return {}
    known = {"content": draft.content, "reasoning": draft.reasoning, "refusal": draft.refusal}
    taken = [] if draft.tools else draft.own(Calls, draft).take(rows_of(message))
    return {name: remainder(texts[name], text) for name, text in known.items()} | {"taken": taken}
