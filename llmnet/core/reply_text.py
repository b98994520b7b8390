"""The texts of a reply: its body, in the charset that is named, and what arrives in pieces, bounded and valid UTF-8."""

import re
from collections.abc import Mapping

from llmnet.core.errors import InvalidResponseError
from llmnet.core.json import encodable

# More than any model writes.
MAX_TEXT = 8 * 1024 * 1024
# Of Python's codecs many are none of a charset: some raise errors of their own, or take quadratic time.
_NAMED = r"""charset\s*=\s*["']?([^\s"';,]+)"""
_KNOWN = (
    "utf[-_]?(8|16([-_]?[lb]e)?)|(us-)?ascii|latin-?1|iso[-_]8859-([1-9]|1[013-6])|(windows-|cp)125[0-8]|koi8-[ru]"
    "|gbk|gb2312|gb18030|big5(-hkscs)?|shift[-_]jis|sjis|windows-31j|euc-jp|euc-kr|cp949"
)


class Text:
    """A text that arrives in pieces; what it returns can always be encoded as UTF-8."""

    __slots__ = ("_buffer", "_held", "_size")

    def __init__(self) -> None:
        # One buffer of UTF-8: a list would hold an object, some fifty bytes, for each letter of a hostile stream. No
        # `StringIO`: the garbage collector may close it before a finalizer reads what has arrived. Other threads read
        # it as it grows, each time in one step of the interpreter: a coding written in Python would be met half-way.
        self._buffer = bytearray()
        self._size = 0
        self._held = ""

    def add(self, piece: str) -> str:
        """Add a piece; as much of it as can be shown now.

        Half an emoji cut over two JSON escapes waits for its other half; a half that stays alone becomes U+FFFD.

        Raises:
            InvalidResponseError: the text is longer than any model's.
        """
        if self._held or not (piece.isascii() or encodable(piece)):
            piece = self._joined(self._held + piece)
        self._buffer += piece.encode()
        self._size += len(piece)
        if self._size > MAX_TEXT:
            check_count(self._size, MAX_TEXT, "characters in a text")
        return piece

    def _joined(self, text: str) -> str:
        waits = "\ud800" <= text[-1] <= "\udbff"
        self._held = text[-1] if waits else ""
        complete = text[:-1] if waits else text
        return complete.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    @property
    def position(self) -> int:
        """Where the next piece will stand, for `since`."""
        return len(self._buffer)

    def since(self, position: int) -> str:
        """The pieces that were added from some `position` on."""
        return self._buffer[position:].decode()

    def __str__(self) -> str:
        return self._buffer.decode() + ("\ufffd" if self._held else "")

    def __len__(self) -> int:
        return self._size + len(self._held)


def check_count(count: int, most: int, what: str) -> None:
    """Refuse a reply of which more would be kept than any has.

    Raises:
        InvalidResponseError: it has more.
    """
    if count > most:
        raise InvalidResponseError(f"the reply has more than {most} {what}")


def body_text(body: bytes, headers: Mapping[str, str], errors: str = "replace") -> str:
    """The text of a body with these headers.

    Args:
        body: the bytes, without their content coding.
        headers: the response headers.
        errors: what becomes of bytes that are none: `"replace"`, or `"strict"` raises a `UnicodeDecodeError`.
    """
    named = re.search(_NAMED, headers.get("content-type", ""), re.IGNORECASE)
    charset = named[1].lower() if named and re.fullmatch(_KNOWN, named[1], re.IGNORECASE) else "utf-8"
    # Who says GB2312 often sends more than that has; the newest of the three has all of them.
    return body.decode("gb18030" if charset.startswith("gb") else charset, errors)
