"""What a call asks of a wire form: to sign requests, and to read replies, events and errors into a draft.

The forms themselves are in `llmnet/providers/`: its `target.py` lists them.
"""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from llmnet.core.chat import ChatResponse, StreamChunk
from llmnet.core.draft import Draft
from llmnet.core.errors import APIStatusError, LLMNetError
from llmnet.core.http import Request
from llmnet.core.sse import ServerSentEvent

Kind = Literal["error", "json", "events"]


class WireForm(Protocol):
    """What a call asks of a wire form."""

    provider: str

    def authorise(self, request: Request, key: str | None) -> Request:
        """The request with its credential."""

    def read_body(self, body: bytes | bytearray) -> ChatResponse | None:
        """Read a whole reply that is a text alone; `None` for any other."""

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """Read a whole reply into the draft."""

    def parse_event(self, event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """Read one event of a stream into the draft; the chunk that it gives, if any."""

    def close(self, draft: Draft) -> StreamChunk | None:
        """A stream has ended: the chunk of what was held, or an error where there was no reply."""

    def parse_error(self, status: int, headers: Mapping[str, str], payload: Any) -> APIStatusError:
        """Read an error, of an HTTP error or inside a success."""

    def find_error(self, payload: Any) -> bool:
        """Whether the JSON of a success is an error."""

    def hint(self, error: LLMNetError) -> str:
        """What an error that ends a call suggests to look at first, to be appended to its message, or ""."""

    def answer(self, draft: Draft) -> str:
        """The text in which a value of the caller's type stands, as the last of several; `""` for all the content."""

    def message(self, draft: Draft) -> dict[str, Any]:
        """The assistant message for the next turn."""
