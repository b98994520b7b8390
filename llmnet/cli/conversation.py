"""`llmnet chat` without a prompt: a conversation on a terminal, which neither an error nor a Ctrl-C ends.

What was said before goes along with each line. A line that fails is forgotten; of a reply that Ctrl-C has ended, what
was shown is kept.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from llmnet.cli import printing
from llmnet.cli.errors import for_command_line
from llmnet.cli.printing import notify_of, stream_text
from llmnet.cli.reading import content_of
from llmnet.client.sync_stream import ChatStream
from llmnet.core.errors import LLMNetError

_HELP = (
    "/quit or Ctrl-D ends the conversation, Ctrl-C the reply; /clear forgets what was said, "
    "/system TEXT replaces the system message"
)
Messages = list[dict[str, Any]]


def with_system(system: str | None, messages: Messages) -> Messages:
    """The messages, with the system message before them, if there is one."""
    return [{"role": "system", "content": system}, *messages] if system else messages


class Conversation:
    """What was said, and what a line does.

    Args:
        ask: makes the stream of a reply to all messages.
        system: the system message, if there is one.
        attachments: parts that go with the first line.
    """

    def __init__(
        self, ask: Callable[[Messages], ChatStream], system: str | None, attachments: Sequence[dict[str, Any]] = ()
    ) -> None:
        self._ask, self._system, self._attachments = ask, system, attachments
        self._turns: Messages = []
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
                self._system = rest.strip()
            case "/help":
                printing.notify(f"llmnet: {_HELP}")
            case _:
                printing.notify(f"llmnet: there is no {word}; {_HELP}; a blank before it sends the line as it is")

    def _say(self, line: str) -> None:
        turn = {"role": "user", "content": content_of(line, self._attachments)}
        try:
            answer = self._answer(self._ask(with_system(self._system, [*self._turns, turn])))
        except LLMNetError as error:
            printing.notify(f"llmnet: {for_command_line(error)}")
            return
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
    read: Callable[[], str] = PromptSession([("bold", "> ")]).prompt
    return read
