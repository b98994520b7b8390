"""How `llmnet batch` ends: by itself, by a signal at any moment, by a reader that leaves, on a full disk."""

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import time

import pytest
from support.batches import CLI, answer_of, bytes_in, results, started, to, written
from support.live import eventually
from support.terminals import COMMAND, PRELUDE

from llmnet.cli import main, reading
from llmnet.cli.batch_output import Output
from llmnet.testing import Reply

pytestmark = pytest.mark.threads

ROWS = 400
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


def slowly(request):
    """A reply that takes its time; the first rows get one quicker than the signal is sent."""
    text = request.json["messages"][0]["content"]
    return Reply(delay=0.001 * (len(text) % 7), text=f"{text} = {'x' * (int(text) % 50) * 200}")


def whole(text):
    """The results, each with the answer to its own question."""
    rows = results(text)
    for name, row in rows.items():
        number = int(name.removeprefix("row-"))
        assert answer_of(row) == f"{number} = {'x' * (number % 50) * 200}"
    return rows


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    rows = [{"custom_id": f"row-{n}", "prompt": str(n)} for n in range(ROWS)]
    return written(tmp_path_factory.mktemp("batch") / "in.jsonl", rows)


@pytest.mark.parametrize("seed", range(10))
def test_ctrl_c_at_any_moment(server, source, tmp_path, seed):
    server.handler = slowly
    chance = random.Random(seed)
    lines, pause, into_pipe = chance.randrange(60), chance.random() / 50, seed % 2
    out = tmp_path / "out.jsonl"
    arguments = to(server, source, "--json", "--max-concurrent", 8, "-o", "-" if into_pipe else out)
    child = started(*arguments, bufsize=0)
    first = b"".join(child.stdout.readline() for _ in range(lines)) if into_pipe else b""
    eventually(lambda: into_pipe or (out.exists() and out.read_bytes().count(b"\n") >= lines))
    server.wait_for_requests(1)
    time.sleep(pause)  # the moment itself; nothing is waited for
    child.send_signal(signal.SIGINT)
    rest, err = child.communicate(timeout=60)
    written_ = (first + rest if into_pipe else out.read_bytes()).decode()
    found = whole(written_)
    summary, word = err.decode().splitlines()
    assert (child.returncode, word) == (130, "llmnet: interrupted")
    assert lines <= len(found) == json.loads(summary)["ok"] < ROWS
    assert json.loads(summary)["not_finished"] == ROWS - len(found)
    assert json.loads(summary)["failed"] == 0


def test_what_had_finished_is_written(server, source):
    """In order: the first row holds all others up, of which the batch has room for 32 beside those under way."""
    server.handler = lambda request: Reply(hold=request.json["messages"][0]["content"] == "0")
    child = started(*to(server, source, "--ordered", "--max-concurrent", 4))
    server.wait_for_requests(36)  # when a row is sent, all that were taken before it are over, but for the four
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    names = [json.loads(line)["custom_id"] for line in out.splitlines()]
    assert 32 <= len(names) <= 35
    assert names == sorted(names, key=lambda name: int(name[4:]))
    assert "row-0" not in names
    assert child.returncode == 130


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_nothing_finishes(server, source, tmp_path, number, code):
    server.handler = lambda request: Reply(hold=True)
    out = tmp_path / "out.jsonl"
    child = started(*to(server, source, "-o", out, "--max-concurrent", 4))
    server.wait_for_requests(4)
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, out.read_bytes()) == (code, b"")
    assert b"not finished  400" in err
    assert b"Traceback" not in err


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_a_reply_is_waited_for(server, number, code):
    server.handler = lambda request: Reply(hold=True)
    child = started("chat", "Hi", *to(server)[1:])
    server.wait_for_requests(1)
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (code, b"", b"llmnet: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_input_is_read(server, tmp_path, number):
    out = tmp_path / "out.jsonl"
    out.write_text("yesterday\n")
    child = started(*to(server, "-", "-o", out), stdin=subprocess.PIPE)
    child.stdin.write(b'{"prompt": "a"}\n' * 1000)
    child.stdin.flush()
    eventually(lambda: bytes_in(child.stdin) == 0)  # it has been read, and there may be more
    child.send_signal(number)
    assert child.wait(60) == 128 + number
    assert child.stderr.read() == b"llmnet: interrupted\n"
    assert (server.request_count, out.read_text()) == (0, "yesterday\n")
    child.communicate()


def test_a_signal_the_moment_before_a_wait(monkeypatch):
    """The interpreter has looked for signals, and looks no more before the wait ends."""
    pipe, writing = os.pipe()
    waits = []

    def wait(*arguments):
        waits.append(arguments[-1])
        if len(waits) == 2:
            os.close(writing)
        return real(*arguments)

    real = select.select
    monkeypatch.setattr(reading, "SLICE", 0.01)
    monkeypatch.setattr(select, "select", wait)
    with open(pipe, "rb") as file:
        assert list(reading.pieces(file)) == []
    assert waits == [0.01, 0.01], "each wait is a short one, between which the interpreter looks"


def test_a_reader_of_a_named_pipe_that_leaves(server, source, tmp_path, capfd):
    """It is no filter that has seen enough: what was paid for has nowhere to go."""
    os.mkfifo(tmp_path / "out")
    reading = os.open(tmp_path / "out", os.O_RDONLY | os.O_NONBLOCK)
    server.handler = lambda request: os.close(reading) if server.request_count == 1 else None
    assert main(to(server, source, "-o", tmp_path / "out", "--max-concurrent", 1, "--ordered")) == 1
    assert capfd.readouterr().err.endswith(f"cannot write {tmp_path / 'out'}: Broken pipe; the batch was stopped\n")


def test_half_a_line_is_taken_back_from_the_end_alone(tmp_path):
    """Where something stands behind it, as another program's lines, nothing is cut off."""
    for behind in (b"", b"another's\n"):
        path = tmp_path / f"{len(behind)}"
        output = Output(str(path), contextlib.nullcontext)
        output.write(b"whole\n")
        path.write_bytes(b"whole\nha" + behind)
        descriptor, take_back = output._descriptor, output._take_back  # private: no signal comes just here at will
        os.lseek(descriptor, 8, os.SEEK_SET)
        take_back(2)
        assert path.read_bytes() == (b"whole\nha" + behind if behind else b"whole\n")
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == (8 if behind else 6)
        output.close()


@pytest.mark.parametrize("stuck", [False, True])
def test_the_second_signal_waits_for_the_line_under_way_alone(server, source, stuck):
    """Nobody reads, so that half a line is in the pipe; then the reader goes on, or does not."""
    server.handler = lambda request: Reply(text="x" * 500_000)
    child = started(*to(server, source, "--max-concurrent", 2))
    full = eventually(lambda: bytes_in(child.stdout) >= 65536 and bytes_in(child.stdout))
    if stuck:
        eventually(lambda: child.send_signal(signal.SIGINT) or child.poll() is not None)
        assert child.returncode == -signal.SIGINT
        child.communicate()
        return
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 143
    assert len(out) > full
    assert len(results(out.decode())) >= 1
    assert b"Traceback" not in err


def test_a_signal_that_is_ignored_stays_so(server, source):
    program = PRELUDE.replace("default_int_handler", "SIG_IGN") + COMMAND
    server.handler = lambda request: Reply(hold=True)
    child = started(*to(server, source), program=program)
    server.wait_for_requests(100)
    child.send_signal(signal.SIGINT)
    server.handler = None
    server.release()
    out, _ = child.communicate(timeout=60)
    assert (child.returncode, len(results(out.decode()))) == (0, ROWS)


def test_output_that_does_not_block(server, tmp_path):
    server.handler = lambda request: Reply(text="x" * 100_000)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    child = started(*to(server, written(tmp_path / "in.jsonl", [{"prompt": "a"}] * 5)), stdout=writing)
    os.close(writing)
    eventually(lambda: bytes_in(reading) >= 65536)  # it is full
    with open(reading) as output:
        assert {answer_of(row) for row in results(output.read()).values()} == {"x" * 100_000}
    child.communicate(timeout=60)
    assert child.returncode == 0


# -- without a signal -------------------------------------------------------------------------------------------------


def test_a_reader_that_leaves(server, source):
    server.handler = slowly
    child = started(*to(server, source))
    child.stdout.readline()
    child.stdout.close()
    with child.stderr:
        said_ = child.stderr.read().decode()
    assert child.wait(60) == 1  # not all of it is finished
    assert said_.startswith("requests        400\n")
    assert "not finished" in said_
    assert "llmnet:" not in said_
    assert server.request_count < ROWS


def test_a_full_disk_leaves_no_half_a_line(server, source, tmp_path):
    server.handler = slowly
    out = tmp_path / "out.jsonl"
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({100_000}, {100_000}));"
    child = started(*to(server, source, "-o", out), program=limit + CLI)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert err.decode().endswith(f"llmnet: cannot write {out}: File too large; the batch was stopped\n")
    found = whole(out.read_text())
    assert f"ok            {len(found)}\n" in err.decode()
    assert server.request_count < ROWS


CODES = [
    ({}, 0),
    ({"0": Reply(status=401)}, 1),
    (dict.fromkeys("0123456789", Reply(status=401)), 3),
    (dict.fromkeys("0123456789", Reply(status=402)), 4),
    (dict.fromkeys("0123456789", Reply(drop=True)), 5),
    (dict.fromkeys("012345678", Reply(status=401)) | {"9": Reply(status=403)}, 3),
    (dict.fromkeys("012345678", Reply(status=401)) | {"9": Reply(status=400)}, 1),
]


@pytest.mark.parametrize(("failures", "code"), CODES)
def test_exit_codes(server, tmp_path, failures, code, monkeypatch):
    server.handler = lambda request: failures.get(request.json["messages"][0]["content"])
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": str(n)} for n in range(10)]), tmp_path / "out.jsonl"
    seconds = 0.3 if code == 5 else 60  # what is lost is tried again to the end of its time
    assert main(to(server, rows, "-o", out, "--timeout", seconds)) == code
    found = results(out.read_text())
    assert sum(row["error"] is not None for row in found.values()) == len(failures)


def test_enough_errors(server, source, tmp_path, capfd):
    server.handler = lambda request: Reply(status=401)
    out = tmp_path / "out.jsonl"
    assert main(to(server, source, "-o", out, "--stop-after-errors", 3, "--max-concurrent", 2, "--json")) == 3
    found = results(out.read_text())
    assert 3 <= len(found) <= 4
    assert json.loads(capfd.readouterr().err)["not_finished"] == ROWS - len(found)


def test_throttles_are_waited_out(server, source, tmp_path, capfd):
    server.script(*[Reply(status=429, headers={"retry-after-ms": "50"})] * 5)
    out = tmp_path / "out.jsonl"
    assert main(to(server, source, "-o", out, "--json")) == 0
    assert len(results(out.read_text())) == ROWS
    summary = json.loads(capfd.readouterr().err)
    assert (summary["throttled"], summary["retries"]) == (5, 5)
    assert 0 < summary["latency"]["p50"] <= summary["latency"]["p95"] <= summary["latency"]["p99"]
    assert summary["time_to_first_token"] is None


@pytest.mark.heavy
def test_ten_thousand_lines(server, tmp_path):
    rows = written(tmp_path / "in.jsonl", [{"prompt": f"{n} {'x' * 500}"} for n in range(10_000)])
    told = "code = main(); import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    program = f"{CLI.partition('sys.exit')[0]}{told}; sys.exit(code)"
    out = tmp_path / "out.jsonl"
    peaks = []
    for n in (10_000, 100):
        (tmp_path / "in.jsonl").write_text("".join(rows.read_text().splitlines(keepends=True)[:n]))
        child = started(*to(server, rows, "-o", out, "--overwrite"), program=program)
        _, err = child.communicate(timeout=100)
        assert (child.returncode, len(results(out.read_text()))) == (0, n)
        peaks.append(int(err.split()[-1]))
    assert peaks[0] - peaks[1] < 20_000  # KiB
