"""What is written by hand around a library that knows HTTP alone: a request, and a loop over the events of a stream."""

import json
from typing import Any

from benchmarks.content import Add

HEADERS = {"Authorization": "Bearer sk-test"}


def fields(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], **more}


def content(reply: dict[str, Any]) -> str:
    return reply["choices"][0]["message"]["content"]


def hand(line: str, add: Add) -> None:
    """Hand over the text of a line of a stream, if it has one."""
    if line.startswith("data: ") and line != "data: [DONE]":
        for choice in json.loads(line[6:])["choices"]:
            if text := choice["delta"].get("content"):
                add(text)


class Events:
    """The quickest loop by hand: bytes, cut at empty lines, of which msgspec decodes the one field that is wanted."""

    def __init__(self, add: Add) -> None:
        from msgspec.json import Decoder

        self._decode, self._add, self._rest = Decoder(_types()).decode, add, b""

    def feed(self, data: bytes) -> None:
        """Take what has come, and hand over the texts that are whole."""
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            if event == b"data: [DONE]":
                return
            for choice in self._decode(event[6:]).choices:
                if choice.delta.content:
                    self._add(choice.delta.content)


def _types() -> Any:
    from msgspec import defstruct

    delta = defstruct("Delta", [("content", str | None, None)])
    choice = defstruct("Choice", [("delta", delta)])
    return defstruct("Chunk", [("choices", list[choice])])  # type: ignore[valid-type]
