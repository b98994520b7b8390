"""What is asked and what must be answered: each call has a number, which its reply must name as its prompt did."""

DELTAS = 2000  # of a stream
COUNTS = 1000  # that are counted in one go

# Words as models write them: with what JSON escapes, and with what UTF-8 needs several bytes for.
_WORDS = (" the", " answer", " is", ' "simple"', ",", " as", " 杭州", " and", "\n", " weather", " naïve", " shows", ".")
_PIECES = tuple(_WORDS[number % len(_WORDS)] for number in range(DELTAS - 1))
_ASIDE = " Please answer at length, with examples, and say what you are not sure of." * 3

MARK = "number="
DIGITS = 8

CHAT_TAIL = "".join(_PIECES[:200])  # about a kilobyte
STREAM_TAIL = "".join(_PIECES)


def prompt(number: int) -> str:
    """What a call asks."""
    return f"{MARK}{number:0{DIGITS}}.{_ASIDE}"


def pieces(number: str) -> tuple[str, ...]:
    """The deltas of a stream."""
    return (number, *_PIECES)


def chat_text(number: int) -> str:
    """What a plain reply must say."""
    return f"{number:0{DIGITS}}{CHAT_TAIL}"


def stream_text(number: int) -> str:
    """What the deltas of a stream must add up to."""
    return f"{number:0{DIGITS}}{STREAM_TAIL}"
