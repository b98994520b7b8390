"""OpenAI's Chat Completions, as OpenAI, Azure, DashScope, Qianfan and most others speak it."""

import re
from typing import Any
from urllib.parse import quote, urlsplit

from llmnet.core.chat import StreamChunk
from llmnet.core.draft import Draft, chat_message
from llmnet.core.errors import ConfigurationError
from llmnet.core.http import Request
from llmnet.core.request import ChatRequest
from llmnet.core.sse import ServerSentEvent
from llmnet.providers.form import Form
from llmnet.providers.increments import Increments, news_of
from llmnet.providers.openai_chat_reply import (
    Choices,
    choice_in,
    failure_in,
    finish_of,
    has_place,
    has_unseen,
    said_at,
    said_in,
    speaks,
    text_alone,
    texts_in,
    usage_in,
)
from llmnet.providers.reading import dict_of, joined, rest
from llmnet.providers.reply_extras import gather, sent_back, with_beside
from llmnet.providers.tool_calls import Calls, Frames, whole_calls
from llmnet.providers.tool_rows import rows_of
from llmnet.providers.writing import Rule, is_neutral, params_of, translated, without_usage

# Hosts that refuse a history without its reasoning, by whatever name they are reached (docs/vendors.md, Services).
_WANT_REASONING = (".deepseek.com", ".moonshot.ai", ".moonshot.cn")
_DEPLOYMENT = re.compile(r"/deployments/[^/?]*")


class ChatCompletions(Form):
    """The chat form."""

    def prepare(self, chat: ChatRequest) -> Request:
        """Messages and parameters go out as they came; streams ask for usage."""
        body: dict[str, Any] = {
            "model": chat.model,
            "messages": [_sent(message, f"messages[{i}]", self.provider) for i, message in enumerate(chat.messages)],
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

    def _host(self) -> str:
        return urlsplit(self.target.base_url).hostname or ""

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
        whole = dict_of(payload)
        choice = choice_in(whole.get("choices"))
        said = said_in(choice)
        facts = texts_in(said, gather(said, draft, whole=True)) | {"tools": whole_calls(said, draft)}
        chunk = self._add(whole, choice, said, facts, draft)
        self.check(payload, draft, "choices")
        return chunk

    def read_event(self, payload: dict[str, Any], event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """One chunk of a stream: choice 0 counts, others only where it never comes."""
        choices = draft.own(Choices)
        if text := text_alone(payload):
            choices.first()
            draft.extra["told"] = True
            draft.name(id=payload.get("id"), model=payload.get("model"))
            return draft.add(**text, raw=payload)
        choice = choices.pick(payload, payload.get("choices"))
        if choice is None:
            draft.keep(event.data)
            draft.begun = True
            return None
        return self._read(payload, choice, draft)

    def end(self, draft: Draft) -> StreamChunk | None:
        """What was held: a lone choice whose index is not 0, and text that could have been a repetition."""
        usage = draft.usage
        chunks = [self._read(payload, choice, draft) for payload, choice in draft.own(Choices).held()]
        draft.usage = usage or draft.usage
        rest = draft.add(**news_of(draft, {}, last=True)) if Increments in draft.extra else None
        return joined([*chunks, rest])

    def done(self, draft: Draft) -> None:
        """`[DONE]`: all has come, usage too."""
        draft.done = True

    def _read(self, payload: dict[str, Any], choice: dict[str, Any], draft: Draft) -> StreamChunk | None:
        """A chunk is told by its delta; where `message` stands in its place, it may be a piece or all so far."""
        delta, message, finish = said_at(choice, "delta"), said_at(choice, "message"), finish_of(choice)
        if not speaks(delta) and (speaks(message) or (finish and Increments in draft.extra)):
            return self._add(payload, choice, message, _frame(message, draft, finish), draft)
        said = delta if speaks(delta) else said_in(choice, ())
        details = gather(said, draft, whole=False)
        facts = texts_in(said, details) | {"taken": draft.own(Calls, draft).take(rows_of(said))}
        draft.extra["told"] = draft.extra.get("told") or speaks(said)
        return self._add(payload, choice, said, facts, draft)

    def _add(
        self, payload: dict[str, Any], choice: dict[str, Any], said: dict[str, Any], facts: dict[str, Any], draft: Draft
    ) -> StreamChunk | None:
        finish = finish_of(choice)
        draft.name(id=payload.get("id"), model=payload.get("model"))
        draft.may_end = draft.may_end or finish is not None or choice.get("is_end") is True
        draft.spoken = draft.spoken or has_place(choice, finish)
        usage = usage_in(payload, choice)
        chunk = draft.add(**facts, finish=finish, usage=usage, raw=payload, unseen=has_unseen(said))
        if (failure := failure_in(choice)) is not None:
            raise self.parse_error(200, {}, failure)
        return chunk

    def message(self, draft: Draft) -> dict[str, Any]:
        """Some services want their reasoning back in the next turn, or what lay beside the calls."""
        message = chat_message(draft)
        if draft.reasoning and (self.target.service.returns_reasoning or self._host().endswith(_WANT_REASONING)):
            message["reasoning_content"] = str(draft.reasoning)
        return with_beside(message, self.provider, draft)


def _sent(message: dict[str, Any], path: str, provider: str) -> dict[str, Any]:
    """A message as it goes out; each of its parts must say what it is."""
    content = message.get("content")
    for i, part in enumerate(content if isinstance(content, list | tuple) else ()):
        if "type" not in part:
            raise ConfigurationError(f"{path}.content[{i}].type is missing: it names the kind of the part, like 'text'")
    return sent_back(message, provider)


def _frame(message: dict[str, Any], draft: Draft, finish: object) -> dict[str, Any]:
    """What a message in the place of a delta adds: behind deltas it only tells the whole once more, at the end."""
    details = gather(message, draft, whole=False)
    texts = texts_in(message, details)
    if not draft.extra.get("told"):
        calls = draft.own(Frames, draft)
        return news_of(draft, texts, calls.take(rows_of(message)), last=finish is not None)
    if not finish:
        return {}
    told = {"content": draft.content, "reasoning": draft.reasoning, "refusal": draft.refusal}
    taken = [] if draft.tools else draft.own(Calls, draft).take(rows_of(message))
    return {name: rest(texts[name], text) for name, text in told.items()} | {"taken": taken}
