"""Shows replies: their text as it comes, what the text does not tell, and the value that was asked for."""

import json
import sys
from typing import Any

from llmnet.cli import printing
from llmnet.cli.terminal import ControlFilter, is_terminal
from llmnet.client.sync_stream import ChatStream
from llmnet.core.chat import ChatResponse

_REMARKS = {
    "length": "the reply ended at its limit of tokens",
    "content_filter": "the reply was ended by the vendor's content filter",
    "refusal": "the model refused",
}


def stream_text(stream: ChatStream) -> ChatResponse:
    """Print the text of a stream as it comes, and give the whole reply."""
    filtered = ControlFilter() if is_terminal(sys.stdout) else str
    started = False
    with stream:
        try:
            for chunk in stream:
                started = True
                printing.write(filtered(chunk.content), end="")
        finally:  # what is printed next begins a new line
            if started:
                printing.write("")
    return stream.response


def notify_of(reply: ChatResponse) -> None:
    """Print what the text of a reply does not show, such as a refusal."""
    if reply.refusal:
        remark: str | None = f"the model refused: {reply.refusal}"
    else:
        remark = _REMARKS.get(reply.finish_reason or "") or (None if reply.content else "the reply has no text")
    if remark:
        printing.notify(f"llmnet: {remark}")


def write_value(value: Any) -> None:
    """Print the value of a reply, for people with a line for each of its fields."""
    if is_terminal(sys.stdout):
        printing.write(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        printing.write_json(value)
