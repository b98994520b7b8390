"""Finds out when a JSON text that arrives in pieces is complete; reads each character once and builds no value."""

import re


class Scan:
    """A scan of a JSON text that grows: whether its brackets are closed.

    Attributes:
        ended: whether the text is complete, so that nothing can be appended to it.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._escapes = self.ended = False

    def feed(self, text: str) -> None:
        """Scan the next piece."""
        piece = "\\" + text if self._escapes else text
        self._escapes = False
        if piece.strip():
            self.ended = False
        for match in _SIGNS(piece):
            self._sign(match[0])
        if piece.rstrip()[-1:] in ("}", "]"):
            self.ended = self._depth == 0 and not self._in_string

    def _sign(self, sign: str) -> None:
        if sign[0] == "\\":
            self._escapes = len(sign) == 1
        elif sign == '"':
            self._in_string = not self._in_string
        elif not self._in_string:
            self._depth += 1 if sign in "[{" else -1


_SIGNS = re.compile(r'\\.?|["\[\]{}]', re.DOTALL).finditer


def is_complete(arguments: str) -> bool:
    """Whether arguments are a complete JSON object or list, to which nothing can be appended."""
    if arguments.lstrip()[:1] not in ("{", "["):
        return False
    scan = Scan()
    scan.feed(arguments)
    return scan.ended
