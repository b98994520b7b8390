"""What the commands do: results go to standard output, everything else to standard error.

`llmnet chat` without a prompt is a conversation on a terminal, which neither an error nor a Ctrl-C ends. What was said
before goes along with each line. A line that fails is forgotten; of a reply that Ctrl-C has ended, what was shown is
kept.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from llmnet.cli import printing
from llmnet.cli.batch import batch
from llmnet.cli.errors import for_command_line
from llmnet.cli.printing import notify_of, stream_text
from llmnet.cli.reading import content_of, part_of, read_prompt
from llmnet.cli.settings import connect, parameters
from llmnet.cli.terminal import is_terminal
from llmnet.client.sync import Client
from llmnet.client.sync_stream import ChatStream
from llmnet.core.bounds import resolve_timeout
from llmnet.core.chat import ChatResponse
from llmnet.core.errors import ConfigurationError, LLMNetError

_HELP = (
    "/quit or Ctrl-D ends the conversation, Ctrl-C the reply; /clear forgets what was said, "
    "/system TEXT replaces the system message"
)


def chat(options: argparse.Namespace) -> None:
    """`llmnet chat`: one reply, or a conversation."""
    printing.check_output()
    params = parameters(options)
    attachments = [part_of(name) for name in options.attachment]
    prompt = None if _is_conversation(options) else read_prompt(options.prompt)
    seconds = options.timeout and resolve_timeout(options.timeout, None, stream=False, flex=False)
    system = options.system if options.system and not options.system.isspace() else None
    with connect(options, timeout=seconds, system=system) as client:
        if prompt is None:
            Conversation(client, params, attachments).run(line_reader())
            return
        messages = [{"role": "user", "content": content_of(prompt, attachments)}]
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


class Conversation:
    """What was said, and what a line does.

    Args:
        client: where it goes, with a system message, if there is one.
        params: parameters of each call.
        attachments: parts that go with the first line.
    """

    def __init__(self, client: Client, params: dict[str, Any], attachments: Sequence[dict[str, Any]]) -> None:
        self._client, self._params, self._attachments = client, params, attachments
        self._turns: list[dict[str, Any]] = []
        self._over = False

    def run(self, read_line: Callable[[], str]) -> None:
        """Take line by line, to the end.

        Args:
            read_line: gives the next line; raises `EOFError` at the end of the input.
        """
        printing.notify(f"llmnet: {_HELP}")
        while not self._over:
            try:
                self._take(read_line())
            except EOFError:
                printing.write("")
                return
            except UnicodeDecodeError:
                printing.notify("llmnet: that is no UTF-8")
            except LLMNetError as error:
                printing.notify(f"llmnet: {for_command_line(error)}")
            except KeyboardInterrupt as error:  # the line that is being written is dropped, as in a shell
                _raise_signal(error)
                printing.write("")

    def _take(self, line: str) -> None:
        word, _, rest = line.strip().partition(" ")
        if not line.startswith("/"):
            if word:
                self._say(line)
            return
        match word:
            case "/quit" | "/exit":
                self._over = True
            case "/clear":
                self._turns = []
            case "/system":
                self._client = self._client.with_options(system=rest.strip() or None)
            case "/help":
                printing.notify(f"llmnet: {_HELP}")
            case _:
                printing.notify(f"llmnet: there is no {word}; {_HELP}; a blank before it sends the line as it is")

    def _say(self, line: str) -> None:
        turn = {"role": "user", "content": content_of(line, self._attachments)}
        answer = self._answer(self._client.stream_chat([*self._turns, turn], **self._params))
        if answer is not None:
            self._turns += [turn, answer]
            self._attachments = ()

    def _answer(self, stream: ChatStream) -> dict[str, Any] | None:
        """The reply as a message; what has come of it, where Ctrl-C ends it; `None` where nothing has."""
        try:
            reply = stream_text(stream)
        except KeyboardInterrupt as error:
            _raise_signal(error)
            shown = stream.partial.content if stream.partial is not None else ""
            printing.notify("llmnet: the reply was ended")
            return {"role": "assistant", "content": shown} if shown.strip() else None
        notify_of(reply)
        return reply.message


def _raise_signal(error: KeyboardInterrupt) -> None:
    """Go on after Ctrl-C, but not after a signal that ends the program, whose error is a subclass."""
    if type(error) is not KeyboardInterrupt:
        raise error


def line_reader() -> Callable[[], str]:
    """What reads a line from the terminal: prompt_toolkit where it is installed, else Python's own `input`."""
    try:
        from prompt_toolkit import PromptSession  # noqa: PLC0415 - an extra, loaded on use
    except ImportError:
        with contextlib.suppress(ImportError):  # it edits and remembers lines; Windows has none
            import readline  # noqa: F401, PLC0415
        return lambda: input("> ")
    return PromptSession([("bold", "> ")]).prompt


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
