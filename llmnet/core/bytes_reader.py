"""Reads a reply of any kind as bytes: what they mean is the caller's affair, that all of them are there is ours."""

from typing import Any

from llmnet.core.form_contract import Kind
from llmnet.core.http import Headers
from llmnet.core.inflate import Inflater
from llmnet.core.reply_reader import ReplyReader


class BytesReader(ReplyReader):
    """Reads a success as bytes, their coding undone: all at once, or piece by piece, of which there may be any number.

    An error is read as that of a chat is.
    """

    def open(self, status: int, headers: Headers) -> Kind:
        """Say what the reply is, from its head."""
        kind = super().open(status, headers)
        if self.stream and kind != "error":
            self._take_apart(Inflater(headers.get("content-encoding"), None))
        return kind

    def _kind_of(self, content_type: str) -> Kind:
        # `json` is what begins with its head, and is read to the end of its body.
        return "json" if 200 <= (self.status or 0) < 300 else "error"

    def _is_events(self, piece: bytes) -> bool:
        return False

    def _gather(self, piece: bytes, chunks: list[Any]) -> None:
        if not self.stream:
            super()._gather(piece, chunks)
        elif piece:
            chunks.append(piece)

    def _end_json(self, chunks: list[Any]) -> None:
        if self._inflater is not None:
            self._inflater.end()
        self.value = bytes(self._body)
