"""Keeps control sequences in what a server says from a terminal, which would obey them; a pipe gets all as it is.

They could move the cursor over what stands there, set the clipboard, or have the terminal answer on standard input.
"""

import re
from typing import TextIO

# C0 but tab and line feed, DEL, C1, and what has a terminal show text in another order than it has.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_INTRODUCERS = {"[": "parameters", "]": "string", "P": "string", "X": "string", "^": "string", "_": "string"}
_C1 = {"\x9b": "parameters", **dict.fromkeys("\x90\x98\x9d\x9e\x9f", "string"), "\x1b": "escape"}


class Plain:
    """Takes the control sequences out of a text that comes in pieces, wherever it is cut.

    A sequence ends where ECMA-48 ends it, and at a line feed: one that is left open hides no more than its line.
    """

    def __init__(self) -> None:
        self._within = ""

    def __call__(self, piece: str) -> str:
        """What is to be shown of the next piece."""
        if not self._within and not _CONTROL.search(piece):
            return piece
        return "".join(letter for letter in piece if self._shown(letter))

    def _shown(self, letter: str) -> bool:
        within = self._within
        if letter == "\n":
            self._within = ""
            return True
        if letter in _C1:  # begins a sequence, whatever is open
            self._within = _C1[letter]
            return False
        if within == "escape":
            self._within = _INTRODUCERS.get(letter, "escape" if "\x20" <= letter <= "\x2f" else "")
            return False
        if within == "parameters" and "\x20" <= letter <= "\x7e":
            self._within = "" if letter >= "\x40" else within
            return False
        if within == "string":
            self._within = "" if letter in "\x07\x18\x1a\x9c" else within
            return False
        self._within = ""
        return not _CONTROL.match(letter)


def plain(text: str) -> str:
    """A whole text without control sequences."""
    return Plain()(text)


def is_terminal(file: TextIO | None) -> bool:
    """Whether a file is a terminal; standard output is no file at all where the shell has closed it."""
    return file is not None and file.isatty()
