"""What is written by hand around a library that knows HTTP alone: a request, and a loop over the lines of a stream."""

import json
from typing import Any

HEADERS = {"Authorization": "Bearer sk-test"}


def fields(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], **more}


def content(reply: dict[str, Any]) -> str:
    return reply["choices"][0]["message"]["content"]


def delta(line: str) -> str:
    """The text that a line of a stream adds."""
    if line.startswith("data: ") and line != "data: [DONE]":
        for choice in json.loads(line[6:])["choices"]:
            return choice["delta"].get("content") or ""
    return ""
