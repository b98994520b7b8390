"""Prompts and the replies expected: a call has a number, in prompt and reply; a paced delta is the time it was sent."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

Add: TypeAlias = Callable[[str], object]  # takes the text of a delta

DELTAS = 2000  # of a stream
COUNTS = 1000  # that are counted in one go

# Text with characters that JSON escapes, and characters of several bytes in UTF-8.
_WORDS = (" the", " answer", " is", ' "simple"', ",", " as", " 杭州", " and", "\n", " weather", " naïve", " shows", ".")
_PIECES = tuple(_WORDS[number % len(_WORDS)] for number in range(DELTAS - 1))
_ASIDE = " Please answer at length, with examples, and say what you are not sure of." * 3

MARK = "number="
DIGITS = 8
STAMP = 20  # digits of the nanoseconds that a paced delta consists of

CHAT_TAIL = "".join(_PIECES[:200])  # about a kilobyte
STREAM_TAIL = "".join(_PIECES)


def prompt(number: int) -> str:
    """The prompt of a call."""
    return f"{MARK}{number:0{DIGITS}}.{_ASIDE}"


def pieces(number: str) -> tuple[str, ...]:
    """The deltas of a stream."""
    return (number, *_PIECES)


def chat_text(number: int) -> str:
    """The text that a reply must have."""
    return f"{number:0{DIGITS}}{CHAT_TAIL}"


def stream_text(number: int) -> str:
    """The text that the deltas of a stream must add up to."""
    return f"{number:0{DIGITS}}{STREAM_TAIL}"


class Pace(NamedTuple):
    """How a server answers, which is the beginning of the path that it is asked at.

    Attributes:
        wait: milliseconds before a reply begins.
        deltas: of a stream that is sent one by one; 0 for whole ones, as fast as they are taken.
        every: milliseconds from one delta to the next.
    """

    wait: int = 0
    deltas: int = 0
    every: int = 0

    @property
    def path(self) -> str:
        """What comes before the path of the API."""
        return f"/{self.wait}-{self.deltas}-{self.every}"


def stamp(nanoseconds: int) -> str:
    """The text of a paced delta, sent at this time of the machine's monotonic clock."""
    return f"{nanoseconds:0{STAMP}}"
