"""A reply under assembly: wire forms add what an event says, and get the chunk to hand out; nothing is guessed here."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from llmnet.core.chat import ChatResponse, FinishReason, StreamChunk, Usage
from llmnet.core.json import nodes
from llmnet.core.reply_text import Text, check_count
from llmnet.core.tool_call import Function, ToolCall, ToolCallDelta, ToolDraft

T = TypeVar("T")

# More than any model says. What is kept of a stream grows no further, however long it goes on.
MAX_CALLS = 1024
MAX_ITEMS = 2048
MAX_KEPT = 32 * 1024 * 1024
_NODE_BYTES = 32
NO_FUNCTIONS: Mapping[str, Function] = MappingProxyType({})


class Draft:
    """The reply so far.

    Attributes:
        id, model: as the vendor gave them first; later ones, such as a last chunk's stub, never replace them.
        functions: what the caller has given as tools, by name.
        asked: the model that was asked for, for forms whose replies do not name theirs.
        begun: the first sign of output was seen, shown or not.
        done: the terminal event was seen, the reply is whole.
        may_end: the stream may end here although no terminal event has come (OpenAI's chat form after a finish).
        silent: an output block or item is open of which nothing can be shown yet; silence may last then.
        unseen: audio or images came, which the chunks have in `raw` alone.
        spoken: there was a place for what the model says, be it empty; without one there was no reply at all.
        words: the last event that gave nothing, or its JSON, and
        failure: the first one that looks like a failure in words nobody knows; both are shown in an error.
        items: the vendor's own blocks or items, to be sent back as they came.
        extra: what else a wire form must remember between events.
    """

    def __init__(self, asked: str = "", functions: Mapping[str, Function] = NO_FUNCTIONS) -> None:
        self.id, self.model, self.asked = "", "", asked
        self.request_id: str | None = None
        self.content, self.reasoning, self.refusal = Text(), Text(), Text()
        self.tools: dict[int, ToolDraft] = {}
        self.functions = functions
        self.finish_reason: FinishReason | None = None
        self.native_finish_reason: str | None = None
        self.usage: Usage | None = None
        self.begun = self.done = self.silent = self.may_end = self.spoken = self.unseen = False
        self.words: Any = None
        self.failure: Any = None
        self.items: list[dict[str, Any]] = []
        self.extra: dict[Any, Any] = {}
        self._kept = 0

    def own(self, kind: Callable[..., T], *args: Any) -> T:
        """What a wire form remembers in an object of its own, made when it is asked for first."""
        if kind not in self.extra:
            self.extra[kind] = kind(*args)
        found: T = self.extra[kind]
        return found

    def keep(self, text: str) -> None:
        """Count the JSON of an event that is kept as it came, by about what it takes in memory.

        Raises:
            InvalidResponseError: together it is more than any reply needs.
        """
        self._kept += len(text) + _NODE_BYTES * nodes(text)
        check_count(self._kept, MAX_KEPT, "bytes of blocks and items")

    def name(self, *, id: object = None, model: object = None) -> None:  # noqa: A002 - the vendor's word
        """Note id and model, where they are given for the first time."""
        if not self.id:
            self.id = label_of(id)
        if not self.model and isinstance(model, str):
            self.model = model

    def finish(self, reason: FinishReason | None, native: str | None) -> None:
        """Note why the reply ended; an ordinary end that is said behind a special one does not take it back."""
        special = self.finish_reason not in (None, FinishReason.STOP, FinishReason.OTHER)
        if native and not (special and reason is FinishReason.STOP):
            self.finish_reason, self.native_finish_reason = reason, native

    def count(self, usage: Usage | None) -> None:
        """Take a count, which replaces the one before; some servers end with a part of it, or with zeros."""
        if usage is not None:
            self.usage = usage if self.usage is None else _together(self.usage, usage)

    def text(self, content: str, reasoning: str, raw: str, usage: Usage | None = None) -> StreamChunk:
        """Take a piece of text, as nearly every event brings it and nothing else; `raw` is the event's JSON."""
        self.begun, self.spoken, self.silent = True, True, False
        if usage is not None:
            self.count(usage)
        return StreamChunk(
            content=self.content.add(content) if content else "",
            reasoning=self.reasoning.add(reasoning) if reasoning else None,
            usage=usage,
            raw=raw,
        )

    def add(
        self,
        *,
        content: str = "",
        reasoning: str = "",
        refusal: str = "",
        tools: Sequence[ToolCallDelta] = (),
        taken: Sequence[ToolCallDelta] = (),
        finish: tuple[FinishReason, str] | None = None,
        usage: Usage | None = None,
        raw: dict[str, Any] | None = None,
        unseen: bool = False,
    ) -> StreamChunk | None:
        """Take what an event says; the chunk to hand out, or `None` where it carries nothing to show.

        A count is shown once the reply has begun: some servers count the prompt in an event before the first output. A
        count of output begins it: the model thinks, and is paid for it, where nobody sees what.
        Pieces of calls that the draft has already are `taken`. Audio and images are `unseen`: output that the chunk has
        in `raw` alone.
        """
        pieces = [*tools, *taken]
        spoken = bool(content or reasoning or refusal or pieces or unseen)
        counted = usage and (usage.output_tokens or self.said or self.finish_reason)
        if not (spoken or finish or counted):
            self.count(usage)
            return None
        self.begun, self.silent = True, False
        self.spoken, self.unseen = self.spoken or spoken, self.unseen or unseen
        if pieces:
            for delta in tools:
                self.tools.setdefault(delta.index, ToolDraft()).add(delta)
            check_count(len(self.tools), MAX_CALLS, "tool calls")
        if finish:
            self.finish(*finish)
        self.count(usage)
        return StreamChunk(
            content=self.content.add(content) if content else "",
            reasoning=self.reasoning.add(reasoning) if reasoning else None,
            refusal=self.refusal.add(refusal) if refusal else None,
            tool_calls=pieces,
            finish_reason=finish[0] if finish else None,
            native_finish_reason=finish[1] if finish else None,
            usage=usage,
            raw=raw,
        )

    @property
    def said(self) -> bool:
        """Whether the model has said anything; a reply may be whole and empty."""
        return bool(self.content or self.reasoning or self.refusal or self.tools or self.unseen)

    @property
    def whole(self) -> bool:
        """Whether the stream may end here."""
        return self.done or self.may_end

    def tool_calls(self) -> list[ToolCall]:
        """The tool calls in the order of their indexes."""
        return [self.tools[index].whole(self.functions) for index in sorted(self.tools)]

    def response(self, *, provider: str, message: dict[str, Any], raw: dict[str, Any] | None) -> ChatResponse:
        """The reply as far as it is known."""
        return ChatResponse(
            id=self.id,
            model=self.model,
            content=str(self.content),
            reasoning=str(self.reasoning) if self.reasoning else None,
            refusal=str(self.refusal) if self.refusal else None,
            tool_calls=self.tool_calls(),
            finish_reason=self.finish_reason,
            native_finish_reason=self.native_finish_reason,
            usage=self.usage or Usage(),
            provider=provider,
            raw=raw,
            message=message,
        )


# Stands where no reply is put together yet; nobody adds to it.
NO_DRAFT = Draft()


def label_of(value: object) -> str:
    """An id as text; some servers number their replies and calls."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _together(before: Usage, after: Usage) -> Usage:
    """Two counts of one reply: the later one holds, but what it leaves out, and zeros alone, take nothing back."""
    old, new = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
    left_out = [name for name, value in new.items() if value is None and old[name] is not None]
    if new["input_tokens"] and new["total_tokens"] and not left_out:
        return after
    if not any(new.values()):
        return before
    found = {name: old[name] if value is None else value for name, value in new.items()}
    found["input_tokens"] = new["input_tokens"] or old["input_tokens"] or new["input_tokens"]
    parts = (found["input_tokens"], found["output_tokens"])
    if None not in parts and not (new["input_tokens"] and new["total_tokens"]):
        found["total_tokens"] = sum(parts)
    return Usage(**found)


def chat_message(draft: Draft) -> dict[str, Any]:
    """The assistant message in OpenAI's chat form."""
    calls = [draft.tools[index].message() for index in sorted(draft.tools)]
    content = str(draft.content)
    message: dict[str, Any] = {"role": "assistant", "content": content if content or not calls else None}
    message |= {"tool_calls": calls} if calls else {}
    message |= {"refusal": str(draft.refusal)} if draft.refusal else {}
    return message
