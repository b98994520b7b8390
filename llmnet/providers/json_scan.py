"""Tells when a JSON text that arrives in pieces is whole; each character is looked at once, and nothing is built."""

import re


class Scan:
    """A look at a JSON text that grows: whether its brackets are closed.

    Attributes:
        seen: characters looked at so far.
        ended: whether nothing can be added to the text.
    """

    def __init__(self) -> None:
        self.seen, self._depth = 0, 0
        self._in_string = self._escapes = self.ended = False

    def feed(self, text: str) -> None:
        """Look at more of it."""
        self.seen += len(text)
        said = "\\" + text if self._escapes else text
        self._escapes = False
        if said.strip():
            self.ended = False
        for match in _SIGNS(said):
            self._sign(match[0])
        if said.rstrip()[-1:] in ("}", "]"):
            self.ended = self._depth == 0 and not self._in_string

    def _sign(self, sign: str) -> None:
        if sign[0] == "\\":
            self._escapes = len(sign) == 1
        elif sign == '"':
            self._in_string = not self._in_string
        elif not self._in_string:
            self._depth += 1 if sign in "[{" else -1


_SIGNS = re.compile(r'\\.?|["\[\]{}]', re.DOTALL).finditer


def is_whole(arguments: str) -> bool:
    """Whether arguments are a whole JSON text, to which nothing can be added."""
    if arguments.lstrip()[:1] not in ("{", "["):
        return False
    scan = Scan()
    scan.feed(arguments)
    return scan.ended
