"""`llmnet batch --resume`: what has an answer is neither asked again nor lost, whatever the output looks like."""

import contextlib
import json
import signal

import pytest
from support.batches import answer_of, results, started, to, written
from support.live import eventually

from llmnet import ConfigurationError
from llmnet.cli import batch_lines, main
from llmnet.cli.batch_input import Rows, open_input
from llmnet.cli.batch_lines import keep_answers
from llmnet.cli.batch_output import Output
from llmnet.cli.signals import Signals
from llmnet.testing import Reply


def line(name, text="fine", **more):
    response = {"status_code": 200, "request_id": None, "body": {"choices": [{"message": {"content": text}}]}}
    return json.dumps({"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": None} | more) + "\n"


FAILED = {"response": None, "error": {"code": "APIConnectionError", "message": "gone"}}
REFUSED = {"response": {"status_code": 400, "request_id": None, "body": {}}}


def asked(server):
    return [request.json["messages"][-1]["content"] for request in server.requests]


def kept(path):
    """What `keep_answers` leaves of a file."""
    output = Output(str(path), contextlib.nullcontext, resume=True)
    output.close()
    return output.answered


def test_what_failed_and_what_is_missing_is_asked_again(server, tmp_path, capfd):
    """Rows without a custom_id are known by their line."""
    rows, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows.write_text('{"prompt": "a"}\n\n{"prompt": "b"}\n{"custom_id": "mine", "prompt": "c"}\n{"prompt": "d"}\n')
    server.handler = lambda request: Reply(status=400) if request.json["messages"][0]["content"] == "b" else None
    command = to(server, rows, "-o", out, "--ordered")
    assert main(command) == 1
    first, failed, third, fourth = out.read_bytes().splitlines(keepends=True)
    assert json.loads(failed)["error"]
    out.write_bytes(first + failed + third + fourth[:40])
    capfd.readouterr()
    server.handler, before = None, server.request_count
    assert main([*command, "--resume", "--json"]) == 0
    assert sorted(asked(server)[before:]) == ["b", "d"]
    assert out.read_bytes().startswith(first + third)
    found = results(out.read_text())
    assert {name: answer_of(row) for name, row in found.items()} == {
        "request-1": "a", "request-3": "b", "mine": "c", "request-5": "d",
    }  # fmt: skip
    summary = json.loads(capfd.readouterr().err)
    assert (summary["answered_before"], summary["requests"], summary["ok"], summary["not_finished"]) == (2, 2, 2, 0)
    assert main([*command, "--resume"]) == 0
    assert server.request_count == before + 2
    assert results(out.read_text()) == found
    assert "answered before" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_batch_that_was_ended_goes_on(server, tmp_path, number):
    rows = written(tmp_path / "in.jsonl", [{"prompt": str(n)} for n in range(40)])
    out = tmp_path / "out.jsonl"
    command = to(server, rows, "-o", out, "--max-concurrent", 4, "--no-progress")
    server.handler = lambda request: Reply(delay=0.005)
    with started(*command) as child:
        eventually(lambda: out.exists() and out.read_bytes().count(b"\n") >= 5)
        child.send_signal(number)
    answered = out.read_bytes().count(b"\n")
    assert 5 <= answered < 40
    eventually(lambda: server.active == 0)
    before = server.request_count
    assert main([*command, "--resume"]) == 0
    assert server.request_count - before == 40 - answered
    assert {answer_of(row) for row in results(out.read_text()).values()} == {str(n) for n in range(40)}


def test_an_output_that_is_not_there_or_empty_is_begun(server, tmp_path):
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": "a"}]), tmp_path / "out.jsonl"
    assert main(to(server, rows, "-o", out, "--resume")) == 0
    (tmp_path / "empty.jsonl").touch()
    assert main(to(server, rows, "-o", tmp_path / "empty.jsonl", "--resume")) == 0
    assert len(results(out.read_text())) == len(results((tmp_path / "empty.jsonl").read_text())) == 1


FOREIGN = [
    '{"id":1,"mine":2}',
    "yesterday\n",
    "yesterday",
    '{"prompt": "a"}\n',
    "[1]\n",
    line("a") + "?\n" + line("b"),
    '{"custom_id": "a"',
]


@pytest.mark.parametrize("text", FOREIGN)
def test_what_is_no_output_of_a_batch_is_left_as_it_is(server, tmp_path, capfd, text):
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": "a"}]), tmp_path / "out.jsonl"
    out.write_text(text)
    number = 2 if text.startswith('{"id": "batch') else 1
    for _ in range(2):  # nothing holds the file after the first refusal
        assert main(to(server, rows, "-o", out, "--resume")) == 2
        why = f"llmnet: line {number} of {out} is no result of a batch; nothing was sent: remove it, or name another output\n"
        assert capfd.readouterr().err == why
    assert (server.request_count, out.read_text()) == (0, text)


def test_wrong_use(server, tmp_path, capfd):
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": "a"}]), tmp_path / "out.jsonl"
    assert main(to(server, rows, "--resume")) == 2
    assert "--resume needs --output FILE" in capfd.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(to(server, rows, "-o", out, "--resume", "--overwrite"))
    assert stop.value.code == 2
    assert (server.request_count, out.exists()) == (0, False)


def test_wrong_lines_of_the_input_leave_the_output_as_it_is(server, tmp_path):
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": "a"}, {}]), tmp_path / "out.jsonl"
    out.write_text(line("request-1", **FAILED))
    assert main(to(server, rows, "-o", out, "--resume")) == 2
    assert (server.request_count, out.read_text()) == (0, line("request-1", **FAILED))


def test_an_output_that_is_being_written_is_not_gone_on_with(server, tmp_path, capfd):
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": "a"}]), tmp_path / "out.jsonl"
    first = Output(str(out), contextlib.nullcontext)
    first.write(line("x", **FAILED).encode())
    assert main(to(server, rows, "-o", out, "--resume")) == 2
    first.close()
    assert capfd.readouterr().err == f"llmnet: another program is writing {out}; nothing was sent\n"
    assert out.read_text() == line("x", **FAILED)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (line("a") + line("b", **FAILED) + line("c"), line("a") + line("c")),
        (line("a", **FAILED) + line("b", "long" * 9999) + line("c"), line("b", "long" * 9999) + line("c")),
        (line("a", **REFUSED) + line("b"), line("b")),
        (line("a") + line("a", "twice") + "\n  \n" + line("b"), line("a") + line("b")),
        (line("a") + line("b")[:-1], line("a") + line("b")),
        (line("a") + line("b", "五" * 9)[:-9], line("a")),
        (line("a") + '{"i', line("a")),
        (line("a", "\ud83d"), line("a", "\ud83d")),
        (line("a", **FAILED), ""),
        ("{", ""),
    ],
)
def test_lines_of_answers_stay_and_no_others(tmp_path, text, left):
    out = tmp_path / "out.jsonl"
    out.write_text(text)
    assert kept(out) == {json.loads(one)["custom_id"] for one in left.splitlines()}
    assert out.read_text() == left


@pytest.mark.parametrize("moved", range(4))
def test_no_answer_is_lost_wherever_that_is_ended(tmp_path, monkeypatch, moved):
    out, answers = (
        tmp_path / "out.jsonl",
        [line(name, "x" * size) for name, size in zip("abcd", (9, 500, 0, 90), strict=True)],
    )
    out.write_text(answers[0] + line("f", **FAILED) + "".join(answers[1:]))
    write, count = batch_lines.write_at, []

    def dies(*args):
        count.append(1)
        if len(count) > moved:
            raise SystemExit
        write(*args)

    with monkeypatch.context() as patch, contextlib.suppress(SystemExit):
        patch.setattr(batch_lines, "write_at", dies)
        kept(out)
    found = {one for one in out.read_text().splitlines(keepends=True) if one.startswith('{"id"') and one in answers}
    assert found == set(answers)


def test_ctrl_c_waits_until_the_file_is_whole(tmp_path, monkeypatch):
    out, write = tmp_path / "out.jsonl", batch_lines.write_at
    out.write_text(line("f", **FAILED) + line("a") + line("b"))

    def interrupted(*args):
        if not signalled:
            signalled.append(1)
            signal.raise_signal(signal.SIGINT)
        write(*args)

    signalled = []
    monkeypatch.setattr(batch_lines, "write_at", interrupted)
    with Signals() as signals, open(out, "r+b") as file, pytest.raises(KeyboardInterrupt):
        keep_answers(file.fileno(), str(out), signals.uninterrupted)
    assert out.read_text() == line("a") + line("b")


def test_the_rows_that_are_left(tmp_path):
    rows_ = [{"custom_id": name, "prompt": name} for name in "abc"]
    with open_input(str(written(tmp_path / "in.jsonl", rows_))) as file:
        rows = Rows(file, {})
        rows.check(lambda row: None)
        rows.leave_out({"a", "c", "of another input"})
        assert (len(rows), rows.left_out, [row["custom_id"] for row in rows]) == (1, 2, ["b"])


def test_an_output_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot write "):
        Output(str(tmp_path), contextlib.nullcontext, resume=True)
