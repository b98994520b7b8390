"""Rows 82-106 of the fault matrix: the body of a plain reply, and streams."""

from matrix.case import LOW, ONCE, THRICE, Expect, Row, equal

import llmnet
from llmnet.testing import fault

LOST, LATE, BAD = llmnet.APIConnectionError, llmnet.APITimeoutError, llmnet.InvalidResponseError
CUT = llmnet.IncompleteStreamError
STREAM = (True,)
SHORT = llmnet.Timeout(connect=10, response=10, idle=10, total=0.5)


def for_ever(number, name, script, error, *, fields=None, **expect):
    """A fault that comes again and again."""
    return Row(
        number=number, phase="body", fault=name, script=(fault(script),) * 9, fields=fields or {},
        expect=Expect(error=error, **expect),
    )  # fmt: skip


def midway(number, name, script, error, *, fields=None, **expect):
    """A stream that has begun is never sent again, and what had arrived is kept."""
    return Row(
        number=number, phase="stream", fault=name, script=(fault(script), "Hi"), stream=STREAM, fields=fields or {},
        expect=Expect(error=error, sent=1, **expect),
    )  # fmt: skip


def first(number, name, script, waits, **more):
    """Nothing was handed out: the stream is sent again."""
    return Row(
        number=number, phase="stream", fault=name, script=(fault(script), "Hi"), stream=STREAM,
        expect=Expect(text="Hi", sent=2, waits=waits), **more,
    )  # fmt: skip


def begun(seen):
    return seen.text and "one two three four five six".startswith(seen.text)


ROWS = [
    for_ever(82, "short", "short-body", LOST, phase="body", sent=4, waits=THRICE, billed=True),
    for_ever(83, "chunks cut", "cut-chunks", LOST, phase="body", sent=4, waits=THRICE, billed=True),
    for_ever(83, "RST", "reset-in-body", LOST, phase="body", sent=4, waits=THRICE, billed=True),
    for_ever(84, "bad chunk size", "bad-chunk", LOST, sent=2, waits=ONCE),
    for_ever(85, "stall", "stall-in-body", LATE, phase="idle", fields={"timeout": LOW}, sent=4, waits=THRICE),
    for_ever(86, "drip", "dripped-body", LATE, phase="total", fields={"timeout": SHORT}, sent=1),
    for_ever(88, "no gzip", "not-gzip", BAD),
    for_ever(88, "unknown coding", "unknown-coding", BAD, sent=1),
    for_ever(90, "no JSON", "not-json", BAD),
    first(92, "nothing", "stream-silent", ONCE, fields={"timeout": LOW}),
    midway(93, "only pings", "stream-pings", LATE, phase="total", fields={"timeout": SHORT}),
    first(94, "RST before the first event", "stream-reset-first", ONCE),
    midway(95, "RST", "stream-reset", CUT, holds=begun, billed=True),
    midway(96, "FIN before its end", "stream-eof", CUT, holds=begun, billed=True),
    midway(97, "clean end before its end", "stream-without-end", CUT, holds=begun, billed=True),
    first(98, "error first", "stream-error-first", equal(1)),
    midway(99, "error after content", "stream-error", llmnet.ServerError, status=500, holds=begun, billed=True),
    midway(101, "idle", "stream-stall", LATE, phase="idle", fields={"timeout": LOW}, holds=begun, billed=True),
    midway(103, "endless line", "stream-endless-line", BAD),
    Row(
        number=104, phase="stream", fault="split at every byte", script=(fault("stream-split"),), stream=STREAM,
        expect=Expect(text="Grüße, 世界 🌍!", sent=1),
    ),
    midway(106, "malformed JSON", "stream-bad-json", BAD),
]  # fmt: skip
