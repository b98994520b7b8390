"""What the commands do: results go to standard output, everything else to standard error."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from llmnet.cli import printing
from llmnet.cli.attachments import content_of, part_of
from llmnet.cli.batch import batch
from llmnet.cli.connect import connect
from llmnet.cli.output_type import OutputType
from llmnet.cli.settings import parameters
from llmnet.cli.stdin import read_prompt
from llmnet.cli.terminal import ControlFilter, is_terminal
from llmnet.client.sync import Client
from llmnet.core.bounds import resolve_timeout
from llmnet.core.chat import ChatResponse


def chat(options: argparse.Namespace) -> None:
    """`llmnet chat`."""
    printing.check_output()
    output_type = OutputType(options.output_type) if options.output_type else None
    params = parameters(options) | (output_type.parameters() if output_type else {})
    attachments = [part_of(name) for name in options.attachment]
    content = content_of(read_prompt(options.prompt), attachments)
    system = [{"role": "system", "content": options.system}] if options.system else []
    messages = [*system, {"role": "user", "content": content}]
    seconds = options.timeout and resolve_timeout(options.timeout, None, stream=False, flex=False)
    with connect(options, timeout=seconds) as client:
        at_once = options.no_stream or options.json or output_type
        reply = client.chat(messages, **params) if at_once else _streamed(client, messages, params)
    if output_type:
        _show_parsed(reply, output_type.value_of(reply), as_json=options.json)
    elif options.json:
        printing.write_json(as_dict(reply))
    elif options.no_stream:
        printing.write(reply.content)
    if not options.json and (remark := _remark(reply)):
        printing.notify(f"llmnet: {remark}")


def _show_parsed(reply: ChatResponse, value: Any, *, as_json: bool) -> None:
    """Print the value of a reply, for people with a line for each of its fields."""
    if as_json:
        printing.write_json(as_dict(reply) | {"parsed": value})
    elif is_terminal(sys.stdout):
        printing.write(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        printing.write_json(value)


_REMARKS = {
    "length": "the reply ended at its limit of tokens",
    "content_filter": "the reply was ended by the vendor's content filter",
    "refusal": "the model refused",
}


def _remark(reply: ChatResponse) -> str | None:
    """A remark on a reply that its text does not show, such as a refusal."""
    if reply.refusal:
        return f"the model refused: {reply.refusal}"
    return _REMARKS.get(reply.finish_reason or "") or (None if reply.content else "the reply has no text")


def _streamed(client: Client, messages: list[dict[str, Any]], params: dict[str, Any]) -> ChatResponse:
    filtered = ControlFilter() if is_terminal(sys.stdout) else str
    started = False
    with client.stream_chat(messages, **params) as stream:
        try:
            for chunk in stream:
                started = True
                printing.write(filtered(chunk.content), end="")
        finally:  # what is printed next begins a new line
            if started:
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


# A command returns its exit code; `None` is 0.
COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {"batch": batch, "chat": chat, "models": models}


_META = ("status", "request_id", "attempts", "elapsed", "time_to_first_token")


def as_dict(reply: ChatResponse) -> dict[str, Any]:
    """A reply for the JSON output, without the raw body."""
    fields = {name: getattr(reply, name) for name in reply.__struct_fields__ if name not in ("raw", "meta", "parsed")}
    fields["meta"] = {name: getattr(reply.meta, name) for name in _META}
    return fields
