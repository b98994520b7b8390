"""Rows 57-81 of the fault matrix: statuses, throttles and what they say."""

from matrix.case import ONCE, THRICE, Expect, Row, equal, told

import llmnet
from llmnet.testing import Reply, fault

BOTH = (False, True)


def throttled(number, name, script, waits, **more):
    replies = (script,) if isinstance(script, str) else script
    return Row(
        number=number, phase="status", fault=name, stream=BOTH, script=(*map(fault, replies), "Hi"),
        expect=Expect(text="Hi", sent=len(replies) + 1, waits=waits, connections=1), **more,
    )  # fmt: skip


def ends(number, name, error, status, script, *, sent=1, waits=(), **more):
    replies = (fault(script) if isinstance(script, str) else Reply.of(script),) * 9
    return Row(
        number=number, phase="status", fault=name, stream=BOTH, script=replies,
        expect=Expect(error=error, status=status, sent=sent, waits=waits, connections=1, billed=False), **more,
    )  # fmt: skip


ROWS = [
    throttled(57, "429 with seconds", "429-seconds", told(7)),
    throttled(58, "429 with a float", "429-float", told(2.5)),
    throttled(58, "429 with milliseconds", "429-milliseconds", told(1.5)),
    throttled(59, "429 with a date", "429-date", told(7)),
    throttled(60, "429 with a past date", "429-past", equal(1)),
    throttled(60, "429 with zero", "429-zero", equal(1)),
    throttled(61, "429 with garbage", "429-garbage", equal(1)),
    ends(62, "429 until tomorrow", llmnet.RateLimitError, 429, "429-tomorrow"),
    throttled(63, "429 without Retry-After", ("429", "429", "429"), equal(1, 2, 3)),
    ends(64, "spent quota", llmnet.QuotaExceededError, 429, "429-quota"),
    ends(64, "spent credit", llmnet.QuotaExceededError, 429, "429-credit"),
    ends(64, "spent quota in gzip", llmnet.QuotaExceededError, 429, fault("429-quota", gzip=True)),
    throttled(67, "slow_down", "429-slow-down", equal(1)),
    Row(
        number=69, phase="status", fault="429 with an endless body", script=(fault("429-endless"), "Hi"),
        expect=Expect(text="Hi", sent=2, waits=equal(1), connections=2),
    ),
    ends(70, "502 html", llmnet.ServerError, 502, "502-html", sent=4, waits=THRICE),
    ends(71, "500", llmnet.ServerError, 500, 500, sent=4, waits=THRICE),
    ends(71, "500 that forbids it", llmnet.ServerError, 500, "500-final"),
    throttled(72, "529", "529", equal(1)),
    *(
        ends(73, f"{status}", error, status, status, sent=4, waits=THRICE)
        for status, error in ((408, llmnet.APIStatusError), (409, llmnet.ConflictError), (425, llmnet.APIStatusError))
    ),
    ends(74, "too long a context", llmnet.ContextLengthError, 400, "400-context"),
    *(
        ends(74, f"{status}", error, status, status)
        for status, error in (
            (401, llmnet.AuthenticationError), (402, llmnet.QuotaExceededError), (403, llmnet.PermissionDeniedError),
            (404, llmnet.NotFoundError), (413, llmnet.BadRequestError), (422, llmnet.BadRequestError),
        )
    ),
    Row(
        number=75, phase="status", fault="400 that asks for it", script=(fault("400-again"), "Hi"), stream=BOTH,
        expect=Expect(text="Hi", sent=2, waits=ONCE, connections=1),
    ),
    *(ends(76, f"{n}", llmnet.ServerError, n, n, sent=4, waits=THRICE) for n in (520, 521, 522, 523, 524)),
    ends(76, "403 html", llmnet.PermissionDeniedError, 403, "403-html"),
    ends(77, "5xx for ever", llmnet.ServerError, 504, 504, sent=4, waits=THRICE),
    ends(78, "a list for an error", llmnet.ServerError, 500, "error-list", sent=4, waits=THRICE),
    ends(78, "a deep error", llmnet.ServerError, 500, "error-deep", sent=4, waits=THRICE),
    Row(
        number=79, phase="status", fault="error inside 200", script=(fault("error-in-200"), "Hi"),
        expect=Expect(text="Hi", sent=2, waits=ONCE),
    ),
    Row(
        number=80, phase="status", fault="html with 200", script=(fault("html-in-200"),), stream=BOTH,
        expect=Expect(error=llmnet.InvalidResponseError, sent=1, billed=True),
    ),
    Row(
        number=81, phase="status", fault="empty 200", script=(fault("empty-200"),) * 9,
        expect=Expect(error=llmnet.InvalidResponseError, sent=2, waits=ONCE, billed=True),
    ),
]  # fmt: skip
