"""The figures and verdicts of `docs/timeouts-and-retries.md` are those of the code."""

import re

import pytest
from support.pages import PAGES, rows, ticked

import llmnet

PAGE = PAGES["timeouts-and-retries.md"]
POLICY = llmnet.RetryPolicy()
VERDICTS = rows(PAGE, "Which failures are tried again")
PHASES = ("queue", "connect", "response", "idle", "total")


def numbers(text):
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def test_bounds_are_those_of_the_code():
    listed = {ticked(name)[0]: (*numbers(default), None)[0] for name, default, *_ in rows(PAGE, "Bounds")}
    assert listed == {name: getattr(llmnet.Timeout(), name) for name in PHASES}


def errors(cell):
    """The errors that a cell names, one for each of its phases."""
    words = ticked(cell)
    phases = [word for word in words if word in PHASES] or [None]
    return [getattr(llmnet, word)(phase=phase) for word in words if word.endswith("Error") for phase in phases]


@pytest.mark.parametrize(("cell", "verdict"), VERDICTS, ids=[cell for cell, _ in VERDICTS])
def test_a_verdict_is_that_of_the_policy(cell, verdict):
    assert [POLICY.repeats(error) for error in errors(cell)] == [verdict.startswith("yes")] * len(errors(cell))


def test_every_error_is_named():
    named = {type(error).__name__ for cell, _ in VERDICTS for error in errors(cell)}
    assert named == {name for name in llmnet.__all__ if name.endswith("Error")} - {"LLMNetError"}


def test_statuses_are_those_of_the_code():
    assert set(numbers(re.search(r"^The statuses are (.*?);", PAGE, re.MULTILINE)[1])) == POLICY.retry_statuses


def test_waits_are_those_of_the_code():
    table = rows(PAGE, "How long it waits")
    assert [numbers(ceiling)[0] for _, ceiling in table] == [POLICY.backoff(n) for n in range(1, 6)]
    assert POLICY.backoff(5) == POLICY.backoff(50), "and later"
    most = sum(POLICY.backoff(n) for n in range(1, POLICY.max_retries + 1))
    assert f"that is {most:g} s at most" in PAGE
    spans = re.search(r"^- It has named none: .*?, (.*) up to", PAGE, re.MULTILINE)[1]
    assert numbers(spans) == [POLICY.throttle_backoff(n) for n in range(1, 4)]
    assert f"up to {POLICY.throttle_backoff(50):g} s" in PAGE


def test_figures_are_those_of_the_code():
    budget = POLICY.budget
    assert f"**budget** of {budget.capacity:g} tokens. A retry draws {budget.retry_cost:g}," in PAGE
    assert f"`max_retry_after` ({POLICY.max_retry_after:g} s)" in PAGE
    assert f"`max_throttle_wait` ({POLICY.max_throttle_wait:g} s)" in PAGE
