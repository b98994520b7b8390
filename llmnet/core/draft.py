"""A reply under assembly: wire forms add what an event says, and get the chunk to hand out; nothing is guessed here."""

import io
from collections.abc import Sequence
from typing import Any

from llmnet.core.chat import ChatResponse, FinishReason, StreamChunk, ToolCall, ToolCallDelta, Usage
from llmnet.core.errors import InvalidResponseError
from llmnet.core.json import encodable, nodes

# More than any model says. What is kept of a stream grows no further, however long it goes on.
MAX_TEXT = 8 * 1024 * 1024
MAX_CALLS = 1024
MAX_ITEMS = 2048
MAX_KEPT = 32 * 1024 * 1024
_NODE_BYTES = 32


class Text:
    """A text that arrives in pieces; what it hands on can always be encoded as UTF-8."""

    __slots__ = ("_held", "_said", "_size")

    def __init__(self) -> None:
        # One buffer: a list would hold an object, some fifty bytes, for each letter of a hostile stream.
        self._said = io.StringIO()
        self._size = 0
        self._held = ""

    def add(self, piece: str) -> str:
        """Take a piece and give what can be shown of it.

        Half an emoji cut over two JSON escapes waits for its other half; a half that stays alone becomes U+FFFD.

        Raises:
            InvalidResponseError: the text is longer than any model's.
        """
        if self._held or not encodable(piece):
            piece = self._joined(self._held + piece)
        self._size += self._said.write(piece)
        if self._size > MAX_TEXT:
            check_count(self._size, MAX_TEXT, "characters in a text")
        return piece

    def _joined(self, text: str) -> str:
        waits = "\ud800" <= text[-1] <= "\udbff"
        self._held = text[-1] if waits else ""
        whole = text[:-1] if waits else text
        return whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def __str__(self) -> str:
        return self._said.getvalue() + ("\ufffd" if self._held else "")

    def __len__(self) -> int:
        return self._size + len(self._held)


def check_count(count: int, most: int, what: str) -> None:
    """Refuse a reply of which more would be kept than any has.

    Raises:
        InvalidResponseError: it has more.
    """
    if count > most:
        raise InvalidResponseError(f"the reply has more than {most} {what}")


class ToolDraft:
    """A tool call under assembly."""

    __slots__ = ("_placeholder", "arguments", "id", "name")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments = Text()
        self._placeholder = False

    def add(self, delta: ToolCallDelta) -> None:
        """Take a piece: the first id and name hold, arguments are joined."""
        self.id = self.id or delta.id
        self.name = self.name or delta.name
        if not delta.arguments:
            return
        if self._placeholder and delta.arguments.startswith("{"):
            self.arguments = Text()
        # Some servers open with "{}" and then stream the real object.
        self._placeholder = not self.arguments and delta.arguments == "{}"
        self.arguments.add(delta.arguments)

    def whole(self) -> ToolCall:
        """The call as far as it is known."""
        return ToolCall(id=self.id, name=self.name, arguments=str(self.arguments))


class Draft:
    """The reply so far.

    Attributes:
        id, model: as the vendor gave them; empty ones never replace known ones.
        asked: the model that was asked for, for forms whose replies do not name theirs.
        begun: the first sign of output was seen, shown or not.
        done: the terminal event was seen, the reply is whole.
        may_end: the stream may end here although no terminal event has come (OpenAI's chat form after a finish).
        silent: an output block or item is open of which nothing can be shown yet; silence may last then.
        items: the vendor's own blocks or items, to be sent back as they came.
        extra: what else a wire form must remember between events.
    """

    def __init__(self, asked: str = "") -> None:
        self.id, self.model, self.asked = "", "", asked
        self.request_id: str | None = None
        self.content, self.reasoning, self.refusal = Text(), Text(), Text()
        self.tools: dict[int, ToolDraft] = {}
        self.finish_reason: FinishReason | None = None
        self.native_finish_reason: str | None = None
        self.usage: Usage | None = None
        self.begun = self.done = self.silent = self.may_end = False
        self.items: list[dict[str, Any]] = []
        self.extra: dict[str, Any] = {}
        self._kept = 0

    def keep(self, text: str) -> None:
        """Count the JSON of an event that is kept as it came, by about what it takes in memory.

        Raises:
            InvalidResponseError: together it is more than any reply needs.
        """
        self._kept += len(text) + _NODE_BYTES * nodes(text)
        check_count(self._kept, MAX_KEPT, "bytes of blocks and items")

    def name(self, *, id: object = None, model: object = None) -> None:  # noqa: A002 - the vendor's word
        """Note id and model, where they are given."""
        self.id = id if isinstance(id, str) and id else self.id
        self.model = model if isinstance(model, str) and model else self.model

    def finish(self, reason: FinishReason | None, native: str | None) -> None:
        """Note why the reply ended."""
        if native:
            self.finish_reason, self.native_finish_reason = reason, native

    def add(
        self,
        *,
        content: str = "",
        reasoning: str = "",
        refusal: str = "",
        tools: Sequence[ToolCallDelta] = (),
        finish: tuple[FinishReason, str] | None = None,
        usage: Usage | None = None,
        raw: dict[str, Any] | None = None,
        unseen: bool = False,
    ) -> StreamChunk | None:
        """Take what an event says; the chunk to hand out, or `None` where it carries nothing to show.

        Audio and images are `unseen`: output that the chunk has in `raw` alone.
        """
        if not (content or reasoning or refusal or tools or finish or usage or unseen):
            return None
        self.begun, self.silent = True, False
        for delta in tools:
            self.tools.setdefault(delta.index, ToolDraft()).add(delta)
        if tools:
            check_count(len(self.tools), MAX_CALLS, "tool calls")
        if finish:
            self.finish(*finish)
        self.usage = usage or self.usage
        return StreamChunk(
            content=self.content.add(content) if content else "",
            reasoning=self.reasoning.add(reasoning) if reasoning else None,
            refusal=self.refusal.add(refusal) if refusal else None,
            tool_calls=list(tools),
            finish_reason=finish[0] if finish else None,
            native_finish_reason=finish[1] if finish else None,
            usage=usage,
            raw=raw,
        )

    @property
    def whole(self) -> bool:
        """Whether the stream may end here."""
        return self.done or self.may_end

    def tool_calls(self) -> list[ToolCall]:
        """The tool calls in the order of their indexes."""
        return [self.tools[index].whole() for index in sorted(self.tools)]

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


def chat_message(draft: Draft) -> dict[str, Any]:
    """The assistant message in OpenAI's chat form."""
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in draft.tool_calls()
    ]
    content = str(draft.content)
    message: dict[str, Any] = {"role": "assistant", "content": content if content or not calls else None}
    message |= {"tool_calls": calls} if calls else {}
    message |= {"refusal": str(draft.refusal)} if draft.refusal else {}
    return message
