"""The two clients are one text but for `await`: after one table of tokens they must be equal."""

import pathlib
import re

import pytest

import llmnet

ROOM = pathlib.Path(llmnet.__file__).parent / "client"

# Each rule must be used: one that has no work left is an error, as in httpcore's unasync.
TOKENS = [
    (r"\basync (def|for|with) ", r"\1 "),
    (r"\bawait ", ""),
    (
        r"\bAsync(Client|CallMethods|ChatStream|APIStream|Stream|Batch|Engine|Iterator|OpenReply|Transport)\b",
        r"\1",
    ),
    (r"\bAsyncWait\b", "SyncWait"),
    (r"(?: \| )?\bAsyncIterable(?:\[Any\]|, )", ""),
    (r"__a(iter|next|enter|exit)__", r"__\1__"),
    (r"\ba(next|iter)\b", r"\1"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"\baclose\b", "close"),
    (r"\baio(_calls|_stream|_driver)?\b", r"sync\1"),
    (r"\btasks\b", "threads"),
    (r"\n    def __await__\(.*\n.*\n.*\n", ""),
    (r"from collections.abc import Generator\n", ""),
]
# What only one of them has to say.
HEADERS = 1
PAIRS = [
    ("sync.py", "aio.py"),
    ("sync_calls.py", "aio_calls.py"),
    ("sync_stream.py", "aio_stream.py"),
    ("sync_driver.py", "aio_driver.py"),
]


def normal(name: str) -> list[str]:
    text = (ROOM / name).read_text()
    for pattern, token in TOKENS:
        text = re.sub(pattern, token, text)
    lines = [line.rstrip() for line in text.splitlines()[HEADERS:]]
    # Imports stand by their names, of which one may be another here.
    return sorted(line for line in lines if line.startswith("from ")) + [
        line for line in lines if not line.startswith("from ")
    ]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0])
def test_both_are_one_text(pair):
    sync, awaited = map(normal, pair)
    differing = [(a, b) for a, b in zip(sync, awaited, strict=False) if a != b]
    assert differing == []
    assert len(sync) == len(awaited)


def test_every_rule_is_used():
    text = "".join((ROOM / name).read_text() for pair in PAIRS for name in pair)
    unused = [pattern for pattern, token in TOKENS if (text := text) == (text := re.sub(pattern, token, text))]
    assert unused == []
