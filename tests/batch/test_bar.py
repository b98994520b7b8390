"""What a terminal looks like while a batch runs, and afterwards."""

import json
import re
import signal

import msgspec
import pytest
from support.terminals import COMMAND, RICH, WAYS, Terminal, terminal_of

from llmnet.batch.bar import Line, figure_texts, minutes
from llmnet.batch.rows import BatchProgress

FIGURES = BatchProgress(
    done=293, failed=11, total=400, in_flight=8, throttled=7, elapsed=61.0,
    requests_per_second=49.13, tokens_per_second=189.4, left=2.2, over=False,
)  # fmt: skip


def test_figures_in_words():
    words = "293/400, 11 failed, 0:02 left, 49.1 req/s, 189 tok/s, 8 in flight, 7 throttled"
    assert ", ".join(figure_texts(FIGURES)) == words
    assert len(words) < 80
    clock = [minutes(seconds) for seconds in (None, 0.4, 59.6, 3599, 3600, 90061)]
    assert clock == ["0:00", "0:00", "1:00", "59:59", "1:00:00", "25:01:01"]


LOOP = """
import llmnet
with llmnet.Client("fake:m") as client:
    for n, result in enumerate({batch}):
        {body}
"""
BATCH = 'client.batch(["a"] * 4, progress=True)'
EACH = """
import contextlib, llmnet
with llmnet.Client("fake:m") as client:
    for after in 4, 2, 3:
        with contextlib.suppress(ZeroDivisionError):
            for n, _ in enumerate(client.batch(["a"] * 4, progress=True), 1):
                if n == after == 2:
                    break
                1 / (n - 3 if after == 3 else 1)
        running = "llmnet-bar" in [thread.name for thread in threading.enumerate()]
        print("still running" if running else f"after {after}", file=sys.stderr)
"""


@pytest.mark.parametrize("way", WAYS)
def test_the_bar_is_closed_however_the_loop_ends(way):
    """By itself, by `break`, by an exception."""
    code, _, lines = Terminal(way, EACH).end()
    assert code == 0
    for after in 4, 2, 3:
        last = lines[lines.index(f"after {after}") - 1]
        assert f"{after}/4, " in last
        assert "in all" in last


@pytest.mark.parametrize("way", WAYS)
def test_the_bar_is_closed_when_the_process_ends(way):
    code, _, lines = Terminal(way, LOOP.format(body="1 / 0", batch=f"(kept := {BATCH})")).end()
    assert code == 1
    assert "1/4, " in lines[-2]
    assert "in all" in lines[-2]


@RICH
def test_results_that_are_printed_reach_the_pipe():
    drawn = 'while type(sys.stderr).__name__ != "FileProxy": threading.Event().wait(0.01)'
    code, output, lines = Terminal("rich", LOOP.format(body=f'{drawn}\n        print("result", n)', batch=BATCH)).end()
    assert (code, output) == (0, b"result 0\nresult 1\nresult 2\nresult 3\n")
    assert not any("result" in line for line in lines)


HELD = """
import llmnet
from llmnet.testing import FakeServer, Reply
with FakeServer() as server, llmnet.Client("openai:m", base_url=server.url) as client:
    server.handler = lambda request: Reply(hold=True)
    results = client.batch(["a"] * 4, progress=True, max_concurrent=3)
    next(results)
"""


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_while_nothing_finishes(way):
    terminal = Terminal(way, HELD)
    terminal.read(until=b"3 in flight")  # drawn though there is no result
    terminal.process.send_signal(signal.SIGINT)
    code, _, lines = terminal.end()
    assert any("0/4, 0 failed" in line and "in all" in line for line in lines)
    assert "Traceback (most recent call last):" in lines
    assert lines[-2] == "KeyboardInterrupt"
    assert code in (-signal.SIGINT, 130)


@pytest.mark.parametrize(("way", "columns"), [("plain", 100), ("plain", 40), pytest.param("rich", 100, marks=RICH)])
def test_the_command_on_a_terminal(way, columns, tmp_path):
    rows = tmp_path / "in.jsonl"
    rows.write_text('{"prompt": "Hi"}\n' * 30)
    args = ["batch", str(rows), "-m", "fake:m", "-o", str(tmp_path / "out.jsonl")]
    code, output, lines = Terminal(way, COMMAND, *args, columns=columns).end()
    assert (code, output) == (0, b"")
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 30
    shown_, *below = lines[next(n for n, line in enumerate(lines) if "30/30, 0 failed" in line) :]
    assert "in all" in shown_
    assert len(shown_) < columns
    assert re.search(r"\bok\b.*30", "\n".join(below))
    assert any("latency" in line and "p99" in line for line in below) or columns == 40
    assert any("╭" in line for line in lines) == (way == "rich")


def test_the_bar_is_closed_before_the_summary_of_a_failure(tmp_path):
    rows = tmp_path / "in.jsonl"
    rows.write_text('{"prompt": "Hi"}\n' * 30)
    code, _, lines = Terminal("plain", COMMAND, "batch", str(rows), "-m", "fake:m", "-o", "/dev/full").end()
    assert (code, lines[-2]) == (1, "llmnet: cannot write /dev/full: No space left on device; the batch was stopped")
    bar = next(n for n, line in enumerate(lines) if "1/30, 0 failed" in line)
    assert bar < next(n for n, line in enumerate(lines) if "not finished" in line)


def test_no_bar_among_results_on_the_same_terminal(tmp_path):
    rows = tmp_path / "in.jsonl"
    rows.write_text('{"prompt": "Hi"}\n' * 30)
    args = ["batch", str(rows), "-m", "fake:m"]
    code, _, lines = Terminal("rich", COMMAND, *args, columns=1000, output="terminal").end()
    assert code == 0
    assert all(json.loads(line)["response"]["status_code"] == 200 for line in lines[:30])
    assert not any("req/s" in line for line in lines)


def test_a_line_fits_its_terminal():
    own, theirs = terminal_of(40)
    with open(theirs, "w") as terminal, open(own, "rb", buffering=0) as screen:
        line = Line(terminal)
        line(FIGURES)
        assert screen.read(100).decode() == "\r293/400, 11 failed, 0:02 left"
        line(msgspec.structs.replace(FIGURES, done=4, total=None, failed=1, left=None, tokens_per_second=1e9))
        assert screen.read(100).decode() == "\r4 done, 1 failed, 49.1 req/s "
        line(msgspec.structs.replace(FIGURES, over=True))
        assert screen.read(100).decode() == "\r293/400, 11 failed, 1:01 in all\r\n"
