"""When a batch ends because its rows are refused: what is told of it is what has ended it."""

import llmnet
from llmnet.cli.batch import FIRST, LATER, UntilRefused

REFUSED = llmnet.BatchFailure(index=0, error=llmnet.AuthenticationError("no"))
FINE = llmnet.BatchSuccess(index=0, response=llmnet.ChatResponse())


def test_what_was_under_way_when_it_ended_changes_nothing():
    until = UntilRefused([{}] * 1000)
    for _ in range(FIRST):
        until.add(REFUSED)
    for late in (FINE, REFUSED):
        until.add(late)
    assert until.reason.startswith(f"the first {FIRST} rows were all refused")


def test_later_on_it_takes_more():
    until = UntilRefused([{}] * 1000)
    until.add(FINE)
    for _ in range(LATER):
        assert until.reason == ""
        until.add(REFUSED)
    assert until.reason.startswith(f"{LATER} rows in a row were refused")
