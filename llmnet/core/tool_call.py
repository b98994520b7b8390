"""A call of a tool: as a value, as a piece of a stream, and under assembly."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from llmnet.core.errors import InvalidResponseError
from llmnet.core.json import decode, mended
from llmnet.core.plain import Value, public
from llmnet.core.reply_text import Text, check_count

Function = Callable[..., Any]
Tool = Mapping[str, Any] | Function

MAX_NAME = 4096  # more than any model says


@public
class ToolCall(Value, msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool that the model wants called; nothing is called for you.

    Attributes:
        id: the vendor's id of the call, which its answer names.
        name: the name of the tool.
        arguments: the JSON text as it came; `json()` is its value.
        function: the function of `tools=` that is meant, or `None`: `call.function(**call.json())` calls it. It is no
            part of what is compared, shown, copied into other processes or given by `to_dict`.
    """

    id: str
    name: str
    arguments: str
    function: Function | None = None

    def json(self) -> Any:
        """The arguments as a value; empty text is `{}`.

        Raises:
            InvalidResponseError: the text is no JSON, as after a reply that was cut at its length.
        """
        if not self.arguments.strip():
            return {}
        try:
            return decode(self.arguments)
        except ValueError as error:
            # The server's words, its name too, may show the key, which nobody can mask any more after the call.
            raise InvalidResponseError(f"the arguments of a tool call are no JSON: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Id, name and arguments."""
        return {"id": self.id, "name": self.name, "arguments": self.arguments}

    def __repr__(self) -> str:
        return f"ToolCall(id={self.id!r}, name={self.name!r}, arguments={self.arguments!r})"

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, ToolCall) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.id, self.name, self.arguments))

    def __reduce__(self) -> Any:
        return functools.partial(ToolCall, **self.to_dict()), ()

    def __deepcopy__(self, memo: object) -> "ToolCall":
        return self  # nothing of it can change


@public
class ToolCallDelta(Value, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A piece of a tool call in a stream; pieces of one call share an index, `arguments` are to be joined."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class ToolDraft:
    """A tool call under assembly.

    Attributes:
        custom: whether it calls a custom tool, whose input is a text of any kind.
        beside: what the service has put beside it and wants back, such as a signature.
    """

    __slots__ = ("_placeholder", "arguments", "beside", "custom", "id", "name")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments = Text()
        self.custom = False
        self.beside: dict[str, Any] = {}
        self._placeholder = False

    def add(self, delta: ToolCallDelta) -> None:
        """Take what is new: the first id holds, pieces of the name and of the arguments are joined."""
        if delta.id or delta.name:
            self.id = self.id or mended(delta.id)
            self.name += mended(delta.name)
            check_count(len(self.name), MAX_NAME, "characters in the name of a tool")
        if not delta.arguments:
            return
        if self._placeholder and delta.arguments.startswith("{"):
            self.arguments = Text()
        # Some servers open with "{}" and then stream the real object.
        self._placeholder = not self.arguments and delta.arguments == "{}"
        self.arguments.add(delta.arguments)

    def whole(self, functions: Mapping[str, Function]) -> ToolCall:
        """The call as far as it is known, with the one of these functions that it means."""
        function = functions.get(self.name) if functions else None
        return ToolCall(id=self.id, name=self.name, arguments=str(self.arguments), function=function)

    def message(self) -> dict[str, Any]:
        """The call in OpenAI's chat form; servers parse its arguments, and an empty text is no JSON."""
        text = str(self.arguments)
        if self.custom:
            return {"id": self.id, "type": "custom", "custom": {"name": self.name, "input": text}}
        function = {"name": self.name, "arguments": text if text.strip() else "{}"}
        return {"id": self.id, "type": "function", "function": function}
