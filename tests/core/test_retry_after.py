"""What servers say about waiting: every spelling on record, and nothing that makes the readers raise."""

import json
import math
import os
import pathlib
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.paths import SHARED

from llmnet.core import retry
from llmnet.core.http import Headers
from llmnet.core.retry_after import LONGEST, hint_in_body, parse_reset, parse_retry_after

CASES = pathlib.Path(os.environ.get("LLMNET_CASES") or SHARED / "cases")
NOW = 1696004797.0  # Fri, 29 Sep 2023 16:26:37 GMT
DATE = "Fri, 29 Sep 2023 16:26:37 GMT"

# -- Retry-After --------------------------------------------------------------------------------------------------------

SECONDS = {
    "20": 20.0, " 20\t": 20.0, "1.5": 1.5, ".5": 0.5, "5.": 5.0, "+5": 5.0, "1e1": 10.0, "1E1": 10.0, "007": 7.0, "0": 0.0,
    "0.0": 0.0, "2147483648": LONGEST, "20".rjust(128, "0"): 20.0,
}  # fmt: skip
UNUSABLE = [
    "", " ", "-1", "-0", "-0.5", "nan", "inf", "-inf", "infinity", "1e400", "1e-", "9" * 40, "9" * 5000, "abc",
    "1_000", "1,5", "5s", "²", "٣", "１", "0x10", "--1", "+", ".", "e5", "20 GMT", "2023-09-29T16:26:57Z", "REDACTED",
    "Fri, 31 Feb 2023 16:26:57 GMT", "Fri, 29 Sep 2023 25:26:57 GMT", "Fri, 29 Sep 2023 16:26:61 GMT", "Fri, 29 Sep 2023", ",", "a, b c d e:f:g h",
    "Fri, 29 Foo 2023 16:26:57 GMT", "Fri, 29 Sep 0000 16:26:57 GMT", "Fri, 29 Sep 2023 16:26:57 +02", "Fri, 29 Sep 99999999999999999999 16:26:57 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
    "20".rjust(129, "0"), "Fri Sep 29 16:26:57", "Fri, 029 Sep 2023 16:26:57 GMT", "Fri, 29 Sep 2023 6:26:57 GMT",
    "Fri, 29 Sep 2023 016:26:57 GMT", "Fri, 29 Sep 023 16:26:57 GMT", "Fri, 29 Sep 02023 16:26:57 GMT",
    "Fri, 29 Sep 2023 16:26:57 x0200", "Fri, 29 Sep 2023 16:26:57 +020", "Fri, 29 Sep 2023 16:26:57 +02000",
    "Fri, 29 Sep 2023 16:26:57 PST", "Fri, 29-Sep 2023 16:26:57 GMT", "-29 Sep 2023 16:26:57 GMT",
]  # fmt: skip
DATES = {
    "Fri, 29 Sep 2023 16:26:57 GMT": 20.0,
    "fri, 29 sep 2023 16:26:57 gmt": 20.0,
    "Friday, 29-Sep-23 16:26:57 GMT": 20.0,
    "Fri Sep 29 16:26:57 2023": 20.0,
    "Fri Sep  8 16:26:57 2023": 0.0,
    "Fri, 29 Sep 2023 16:26:57": 20.0,
    "Fri, 29 Sep 2023 16:26:57 UTC": 20.0,
    "Fri, 29 Sep 2023 16:26:57 -0000": 20.0,
    "Fri, 29 Sep 2023 18:26:57 +0200": 20.0,
    "29 Sep 2023 16:26:57 GMT": 20.0,
    "Fri, 29 Sep 2023 16:26:37 GMT": 0.0,
    "Fri, 29 Sep 2023 16:26:36 GMT": 0.0,
    "Fri, 29 Sep 2023 11:56:57 -0430": 20.0,
    "Fri, 29 Sep 2023 16:26:60 GMT": 22.0,
    "Sunday, 06-Nov-94 08:49:37 GMT": 0.0,
    "Thursday, 01-Jan-70 00:00:00 GMT": 0.0,
    "Tuesday, 31-Dec-69 23:59:59 GMT": 3155759999 - NOW,
    "Fri Sep 29 18:26:57 2023 +0200": 20.0,
}


@pytest.mark.parametrize(("value", "seconds"), SECONDS.items())
def test_seconds(value, seconds):
    assert parse_retry_after({"Retry-After": value}, NOW) == seconds


@pytest.mark.parametrize("value", UNUSABLE)
def test_an_unusable_value_counts_as_absent(value):
    assert parse_retry_after({"Retry-After": value}, NOW) is None
    assert parse_retry_after({"Retry-After-Ms": value, "Retry-After": "7"}, NOW) == 7.0
    assert parse_retry_after({"Retry-After-Ms": "7000", "Retry-After": value}, NOW) == 7.0


def test_what_does_not_fit_into_31_bits_is_no_wait():
    assert parse_retry_after({"Retry-After": "2147483649"}, NOW) is None
    assert parse_retry_after({"Retry-After-Ms": "2147483649"}, NOW) == 2147483.649


@pytest.mark.parametrize(("value", "seconds"), DATES.items())
def test_dates(value, seconds):
    assert parse_retry_after({"retry-after": value}, NOW) == seconds


DATE_FORMATS = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]


@pytest.mark.parametrize("form", DATE_FORMATS)
@given(moment=st.integers(7, 3155759999))  # to 2069: there the years of two digits turn back
def test_every_date_in_every_form(form, moment):
    dates = [
        time.strftime(form.replace("%e", f"{gone.tm_mday:2}"), gone) for gone in map(time.gmtime, (moment, moment - 7))
    ]
    assert parse_retry_after({"Retry-After": dates[0], "Date": dates[1]}, NOW) == 7.0


@pytest.mark.parametrize("zone", ["Asia/Jerusalem", "America/New_York"])
def test_dates_do_not_depend_on_the_local_zone(zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    getattr(time, "tzset", lambda: None)()
    try:
        assert [parse_retry_after({"Retry-After": value}, NOW) for value in DATES] == list(DATES.values())
    finally:
        monkeypatch.undo()
        getattr(time, "tzset", lambda: None)()


@pytest.mark.parametrize("skew", [-86400.0, 0.0, 86400.0])
def test_a_date_is_measured_against_the_response_and_not_our_clock(skew):
    headers = {"Retry-After": "Fri, 29 Sep 2023 16:26:57 GMT", "DATE": DATE}
    assert parse_retry_after(headers, NOW + skew) == 20.0


@pytest.mark.parametrize("date", ["", "yesterday", "20"])
def test_an_unreadable_date_header_is_none(date):
    assert parse_retry_after({"Retry-After": "Fri, 29 Sep 2023 16:26:57 GMT", "Date": date}, NOW) == 20.0


PAIRS = [
    ({"retry-after-ms": "1500"}, 1.5),
    ({"Retry-After-MS": "1.5"}, 0.0015),
    ({"x-ms-retry-after-ms": "1000"}, 1.0),
    ({"retry-after-ms": "1500", "retry-after": "20"}, 1.5),
    ({"retry-after-ms": "30000", "retry-after": "20"}, 30.0),
    ({"Retry-After": "1", "Retry-After-Ms": "0"}, 1.0),  # recorded from Azure (docs/vendors.md, Retry hints)
    ({"retry-after-ms": "0", "retry-after": "0"}, 0.0),
    ({"retry-after-ms": "0"}, 0.0),
    ({"retry-after-ms": "0", "retry-after": "soon"}, 0.0),
    ({"x-should-retry": "true", "x-ratelimit-reset-requests": "1s"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("headers", "seconds"), PAIRS)
def test_which_header_counts(headers, seconds):
    assert parse_retry_after(headers, NOW) == seconds
    assert parse_retry_after(Headers(headers), NOW) == seconds


# -- bodies and reset headers -------------------------------------------------------------------------------------------

BODIES = [
    ({"error": {"details": [{"@type": "Help"}, {"@type": "RetryInfo", "retryDelay": "34s"}]}}, 34.0),
    ([{"error": {"details": [{"retryDelay": "34.074824224s"}], "message": "Please retry in 1s."}}], 34.074824224),
    ({"error": {"details": [{"retryDelay": "-1s"}, {"retryDelay": 5}], "message": "Please retry in 9.5s."}}, 9.5),
    ({"error": {"message": "Rate limit reached for requests. Please try again in 59.977s. Visit …"}}, 59.977),
    ({"error": {"message": "Please retry after 33 seconds."}}, 33.0),
    ({"error": {"message": "Please try again in 6ms."}}, 0.006),
    ({"error": {"message": "Please try again in 1h8m25.745s"}}, 4105.745),
    ({"error": {"message": "Try again in 1 minute 30 seconds, please"}}, 90.0),
    ({"error": {"message": "Retry after 1 DAY."}}, 86400.0),
    ({"error": "Please retry after 2 seconds"}, 2.0),
    ({"message": "please retry after 2 sec"}, 2.0),
    ("Try again in 20s", 20.0),
    ({"error": {"message": "Please try again in 5 months"}}, None),
    ({"error": {"message": "Please try again later"}}, None),
    ({"error": {"message": "Please try again in ١s, in 5ſ"}}, None),
    ({"error": {"details": {"retryDelay": "34s"}, "message": None}}, None),
    ({"error": {"details": ["34s", None]}}, None),
    ({"error": "Retry after 0s, or retry after 9s"}, 0.0),
    ("Please retry in " + "20s".rjust(127, "0"), 20.0),
    ("Please retry in " + "20s".rjust(128, "0"), None),  # it may go on where no one looks
    ("try again in 5s".rjust(16 * 1024), 5.0),
    ("try again in 5s".rjust(16 * 1024 + 1), None),
    ([{"error": "Retry after 3s"}, {"error": "Retry after 9s"}], 3.0),
    ({"error": None}, None),
    ([], None),
    ([[]], None),
    (None, None),
    (7, None),
]


@pytest.mark.parametrize(("payload", "seconds"), BODIES)
def test_hints_in_bodies(payload, seconds):
    assert hint_in_body(payload) == (None if seconds is None else pytest.approx(seconds))


RESETS = {
    "6ms": 0.006, "0s": 0.0, "8.64s": 8.64, "1m13.588s": 73.588, "14m24s": 864.0, "1h8m25.745s": 4105.745, "20us": 2e-5,
    "20µs": 2e-5, "1d2h": 93600.0, "7": 7.0, "0": 0.0, "0.5": 0.5, "500": 500.0, "2023-09-29T16:26:57Z": 20.0,
    "2023-09-29T16:26:57.5Z": 20.5, "2023-09-29T18:26:57+02:00": 20.0, "2023-09-29T16:26:57": 20.0,
    "2023-09-29T16:26:17Z": 0.0, "1696004817000": 20.0, "1696004817": 20.0, "1696004790000": 0.0, "-1": None, "-5s": None,
    "": None, "s": None, "1x": None, "1.s": None, "REDACTED": None, "2023-09-29T…-XXX": None, "nan": None, "inf": None,
    "9" * 400: None, "9" * 400 + "s": None, "1e400": None, "2023-13-29T16:26:57Z": None, "9999-12-31T23:59:59Z": None,
    "0001-01-01T00:00:00+23:59": 0.0, "5ſ": None, "٣s": None, ".5s": None, "0.5s": 0.5, "5 s": 5.0, "5  s": None,
}  # fmt: skip
UNITS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "millisecond": 1e-3, "s": 1, "sec": 1, "second": 1,
    "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600, "d": 86400, "day": 86400,
}  # fmt: skip


@pytest.mark.parametrize(("value", "seconds"), RESETS.items())
def test_reset_headers(value, seconds):
    assert parse_reset(value, NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit(unit):
    for value in (f"3{unit}", f"3 {unit.upper()}", f"1{unit} 2{unit}"):
        assert parse_reset(value, NOW) == pytest.approx(3 * UNITS[unit])
    assert hint_in_body(f"Please retry in 3 {unit}.") == pytest.approx(3 * UNITS[unit])


@pytest.mark.parametrize(
    ("value", "now", "seconds"),
    [
        ("999999999", 0.0, 999999999.0),
        ("1000000000", 1e9 - 5, 5.0),
        ("999999999999", 1e12 - 6, 5.0),
        ("1000000000000", 1e9 - 5, 5.0),
    ],
)
def test_a_number_from_a_thousand_million_is_a_moment_and_from_a_thousand_times_that_in_ms(value, now, seconds):
    assert parse_reset(value, now) == seconds


# -- totality -----------------------------------------------------------------------------------------------------------

WORDS = [
    "Fri",
    ", ",
    "29",
    "-",
    " ",
    "Sep",
    ":",
    "2023",
    "GMT",
    "+",
    "e",
    ".",
    "5",
    "s",
    "m",
    "ms",
    "T",
    "Z",
    "٣",
    "ſ",
    "\0",
]
TEXT = st.text(max_size=30) | st.lists(st.sampled_from(WORDS), max_size=16).map("".join)
ANYTHING = TEXT | st.binary(max_size=20).map(lambda raw: raw.decode("latin-1"))
ADVICE = ANYTHING.map(lambda text: f"Please try again in {text}")
PAYLOADS = st.recursive(
    st.none() | st.integers() | st.floats() | ADVICE | ANYTHING,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "details", "retryDelay", "message"]) | ANYTHING, inner, max_size=3)
    ),
)
CLOCKS = st.floats(0, 4e9) | st.just(NOW) | st.sampled_from([math.nan, math.inf])


def sane(seconds):
    return seconds is None or (type(seconds) is float and 0.0 <= seconds <= LONGEST)


@given(ANYTHING, ANYTHING, ANYTHING, CLOCKS)
@example("Fri, 29 Sep 2023 16:26:57 GMT", "", "", math.nan)
def test_headers_never_raise(after, exact, date, now):
    assert sane(parse_retry_after({"Retry-After": after, "Retry-After-Ms": exact, "Date": date}, now))


@given(ANYTHING, CLOCKS)
def test_resets_never_raise(value, now):
    assert sane(parse_reset(value, now))


@given(PAYLOADS)
def test_bodies_never_raise(payload):
    assert sane(hint_in_body(payload))


# -- cases of other projects --------------------------------------------------------------------------------------------

# Where we differ, on purpose: (case, what is said here and why).
WE_SAY = {
    "Azure/azure-sdk-for-python@0331efb7#104": (0.5, "the ms header wins, as in the vendors' SDKs; azure-core has it the other way"),
    "Azure/azure-sdk-for-python@0331efb7#94": (0.5, "the same, with a Retry-After of 0"),
    "openai/openai-python@e43b4224#6": (121.0, "the parser reports; RetryPolicy.max_retry_after refuses what is beyond 120 s"),
    "openai/openai-python@e43b4224#13": (121.0, "the same, as a date"),
    "urllib3/urllib3@6a8536b6#56": (3600.0, "urllib3 was told to disrespect the header; the parser has no such option"),
    "urllib3/urllib3@6a8536b6#63": (3600.0, "the same, as a date"),
    "urllib3/urllib3@6a8536b6#79": (21601.0, "no cap: a longer wait is refused by the policy, never shortened"),
    "urllib3/urllib3@6a8536b6#80": (2.0, "the same, with a cap of 1 s"),
}  # fmt: skip
# Upstream backs off in its own way at 0 and for dates that have passed; we say 0.0 and the policy backs off.
HINTS = {"delay", "backoff", "invalid", "no_header_delay"}


def shared_cases():
    file = CASES / "retry_after_cases.json"
    if not file.is_file():
        return [
            pytest.param(
                None, marks=pytest.mark.skip(reason=f"no {file}; set LLMNET_CASES to the folder that holds it")
            )
        ]
    cases = json.loads(file.read_text())["cases"]
    return [pytest.param(case, id=case["id"]) for case in cases if case["expected"]["kind"] in HINTS]


@pytest.mark.parametrize("case", shared_cases())
def test_cases_of_other_projects(case):
    found = parse_retry_after(case["headers"], case["now"] or NOW)
    if case["id"] in WE_SAY:
        assert found == WE_SAY[case["id"]][0]
    elif case["expected"]["kind"] == "delay":
        assert found == pytest.approx(case["expected"]["seconds"])
    else:
        assert not found


def test_it_is_offered_beside_the_policy_too():
    """Programs outside take it from there."""
    assert retry.parse_retry_after is parse_retry_after
