"""What a hook hears, checked: the grammar of a call's events, and that counters and log lines say the same."""

import collections
import logging

import llmnet
from llmnet import AttemptFailed, AttemptStarted, CallFinished, CallQueued, FirstToken, Throttled


class Heard(list):
    """A hook that keeps all events, and a front whose clients have it."""

    def __init__(self, front=None):
        super().__init__()
        self._front = front

    def __call__(self, event):
        self.append(event)

    def __getattr__(self, name):
        return getattr(self._front, name)

    def client(self, **fields):
        return self._front.client(**{"on_event": self, **fields})

    def calls(self):
        """The events of each call, in the order in which they began."""
        calls = collections.defaultdict(list)
        for event in list(self):
            calls[event.call].append(event)
        return list(calls.values())

    def ended(self):
        """The last event of each call, whose events all follow the grammar."""
        return [checked(own) for own in self.calls()]


def checked(own):
    """Queued, then each attempt with its end, the first token where it belongs, and nothing after the finish."""
    kinds, last = [type(event) for event in own], own[-1]
    assert kinds[0] is CallQueued
    assert kinds[-1] is CallFinished
    assert kinds.count(CallQueued) == kinds.count(CallFinished) == 1
    assert kinds.count(FirstToken) == (last.meta.time_to_first_token is not None) <= last.stream
    assert len({(e.call, e.provider, e.host, e.model, e.stream) for e in own}) == 1
    assert [event.at for event in own] == sorted(event.at for event in own)
    assert last.meta.elapsed == last.at > 0
    assert last.meta.queued <= next((event.at for event in own if type(event) is AttemptStarted), 0)
    in_attempts(own, last)
    return last


def in_attempts(own, last):
    """Attempts are numbered from 1, each ends before the next begins, and each is the one in `meta.attempts`."""
    count, failed = len(last.attempts), [event for event in own if isinstance(event, AttemptFailed)]
    steps = [(event.number, event in failed) for event in own if isinstance(event, AttemptStarted | AttemptFailed)]
    both = [(number, end) for number in range(1, count + 1) for end in (False, True)]
    assert steps == (both[:-1] if last.outcome == "ok" else both)
    same([event.attempt for event in failed], last.attempts[: len(failed)])
    same(last.attempts, last.meta.attempts[-count:] if count else [])
    assert all(isinstance(event, Throttled) == event.attempt.throttled for event in failed)
    assert [event.retried for event in failed[:-1]] == [True] * len(failed[:-1])
    assert all(
        (attempt.cause is None) == (attempt is last.attempts[-1] and last.outcome == "ok") for attempt in last.attempts
    )


def same(some, others):
    """Whether they are the very same objects."""
    assert list(map(id, some)) == list(map(id, others))


def agrees(stats, ended):
    """The counters say what the events have said."""
    counted = dict.fromkeys({entry.outcome for entry in stats}, 0)
    for entry in stats:
        counted[entry.outcome] += entry.calls
        assert entry.calls == entry.duration.count
    assert counted == collections.Counter(event.outcome for event in ended)
    assert stats.calls == len(ended)
    attempts = [attempt for event in ended for attempt in event.attempts]
    assert sum(entry.requests for entry in stats) == sum(attempt.sent for attempt in attempts)
    assert sum(entry.throttles for entry in stats) == sum(attempt.throttled for attempt in attempts)
    assert sum(entry.retries for entry in stats) == len(attempts) - sum(bool(event.attempts) for event in ended)
    firsts = sum(event.meta.time_to_first_token is not None for event in ended)
    assert sum(entry.time_to_first_token.count for entry in stats) == firsts


def lines(caplog, level):
    """The lines of our own logger, of one level."""
    return [r.getMessage() for r in caplog.records if r.name == "llmnet" and r.levelno == level]


def written(caplog, ended):
    """One line a call and at most one a wait at INFO, one an attempt at DEBUG, and no others about these calls' servers.

    What a finalizer reports of an earlier test's call may be written in the course of this one.
    """
    hosts = [f" at {event.host} " for event in ended]
    said = [r for r in caplog.records if r.name == "llmnet" and any(host in r.getMessage() for host in hosts)]
    info, debug = ([r.getMessage() for r in said if r.levelno == level] for level in (logging.INFO, logging.DEBUG))
    waits = [line for line in info if " again in " in line or " held for " in line]
    info = [line for line in info if line not in waits]
    calls = lambda lines: sorted(int(line.split()[1]) for line in lines)  # noqa: E731
    assert calls(info) == sorted(event.call for event in ended)
    assert calls(debug) == sorted(event.call for event in ended for _ in event.attempts)
    assert len(said) == len(info) + len(debug) + len(waits)
    assert len(waits) <= sum(bool(attempt.wait) for event in ended for attempt in event.attempts) + len(ended)
    for event in ended:
        assert sum(f"call {event.call} " in line and f" outcome={event.outcome} " in line for line in info) == 1


QUICK = llmnet.RetryPolicy(max_retries=2, base_delay=0.001, max_delay=0.002)
