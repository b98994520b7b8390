"""Counters: exact between threads, whole at any moment, and the text that Prometheus scrapes, read by a strict parser."""

import contextlib
import math
import re
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.events_heard import QUICK
from support.inside import common_of, inner, lock_of
from support.live import WORDS, Work, at
from support.subprocesses import answered, in_child

import llmnet
from llmnet.core.http import Attempt, Meta
from llmnet.telemetry.stats import DURATIONS, FIRST_TOKENS, MAX_ROWS, OTHER, Counters, Histogram
from llmnet.testing import Reply, fault

pytestmark = pytest.mark.threads

INF = math.inf


def finished(model="m", provider="fake", outcome="ok", elapsed=0.5, first=None, attempts=1, tokens=3):
    """The last event of a call."""
    made = [Attempt(status=200, sent=True, throttled=n > 0) for n in range(attempts)]
    meta = Meta(attempts=made, elapsed=elapsed, time_to_first_token=first)
    usage = llmnet.Usage(input_tokens=tokens, output_tokens=2 * tokens)
    return llmnet.CallFinished(1, provider, "h", model, False, elapsed, outcome, meta, made, usage)


# -- histograms ---------------------------------------------------------------------------------------------------------


def test_the_bounds_are_those_of_the_conventions():
    """OpenTelemetry, semantic conventions for generative AI, metrics."""
    assert tuple(round(0.01 * 2**n, 2) for n in range(14)) == DURATIONS
    assert FIRST_TOKENS == (
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    )  # fmt: skip


seconds = st.floats(0, 200) | st.sampled_from(DURATIONS)


@given(st.lists(seconds, min_size=1, max_size=30), st.floats(0, 1) | st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_a_quantile_is_the_nearest_bound_above(values, q):
    counters = Counters()
    for value in values:
        counters.count(finished(elapsed=value, first=value))
    (entry,) = counters.snapshot()
    for histogram in (entry.duration, entry.time_to_first_token):
        enough = [b for b in (*histogram.bounds, INF) if sum(v <= b for v in values) >= max(q * len(values), 1)]
        assert histogram.quantile(q) == enough[0]
        assert histogram.total == pytest.approx(sum(values))


def test_a_quantile_of_nothing_is_none_and_one_beyond_all_is_refused():
    empty = Histogram(bounds=DURATIONS, counts=(0,) * 15)
    assert empty.quantile(0.5) is None
    for wrong in (-0.1, 95, math.nan):
        with pytest.raises(llmnet.ConfigurationError, match=re.escape(f"not {wrong!r}")):
            empty.quantile(wrong)


# -- Prometheus ---------------------------------------------------------------------------------------------------------

NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SAMPLE = re.compile(rf"({NAME})\{{(.*)\}} (\S+)")
META = re.compile(rf"# (HELP|TYPE) ({NAME}) (.+)")
SUFFIXES = {"counter": [""], "histogram": ["_bucket", "_sum", "_count"]}


def parsed(text):
    """Read exposition format 0.0.4: {metric: {labels: value}}; each family stands together under its HELP and TYPE."""
    families, metrics = {}, {}
    assert text == "" or text.endswith("\n")
    for line in text.split("\n")[:-1]:
        if meta := META.fullmatch(line):
            word, family, text = meta.groups()
            assert word not in families.setdefault(family, {})
            families[family][word] = text
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        last = list(families)[-1]
        assert name in [last + suffix for suffix in SUFFIXES[families[last]["TYPE"]]]
        assert list(families[last]) == ["HELP", "TYPE"]
        key = frozenset((label, unescaped(text)) for label, text in pairs(labels))
        assert key not in metrics.setdefault(name, {})
        metrics[name][key] = float(value)
    return metrics


def pairs(labels):
    found = PAIR.findall(labels)
    assert "".join(match.group() for match in PAIR.finditer(labels)) == labels
    assert len(dict(found)) == len(found)
    return found


def unescaped(text):
    return re.sub(r"\\(.)", lambda escape: {"n": "\n"}.get(escape[1], escape[1]), text)


odd = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["", "\\", '"', "\n", "\\n", 'a"},b="', "a\\", "# HELP x", "模型", "\u2028", "a\r\nb 1"]
)


@settings(max_examples=40)
@given(
    st.lists(st.builds(finished, odd, odd, st.sampled_from(["ok", "error"]), seconds, st.none() | seconds), max_size=9)
)
def test_the_text_says_what_was_counted_whatever_a_model_is_called(events):
    counters = Counters()
    for event in events:
        counters.count(event)
    stats = counters.snapshot()
    metrics = parsed(stats.prometheus())
    assert len(stats) == len(metrics.get("llmnet_calls_total", {}))
    for entry in stats:
        key = frozenset({"provider": entry.provider, "model": entry.model, "outcome": entry.outcome}.items())
        for name in ("calls", "requests", "retries", "throttles", "input_tokens", "output_tokens"):
            assert metrics[f"llmnet_{name}_total"][key] == getattr(entry, name)
        in_buckets(metrics, "llmnet_call_duration_seconds", key, entry.duration)
        in_buckets(metrics, "llmnet_time_to_first_token_seconds", key, entry.time_to_first_token)


def in_buckets(metrics, name, key, histogram):
    """Buckets add up: each holds all below it, the last one all."""
    counts = [metrics[f"{name}_bucket"][key | {("le", le)}] for le in (*map(str, histogram.bounds), "+Inf")]
    assert counts == [sum(histogram.counts[: n + 1]) for n in range(len(histogram.counts))]
    assert counts[-1] == metrics[f"{name}_count"][key] == histogram.count
    assert metrics[f"{name}_sum"][key] == histogram.total


def counted(events):
    counters = Counters()
    for event in events:
        counters.count(event)
    return counters.snapshot()


def test_a_name_of_any_length_is_no_label():
    counters = Counters()
    for model in ("m" * 200, "m" * 201, "m" * 10_000_000):
        counters.count(finished(model))
    stats = counters.snapshot()
    assert [(entry.model, entry.calls) for entry in stats] == [("m" * 200, 1), (OTHER, 2)]
    assert len(stats.prometheus()) < 100_000


def test_models_beyond_a_thousand_entries_have_one_in_common():
    many = [finished(f"m{n:04}") for n in range(MAX_ROWS)]
    more = [finished(f"x{n}", outcome="error" if n % 2 else "ok", attempts=2) for n in range(4 * MAX_ROWS)]
    stats = counted([*many, *more, finished("m0000")])
    rest = [(entry.provider, entry.outcome, entry.calls, entry.retries) for entry in stats if entry.model == OTHER]
    assert rest == [("fake", "error", 2 * MAX_ROWS, 2 * MAX_ROWS), ("fake", "ok", 2 * MAX_ROWS, 2 * MAX_ROWS)]
    assert len(stats) == MAX_ROWS + 2
    assert stats[0].calls == 2  # a model that has an entry keeps it
    assert stats.calls == 5 * MAX_ROWS + 1


def test_the_text_grows_no_more_with_the_models():
    text, longer = (counted(finished(f"m{n:05}") for n in range(times * MAX_ROWS)).prometheus() for times in (1, 3))
    assert len(longer) < 1.01 * len(text) < 5_000 * MAX_ROWS


def test_nothing_counted_is_no_text():
    assert Counters().snapshot().prometheus() == ""


# -- counting -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def _hasty():
    """Threads that take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty")
def test_no_count_is_lost_between_threads_and_each_snapshot_is_whole():
    counters, start = Counters(), threading.Barrier(9)

    def count():
        start.wait()
        for n in range(2000):
            counters.count(finished(f"m{n % 3}", first=0.02, attempts=2))

    works = [Work(count) for _ in range(8)]
    start.wait()
    while any(work.is_alive() for work in works):
        whole(counters.snapshot())
    for work in works:
        work.result()
    assert [entry.calls for entry in whole(counters.snapshot())] == [5336, 5336, 5328]


def whole(stats):
    """All that was counted of a call was counted at once."""
    for entry in stats:
        assert entry.duration.count == entry.time_to_first_token.count == entry.retries == entry.calls
        assert entry.requests == 2 * entry.throttles == 2 * entry.calls
        assert entry.output_tokens == 2 * entry.input_tokens == 6 * entry.calls
        assert entry.duration.total == pytest.approx(0.5 * entry.calls)
    return stats


def test_a_finalizer_may_count_on_the_thread_that_counts():
    def within():
        counters = Counters()
        with lock_of(counters):
            counters.count(finished())
            return counters.snapshot().calls

    assert Work(within).result() == 1


def test_a_forked_child_counts_although_its_parent_was_counting(front, server):
    with front.client(**at(server)) as client:
        client.chat("hi")
        asked, counters = inner(client), common_of(client).counters
        held, done = threading.Event(), threading.Event()

        def hold():
            with lock_of(counters):
                held.set()
                done.wait()

        work = Work(hold)
        held.wait()
        child = in_child(lambda: (answered(asked.chat("child")).content, asked.stats.calls))
        done.set()
        work.result()
        assert child.result() == "('child', 2)"
        assert client.stats.calls == 1


# -- what a client counts -----------------------------------------------------------------------------------------------

FAULTS = [
    "Hi", 500, fault("429-zero"), 529, "Hi", fault("cut-chunks"), "Hi",
    400, 401, fault("html-in-200"), fault("error-in-200"), 502, 504, fault("429-quota"), 529, "Hi",
]  # fmt: skip


def test_the_requests_counted_are_those_that_the_server_has_seen(front, server):
    server.script(*FAULTS)
    made = 0
    with front.client(**at(server, retry=QUICK)) as client:
        while server.request_count < len(FAULTS):
            made += 1
            with contextlib.suppress(llmnet.LLMNetError):
                list(client.stream_chat("hi")) if made % 2 else client.chat("hi")
        stats = client.stats
    assert sum(entry.requests for entry in stats) == client.request_count == server.request_count == len(FAULTS)
    assert stats.calls == made
    assert sum(entry.throttles for entry in stats) == 3


def test_what_is_counted_of_a_call(front, server):
    server.script(500, Reply(text=WORDS, usage={"input_tokens": 7, "output_tokens": 5}), 400)
    with front.client(**at(server, retry=QUICK)) as client:
        assert client.stats == ()
        reply = client.chat("hi")
        with pytest.raises(llmnet.BadRequestError):
            client.chat("hi", model="n")
        well, bad = client.stats
    assert (bad.provider, bad.model, bad.outcome, bad.calls, bad.requests) == ("fake", "n", "error", 1, 1)
    assert (well.provider, well.model, well.outcome, well.calls, well.requests) == ("fake", "m", "ok", 1, 2)
    assert (well.retries, well.throttles, well.input_tokens, well.output_tokens) == (1, 0, 7, 5)
    assert (well.duration.total, well.time_to_first_token.count) == (reply.meta.elapsed, 0)


def test_a_call_that_ends_before_its_first_attempt_has_no_retries(front, server):
    def no_key():
        raise KeyError("none")

    with front.client(**at(server, api_key=no_key)) as client:
        with pytest.raises(KeyError):
            client.chat("hi")
        (entry,) = client.stats
    assert (entry.outcome, entry.calls, entry.requests, entry.retries) == ("error", 1, 0, 0)
