"""`llmnet batch`, as a person or a pipe runs it: what goes in, what comes out, and what is left when it is ended."""

import contextlib
import errno
import json
import os
import subprocess
from typing import ClassVar

import pytest
from support.batches import answer_of, bytes_in, results, started, to, written
from support.live import eventually

from llmnet import BadRequestError, ConfigurationError, LLMNetError
from llmnet.batch.rows import BatchResult
from llmnet.cli import batch_input, batch_output, main
from llmnet.cli.batch_input import Rows, open_input
from llmnet.cli.batch_output import Output
from llmnet.cli.batch_summary import Summary, table
from llmnet.testing import Reply

BOM = b"\xef\xbb\xbf"

# -- what goes in -----------------------------------------------------------------------------------------------------

LINES = [  # a line, its name in the output, what is asked, what else is sent
    (b'{"prompt": "one"}', "request-1", "one", {"model": "m", "max_tokens": 9}),
    (b'{"messages": [{"role": "user", "content": "two"}], "temperature": 0.5}', "request-2", "two", {"temperature": 0.5}),
    (b"", None, None, None),
    (b'{"custom_id": "mine", "prompt": "\xe4\xba\x94", "max_tokens": 5}\r', "mine", "五", {"max_tokens": 5}),
    (
        b'{"custom_id": "b", "method": "POST", "url": "/v1/chat/completions", "body":'
        b' {"model": "other", "messages": [{"role": "user", "content": "six"}], "max_completion_tokens": 7}}',
        "b", "six", {"model": "other", "max_completion_tokens": 7},
    ),
    (b"  \r", None, None, None),
    (b'{"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "eight"}]}', "request-7", "eight", {}),
]  # fmt: skip


@pytest.mark.parametrize(("way", "last"), [("file", b""), ("file", b"\n"), ("pipe", b""), ("redirected", b"\n")])
def test_all_forms_of_input(server, tmp_path, way, last):
    rows = tmp_path / "in.jsonl"
    rows.write_bytes(BOM + b"\n".join(line for line, *_ in LINES) + last)
    command = to(server, rows if way == "file" else "-", "--max-tokens", 9, "--system", "Be brief", "--json")
    with open(rows, "rb") as source:
        stdin = {"file": None, "pipe": subprocess.PIPE, "redirected": source}[way]
        child = started(*command, stdin=stdin)
        out, err = child.communicate(rows.read_bytes() if way == "pipe" else None, timeout=60)
    assert (child.returncode, json.loads(err)["ok"]) == (0, 5)
    rows = results(out.decode())
    assert {name: answer_of(row) for name, row in rows.items()} == {name: text for _, name, text, _ in LINES if name}
    sent = {request.json["messages"][-1]["content"]: request.json for request in server.requests}
    for _, name, text, fields in LINES:
        if name:
            assert sent[text].items() >= fields.items()
            assert [m["role"] for m in sent[text]["messages"]] == ["system", "user"]
            assert ("max_tokens" in sent[text]) != ("max_completion_tokens" in sent[text])
    assert sent["eight"]["messages"][0]["content"] == "S"
    assert sent["one"]["messages"][0]["content"] == "Be brief"


BAD = [
    (b'{"prompt": }', "it is no JSON: Expecting value at column 12"),
    (b'{"prompt": "a"', "it is no JSON: "),
    (b'{"prompt": NaN}', "it is no JSON: NaN is no JSON"),
    (b'{"prompt": "\xff"}', "byte 13 is no UTF-8"),
    (b'{"prompt": 5}', "prompt must be a string or a list of messages, not int"),
    (b'{"prompt": "a", "ordered": true}', "ordered is no parameter of a row"),
    (b'["a"]', "it must be a JSON object, as "),
    (b"17", "not a number"),
    (b"{}", "it has nothing"),
    (b'{"prompt": "a", "messages": []}', "it has prompt, messages"),
    (b'{"messages": [{"role": "poet", "content": "a"}]}', "messages[0].role must be one of"),
    (b'{"prompt": "\\ud83d"}', "half a surrogate pair"),
    (b'{"prompt": "a", "temperature": "hot"}', "temperature must be a number"),
    (b'{"prompt": "a", "stream": true}', "stream is no parameter of a row"),
    (b'{"prompt": "a", "custom_id": 5}', "custom_id must be a string"),
    (b'{"prompt": "a", "custom_id": "first"}', "custom_id 'first' is that of line 1 already"),
    (b'{"prompt": "a", "custom_id": "request-2"}', "custom_id 'request-2' is that of line 2 already"),
    (b'{"url": "/v1/embeddings", "body": {"input": "a"}}', "only POST"),
]


def test_bad_lines_are_named_and_nothing_is_sent(server, tmp_path, capfd):
    rows, kept = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    kept.write_text("yesterday\n")
    good = [b'{"prompt": "a", "custom_id": "first"}', b'{"prompt": "a"}']
    rows.write_bytes(b"\n".join([*good, *(line for line, _ in BAD), b""]))
    assert main(to(server, rows, "-o", kept)) == 2
    head, *lines, cure = capfd.readouterr().err.splitlines()
    assert head == "llmnet: nothing was sent, for lines of the input are wrong:"
    assert (len(lines), cure) == (len(BAD), "  if it is GBK, iconv -f GBK -t UTF-8 converts it")
    for number, (line, (_, why)) in enumerate(zip(lines, BAD, strict=True), 3):
        assert line.startswith(f"  line {number}: ")
        assert why in line
    assert (server.request_count, kept.read_text()) == (0, "yesterday\n")


def test_many_bad_lines(server, tmp_path, capfd):
    rows = tmp_path / "in.jsonl"
    rows.write_text('{"prompt": "a", "custom_id": "same"}\n' * 500 + "?\n" * 500)
    assert main(to(server, rows)) == 2
    _, *lines = capfd.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [*(f"  line {n}" for n in range(2, 22)), "  and 979 more"]


def test_wrong_use(server, tmp_path, capfd):
    rows = written(tmp_path / "in.jsonl", [{"prompt": "a"}])
    (tmp_path / "empty.jsonl").write_bytes(BOM + b"\n \n")
    (tmp_path / "link.jsonl").symlink_to(rows)
    wrong = {
        "the input has no lines": [tmp_path / "empty.jsonl"],
        "cannot read ": [tmp_path / "missing.jsonl"],
        "Is a directory": [tmp_path],
        "input and output are the same file": [rows, "-o", tmp_path / "link.jsonl"],
        "cannot write ": [rows, "-o", tmp_path / "missing" / "out.jsonl"],
    }
    for why, arguments in wrong.items():
        assert main(to(server, *arguments)) == 2
        assert why in capfd.readouterr().err
    assert (server.request_count, rows.read_text()) == (0, '{"prompt": "a"}\n')


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--stop-after-errors", "0", "must be a whole number, at least 1, not '0'"),
        ("--max-concurrent", "0", "must be a whole number, at least 1, not '0'"),
        ("--max-concurrent", "many", "must be a whole number, at least 1, not 'many'"),
        ("--max-tokens", "-1", "must be a whole number of tokens, not '-1'"),
        ("--temperature", "nan", "must be a number, not 'nan'"),
        ("--timeout", "0", "must be a positive number of seconds, not '0'"),
    ],
)
def test_a_wrong_value_is_named_once_by_its_option(server, tmp_path, capfd, option, value, text):
    rows = written(tmp_path / "in.jsonl", [{"prompt": "a"}] * 3)
    with pytest.raises(SystemExit) as stop:
        main(to(server, rows, option, value))
    assert stop.value.code == 2
    assert capfd.readouterr().err.splitlines()[-1] == f"llmnet batch: error: argument {option}: {text}"


def test_two_writers_of_one_output(server, tmp_path, capfd):
    """The second one is refused before it sends anything, and leaves the lines of the first alone."""
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": "a"}]), tmp_path / "out.jsonl"
    (tmp_path / "link.jsonl").symlink_to(out)
    server.script(Reply(hold=True))
    with started(*to(server, rows, "-o", out)) as first:
        server.wait_for_requests(1)
        for other in (out, tmp_path / "link.jsonl"):
            assert main(to(server, rows, "-o", other)) == 2
            assert capfd.readouterr().err == f"llmnet: another program is writing {other}; nothing was sent\n"
        assert main(to(server, rows, "-o", tmp_path / "other.jsonl")) == 0
        assert server.request_count == 2
        server.release()
    assert (first.returncode, len(results(out.read_text()))) == (0, 1)
    assert main(to(server, rows, "-o", out, "--overwrite")) == 0
    assert len(results(out.read_text())) == 1


def test_a_writer_that_was_killed_holds_nothing(server, tmp_path):
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": "a"}]), tmp_path / "out.jsonl"
    server.script(Reply(hold=True))
    with started(*to(server, rows, "-o", out)) as killed:
        server.wait_for_requests(1)
        killed.kill()
    assert main(to(server, rows, "-o", out)) == 0
    assert len(results(out.read_text())) == 1


def test_what_is_no_file_has_any_number_of_writers(server, tmp_path):
    rows = written(tmp_path / "in.jsonl", [{"prompt": "a"}])
    first = Output(os.devnull, contextlib.nullcontext)
    assert main(to(server, rows, "-o", os.devnull)) == 0
    first.close()


def test_a_longer_output_of_yesterday_is_gone(server, tmp_path):
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": "a"}]), tmp_path / "out.jsonl"
    out.write_text("yesterday\n" * 10_000)
    assert main(to(server, rows, "-o", out, "--overwrite")) == 0
    assert len(results(out.read_text())) == 1


def test_the_lock_of_windows(tmp_path, monkeypatch):
    """It is tried with a stand-in: one byte that is far from all lines, and the next write begins at the first one."""

    class Windows:
        LK_NBLCK = 2
        taken: ClassVar[list[int]] = []

        def locking(self, descriptor, mode, size):
            place = os.lseek(descriptor, 0, os.SEEK_CUR)
            if place in self.taken:
                raise PermissionError(errno.EACCES, "Permission denied")
            self.taken.append(place)

    monkeypatch.setattr(batch_output, "POSIX", None)
    monkeypatch.setattr(batch_output, "WINDOWS", Windows())
    first = Output(str(tmp_path / "out"), contextlib.nullcontext)
    with pytest.raises(ConfigurationError, match="another program"):
        Output(str(tmp_path / "out"), contextlib.nullcontext)
    first.write(b"line\n")
    first.close()
    assert (tmp_path / "out").read_bytes() == b"line\n"
    assert Windows.taken == [2**31 - 2]


def test_a_file_system_without_locks(server, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(batch_output.POSIX, "flock", refuse)
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": "a"}]), tmp_path / "out.jsonl"
    assert main(to(server, rows, "-o", out)) == 0
    assert len(results(out.read_text())) == 1


def test_an_input_that_changes(tmp_path):
    long = "a" * 100_000  # so that the second line is not in the buffer any more when the first one is read again
    path = written(tmp_path / "in.jsonl", [{"prompt": long}, {"prompt": "b"}])
    with open_input(str(path)) as file:
        rows = Rows(file, {})
        rows.check(lambda row: None)
        written(path, [{"prompt": long}, {"prompt": "B"}, "later"])
        assert [(row["custom_id"], row["messages"]) for row in rows] == [("request-1", long), ("request-2", "B")]
        written(path, [{"prompt": long}, "none"])
        with pytest.raises(LLMNetError, match="the input has changed: line 2: "):
            list(rows)
        written(path, [{"prompt": long}])
        with pytest.raises(LLMNetError, match="the input has changed: of 2 rows 1 are left"):
            list(rows)


def test_a_line_that_does_not_end(server, tmp_path, capfd, monkeypatch):
    """It is not read into memory; what is no file is not read as one, so that Ctrl-C works while it is copied."""
    monkeypatch.setattr(batch_input, "MAX_LINE", 1000)
    (tmp_path / "in.jsonl").write_bytes(b'{"prompt": "a"}\n' + b"\0" * 5000)
    assert main(to(server, tmp_path / "in.jsonl")) == 2
    assert capfd.readouterr().err == "llmnet: line 2 of the input is longer than 1,000 bytes\n"
    with open_input(os.devnull) as file:
        assert os.fstat(file.fileno()).st_mode != os.stat(os.devnull).st_mode


def test_a_pipe_that_does_not_block_is_read_to_its_end(server):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    child = started(*to(server, "-"), stdin=reading)
    os.write(writing, b'{"prompt": "a"}\n')
    eventually(lambda: bytes_in(reading) == 0)
    os.write(writing, b'{"prompt": "b"}\n')
    os.close(writing)
    os.close(reading)
    out, _ = child.communicate(timeout=60)
    assert (child.returncode, sorted(map(answer_of, results(out.decode()).values()))) == (0, ["a", "b"])


def test_no_temporary_file(server, capfd, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(batch_input, "pieces", full)
    assert main(to(server, os.devnull)) == 2
    why = f"llmnet: cannot copy {os.devnull} to a temporary file: No space left on device\n"
    assert capfd.readouterr().err == why


# -- what comes out ---------------------------------------------------------------------------------------------------


def test_order_and_options(server, tmp_path):
    server.handler = lambda request: Reply(delay=0.05 if request.json["messages"][0]["content"] == "0" else 0)
    rows = written(tmp_path / "in.jsonl", [{"prompt": str(n)} for n in range(20)])
    out = tmp_path / "out.jsonl"
    assert main(to(server, rows, "-o", out, "--ordered", "--max-concurrent", 3, "--temperature", 0.5)) == 0
    assert [answer_of(json.loads(line)) for line in out.read_text().splitlines()] == [str(n) for n in range(20)]
    assert server.peak <= 3
    assert {request.json["temperature"] for request in server.requests} == {0.5}


def test_other_vendors_answer_in_the_same_form(server, tmp_path):
    call = {"id": "c1", "name": "f", "arguments": "{}"}
    server.script(Reply(text="Hi", reasoning="hm", tool_calls=[call]))
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": "a"}]), tmp_path / "out.jsonl"
    command = ["batch", str(rows), "-o", str(out), "-m", "anthropic:claude", "--base-url", server.url]
    assert main(command) == 0
    (row,) = results(out.read_text()).values()
    assert row["response"]["status_code"] == 200
    body = row["response"]["body"]
    assert (body["object"], body["model"], set(body["usage"])) == (
        "chat.completion",
        "claude",
        {"prompt_tokens", "completion_tokens"} | set(body["usage"]),
    )
    assert body["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant", "content": "Hi", "reasoning_content": "hm",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            "finish_reason": "tool_calls",
        }
    ]  # fmt: skip


def test_failed_rows(server, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-0123456789")
    failures = {
        "long": Reply(status=400, error={"code": "context_length_exceeded", "message": "sk-very-secret-0123456789"}),
        "html": Reply(headers={"content-type": "text/html"}, body="<html>Log in</html>"),
        "half": Reply(body=b'{"choices": [{"message": {"content": "\\ud83d"}, "finish_reason": "stop"}]}'),
    }
    server.handler = lambda request: failures.get(request.json["messages"][0]["content"])
    rows = written(tmp_path / "in.jsonl", [{"custom_id": name, "prompt": name} for name in (*failures, "good")])
    assert main(to(server, rows, "--json")) == 1
    out, err = capfd.readouterr()
    assert "secret" not in out + err
    found = results(out)
    assert answer_of(found["good"]) == "good"
    assert answer_of(found["half"]) == "\ud83d"
    assert found["long"]["response"]["status_code"] == 400
    assert (
        found["long"]["response"]["body"]["error"]["code"]
        == found["long"]["error"]["code"]
        == "context_length_exceeded"
    )
    assert found["html"]["response"] is None
    assert found["html"]["error"]["code"] == "InvalidResponseError"
    summary = json.loads(err)
    assert summary["failed_by_cause"] == {"400 context_length_exceeded": 1, "InvalidResponseError": 1}
    assert (summary["requests"], summary["ok"], summary["failed"], summary["not_finished"]) == (4, 2, 2, 0)


def test_a_server_that_makes_up_a_code_for_each_failure():
    summary = Summary(1000)
    for n in range(1000):
        code = "known" if n % 2 else f"made-up-{n}-{'x' * 10_000}"
        summary.add(BatchResult(index=n, error=BadRequestError("no", status=400, code=code)))
    figures = summary.figures()
    assert len(json.dumps(figures)) < 30_000
    assert figures["failed"] == sum(figures["failed_by_cause"].values()) == 1000
    assert figures["failed_by_cause"]["400 known"] == 500
    shown = dict(table(figures))
    assert shown["    400 known"] == "500"
    assert shown["    other causes"] == "491"
    assert sum(label.startswith("    400") for label in shown) == 10


# -- paid work --------------------------------------------------------------------------------------------------------


def test_an_output_that_is_not_empty_is_not_written_over(server, tmp_path, capfd):
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": "a"}]), tmp_path / "out.jsonl"
    assert main(to(server, rows, "-o", out)) == 0
    paid = out.read_text()
    capfd.readouterr()
    assert main(to(server, rows, "-o", out)) == 2
    said_ = f"llmnet: {out} is not empty; nothing was sent: name another output, or give --resume or --overwrite\n"
    assert capfd.readouterr().err == said_
    assert (server.request_count, out.read_text()) == (1, paid)
    assert main(to(server, rows, "-o", out, "--overwrite")) == 0
    assert (server.request_count, len(results(out.read_text()))) == (2, 1)
    assert out.read_text() != paid


def test_an_empty_output_is_written(server, tmp_path):
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": "a"}]), tmp_path / "out.jsonl"
    out.touch()
    assert main(to(server, rows, "-o", out)) == 0
    assert len(results(out.read_text())) == 1


REFUSALS = [
    (Reply(status=401), 3),
    (Reply(status=403), 3),
    (Reply(status=402), 4),
    (Reply(status=429, error={"code": "insufficient_quota", "message": "no money"}), 4),
    (Reply(status=429, headers={"retry-after": "36000"}), 4),
]


@pytest.mark.parametrize(("refusal", "code"), REFUSALS)
def test_a_batch_of_which_the_first_rows_are_all_refused_stops(server, tmp_path, capfd, refusal, code):
    server.handler = lambda request: refusal
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": str(n)} for n in range(200)]), tmp_path / "out.jsonl"
    assert main(to(server, rows, "-o", out, "--max-concurrent", 4)) == code
    *_, last = capfd.readouterr().err.splitlines()
    assert last.startswith(
        "llmnet: the first 20 rows were all refused, so no more were sent; the last of them: openai ("
    )
    assert f"HTTP {refusal.status}" in last
    rows = len(results(out.read_text()))
    assert 20 <= rows < 80
    if refusal.headers:  # the first refusals hold the others, which are not sent
        assert 1 <= server.request_count <= 20
    else:
        assert rows == server.request_count  # those under way were waited for


@pytest.mark.parametrize(
    ("replies", "rows"),
    [
        ([Reply(status=401)] * 20, 20),  # all were sent
        ([Reply(status=401)] * 19 + [Reply(status=400)], 60),
        ([Reply()] + [Reply(status=401)] * 59, 60),
        ([Reply(status=400)] * 60, 60),
        ([Reply()] + [Reply(status=401)] * 100, 101),  # all were sent
        ([Reply()] + [Reply(status=401)] * 99 + [Reply(status=400)] + [Reply(status=401)] * 50, 160),
    ],
)
def test_other_batches_go_on(server, tmp_path, capfd, replies, rows):
    server.script(*replies)
    path, out = written(tmp_path / "in.jsonl", [{"prompt": str(n)} for n in range(rows)]), tmp_path / "out.jsonl"
    main(to(server, path, "-o", out, "--ordered", "--max-concurrent", 1, "--timeout", 0.3))
    assert len(results(out.read_text())) == rows
    assert "refused, so no more were sent" not in capfd.readouterr().err


def test_a_quota_that_is_spent_half_way_through_ends_a_batch(server, tmp_path, capfd):
    server.script(*[Reply()] * 30, *[Reply(status=402)] * 270)
    rows, out = written(tmp_path / "in.jsonl", [{"prompt": str(n)} for n in range(300)]), tmp_path / "out.jsonl"
    assert main(to(server, rows, "-o", out, "--max-concurrent", 4)) == 1
    *_, last = capfd.readouterr().err.splitlines()
    assert last.startswith("llmnet: 100 rows in a row were refused, so no more were sent; the last of them: openai (")
    assert 130 <= len(results(out.read_text())) < 200


COLUMNS = [
    (b'{"prompt": }', 12), (b'{"prompt": "a"', 15), (b'{"prompt": "a" "b"}', 16), (b'  {"prompt": }  ', 14), (b'{"prompt": "a', 12),
    ('{"prompt": "五" }, '.encode(), 17), (b'{"a":\t}', 7), (b"", None),
]  # fmt: skip


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"  \n"])
@pytest.mark.parametrize("mark", [b"", BOM])
def test_columns_of_json_errors(server, tmp_path, capfd, end, mark):
    rows = tmp_path / "in.jsonl"
    rows.write_bytes(mark + end.join(line for line, _ in COLUMNS) + end)
    assert main(to(server, rows)) == 2
    lines = capfd.readouterr().err.splitlines()[1:]
    assert [int(line.rpartition(" ")[2]) for line in lines] == [column for _, column in COLUMNS if column]
    assert all(" at column " in line for line in lines)
