"""What the commands do: results go to standard output, everything else to standard error."""

import argparse
import functools
import json
import sys
from collections.abc import Callable

from llmnet.cli import printing
from llmnet.cli.batch import batch
from llmnet.cli.conversation import Conversation, line_reader, with_system
from llmnet.cli.printing import notify_of, stream_text
from llmnet.cli.reading import content_of, part_of, read_prompt
from llmnet.cli.settings import connect, parameters
from llmnet.cli.terminal import is_terminal
from llmnet.core.bounds import resolve_timeout
from llmnet.core.chat import ChatResponse
from llmnet.core.errors import ConfigurationError


def chat(options: argparse.Namespace) -> None:
    """`llmnet chat`: one reply, or a conversation."""
    printing.check_output()
    params = parameters(options)
    attachments = [part_of(name) for name in options.attachment]
    prompt = None if _is_conversation(options) else read_prompt(options.prompt)
    seconds = options.timeout and resolve_timeout(options.timeout, None, stream=False, flex=False)
    with connect(options, timeout=seconds) as client:
        if prompt is None:
            ask = functools.partial(client.stream_chat, **params)
            Conversation(ask, options.system, attachments).run(line_reader())
            return
        messages = with_system(options.system, [{"role": "user", "content": content_of(prompt, attachments)}])
        at_once = options.no_stream or options.json or options.output_type
        reply = client.chat(messages, **params) if at_once else stream_text(client.stream_chat(messages, **params))
    _show(reply, options)


def _is_conversation(options: argparse.Namespace) -> bool:
    """Whether somebody sits at a terminal and has given no prompt.

    Raises:
        ConfigurationError: other options need one.
    """
    if options.prompt is not None or not is_terminal(sys.stdin):
        return False
    if not is_terminal(sys.stdout) or options.json or options.no_stream or options.output_type:
        raise ConfigurationError(
            "no prompt: without one, llmnet chat is a conversation on a terminal, which writes no file, and takes none "
            "of --json, --no-stream and --output-type"
        )
    return True


def _show(reply: ChatResponse, options: argparse.Namespace) -> None:
    """Print a reply, but for what was printed while it came."""
    parsed = {"parsed": reply.parsed} if options.output_type else {}
    if options.json:
        printing.write_json(reply.to_dict() | parsed)
        return
    if parsed and is_terminal(sys.stdout):
        printing.write(json.dumps(reply.parsed, indent=2, ensure_ascii=False))
    elif parsed:
        printing.write_json(reply.parsed)
    elif options.no_stream:
        printing.write(reply.content)
    notify_of(reply)


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
