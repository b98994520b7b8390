"""What the commands do: results go to standard output, everything else to standard error."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from llmnet.cli import printing
from llmnet.cli.batch import batch
from llmnet.cli.connect import connect
from llmnet.cli.stdin import prompt_of
from llmnet.cli.terminal import Plain, is_terminal
from llmnet.client.sync import Client
from llmnet.core.bounds import resolve_timeout
from llmnet.core.chat import ChatResponse


def chat(options: argparse.Namespace) -> None:
    """`llmnet chat`."""
    printing.check_output()
    prompt = prompt_of(options.prompt)
    system = [{"role": "system", "content": options.system}] if options.system else []
    messages = [*system, {"role": "user", "content": prompt}]
    limits = {"max_tokens": options.max_tokens, "temperature": options.temperature}
    seconds = options.timeout and resolve_timeout(options.timeout, None, stream=False, flex=False)
    with connect(options, timeout=seconds) as client:
        whole = options.no_stream or options.json
        reply = client.chat(messages, **limits) if whole else _streamed(client, messages, limits)
    if options.json:
        printing.write_json(for_machines(reply))
    elif options.no_stream:
        printing.write(reply.content)
    if not options.json and (remark := _remark(reply)):
        printing.tell(f"llmnet: {remark}")


_ENDS = {
    "length": "the reply ended at its limit of tokens",
    "content_filter": "the reply was ended by the vendor's content filter",
    "refusal": "the model refused",
}


def _remark(reply: ChatResponse) -> str | None:
    """What the text of a reply does not tell."""
    if reply.refusal:
        return f"the model refused: {reply.refusal}"
    return _ENDS.get(reply.finish_reason or "") or (None if reply.content else "the reply has no text")


def _streamed(client: Client, messages: list[dict[str, Any]], limits: dict[str, Any]) -> ChatResponse:
    shown = Plain() if is_terminal(sys.stdout) else str
    begun = False
    with client.stream_chat(messages, **limits) as stream:
        try:
            for chunk in stream:
                begun = True
                printing.write(shown(chunk.content), end="")
        finally:  # however it ends, what is said next begins a line
            if begun:
                printing.write("")
    return stream.response


def models(options: argparse.Namespace) -> None:
    """`llmnet models`."""
    printing.check_output()
    with connect(options) as client:
        found = client.list_models()
    if options.json:
        printing.write_json(found)
        return
    for model in found:
        printing.write(model.id if model.retires_at is None else f"{model.id}\tretires {model.retires_at}")


# What a command returns is its exit code; `None` is 0.
COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {"batch": batch, "chat": chat, "models": models}


def for_machines(reply: ChatResponse) -> dict[str, Any]:
    """What a reply says to a machine."""
    shown = {name: getattr(reply, name) for name in reply.__struct_fields__ if name not in ("raw", "meta")}
    meta = reply.meta
    shown["meta"] = {
        "status": meta.status,
        "request_id": meta.request_id,
        "attempts": meta.attempts,
        "elapsed": meta.elapsed,
        "time_to_first_token": meta.time_to_first_token,
    }
    return shown
