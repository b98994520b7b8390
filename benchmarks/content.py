"""Prompts and the replies expected: each call has a number, which is in its prompt and in its reply."""

DELTAS = 2000  # of a stream
COUNTS = 1000  # that are counted in one go

# Text with characters that JSON escapes, and characters of several bytes in UTF-8.
_WORDS = (" the", " answer", " is", ' "simple"', ",", " as", " 杭州", " and", "\n", " weather", " naïve", " shows", ".")
_PIECES = tuple(_WORDS[number % len(_WORDS)] for number in range(DELTAS - 1))
_ASIDE = " Please answer at length, with examples, and say what you are not sure of." * 3

MARK = "number="
DIGITS = 8

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
