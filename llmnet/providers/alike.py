"""Events that differ from the one before in their text alone, as nearly all of a stream do: only it is decoded."""

import re
from collections.abc import Callable
from itertools import islice

import msgspec

# Where the text may stand in the JSON of an event.
_PLACE = re.compile(r'"(?:content|reasoning|reasoning_content)": ?("(?:[^"\\]|\\.)*+")')
_PLACES = 3
_PROBE = "another text"
# Events in a row that are not like the one before; then no more is tried, for there are servers that change something
# else in each event, such as a padding.
_TRIES = 3
_NOWHERE = "\ud800"  # no event begins so: it comes of no UTF-8
_text = msgspec.json.Decoder(str).decode


class Alike:
    """What stands before and behind the text of an event: one that has the same there says the same of all else.

    Attributes:
        reasons: whether the text is reasoning.
    """

    __slots__ = ("_before", "_behind", "_tries", "reasons")

    def __init__(self) -> None:
        self._before = self._behind = _NOWHERE
        self._tries, self.reasons = _TRIES, False

    def text(self, data: str) -> str:
        """The text of an event that is like the one that was learnt; `""` where it has none, or is not."""
        if not (data.startswith(self._before) and data.endswith(self._behind)):
            return ""
        try:
            text = _text(data[len(self._before) : -len(self._behind)])
        except (msgspec.DecodeError, UnicodeError):
            return ""
        self._tries = _TRIES
        return text

    def learn(self, data: str, read: Callable[[str], tuple[str, str]]) -> None:
        """Remember what is around the text of an event; another one in its place proves that it is the text.

        Args:
            data: the JSON of the event.
            read: the text and the reasoning of an event.
        """
        if not self._tries or _PROBE in data:  # which then proves nothing
            return
        self._tries -= 1
        for place in islice(_PLACE.finditer(data), _PLACES):
            before, behind = data[: place.start(1)], data[place.end(1) :]
            said = read(f'{before}"{_PROBE}"{behind}')
            if said in ((_PROBE, ""), ("", _PROBE)):
                self._before, self._behind, self.reasons = before, behind, said[1] == _PROBE
                return
