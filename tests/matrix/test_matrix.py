"""The fault matrix (docs/resilience.md, Fault matrix) as one table: every row on each front it applies to, over real sockets."""

import pathlib
import re

import pytest
from matrix import (
    rows_body,
    rows_cancel,
    rows_clock,
    rows_connect,
    rows_crowd,
    rows_dial,
    rows_h2,
    rows_head,
    rows_payload,
    rows_pool,
    rows_process,
    rows_root,
    rows_status,
    rows_stream,
    rows_throttle,
    rows_write,
)
from matrix.case import check, run

from llmnet.testing import FAULTS, fault

ROWS = [
    row
    for table in (
        rows_connect,
        rows_dial,
        rows_root,
        rows_head,
        rows_status,
        rows_throttle,
        rows_body,
        rows_payload,
        rows_stream,
        rows_h2,
        rows_pool,
        rows_write,
        rows_cancel,
        rows_clock,
        rows_crowd,
        rows_process,
    )
    for row in table.ROWS
]

# Rows that are not run, and why.
LEFT_OUT = {
    124: "trio is not built",
    131: "belongs to batches",
    132: "belongs to batches",
    133: "belongs to batches",
    134: "no circuit breaker is built",
    135: "no circuit breaker is built",
}

# Rows of whole processes and crowds, which take their time.
SLOW = (8, 35, 68, 91, 112, 117, 119, 121, 129)
# Streams, pools, cancelling and crowds.
THREADED = {row.number for table in (rows_stream, rows_pool, rows_cancel, rows_crowd) for row in table.ROWS}


def cases():
    for row in ROWS:
        for front in row.fronts:
            for stream in row.stream:
                name = f"{row.number}-{row.fault.replace(' ', '_')}-{'stream' if stream else 'chat'}-{front}"
                marks = [pytest.mark.matrix(row.number, front), *([pytest.mark.slow] if row.number in SLOW else [])]
                marks += [pytest.mark.threads] if row.number in THREADED else []
                yield pytest.param(row, stream, front, id=name, marks=marks)


@pytest.mark.parametrize(("row", "stream", "front"), list(cases()), indirect=["front"])
def test_row(server, front, row, stream):
    if row.play is not None:
        row.play(front, server)
    else:
        check(run(front, server, row, stream=stream), row.expect)


def test_numbers_are_of_the_matrix():
    assert {row.number for row in ROWS} <= set(range(1, 137)) - set(LEFT_OUT)


def test_the_page_has_all_rows():
    """Their numbers, and the phases by which they are known here."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "resilience.md").read_text().split("## Fault matrix\n")[1]
    listed = {int(number): phase for number, phase in re.findall(r"^\| (\d+) \| (\w+) \|", page, re.MULTILINE)}
    phases = {number: {row.phase for row in ROWS if row.number == number} for number in {row.number for row in ROWS}}
    assert list(listed) == list(range(1, 137))
    assert {number: listed[number] for number in phases if listed[number] not in phases[number]} == {}


def test_an_unknown_fault_names_its_neighbours():
    with pytest.raises(KeyError, match="reset-before-head"):
        fault("reset-before-hed")
    assert fault("429", text="x").text == "x"
    assert FAULTS["429"].text is None
