"""Removes control sequences from a server's text before it reaches a terminal; a pipe gets all bytes unchanged.

They could overwrite what is on the screen, set the clipboard, or make the terminal write to standard input.
"""

import re
from typing import TextIO

# C0 except tab and line feed, DEL, C1, and the characters that change the direction of text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_INTRODUCERS = {"[": "parameters", "]": "string", "P": "string", "X": "string", "^": "string", "_": "string"}
_C1 = {"\x9b": "parameters", **dict.fromkeys("\x90\x98\x9d\x9e\x9f", "string"), "\x1b": "escape"}


class ControlFilter:
    """Removes control sequences from a text that comes in pieces, wherever it is cut.

    A sequence ends where ECMA-48 ends it, or at a line feed: an unfinished one hides only its line.
    """

    def __init__(self) -> None:
        self._state = ""

    def __call__(self, piece: str) -> str:
        """The next piece without control sequences."""
        if not self._state and not _CONTROL.search(piece):
            return piece
        return "".join(letter for letter in piece if self._visible(letter))

    def _visible(self, letter: str) -> bool:
        state = self._state
        if letter == "\n":
            self._state = ""
            return True
        if letter in _C1:  # begins a sequence, whatever is open
            self._state = _C1[letter]
            return False
        if state == "escape":
            self._state = _INTRODUCERS.get(letter, "escape" if "\x20" <= letter <= "\x2f" else "")
            return False
        if state == "parameters" and "\x20" <= letter <= "\x7e":
            self._state = "" if letter >= "\x40" else state
            return False
        if state == "string":
            self._state = "" if letter in "\x07\x18\x1a\x9c" else state
            return False
        self._state = ""
        return not _CONTROL.match(letter)


def without_controls(text: str) -> str:
    """A complete text without control sequences."""
    return ControlFilter()(text)


def is_terminal(file: TextIO | None) -> bool:
    """Whether a file is a terminal; standard output is `None` where the shell has closed it."""
    return file is not None and file.isatty()
