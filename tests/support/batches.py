"""`llmnet batch` in a process of its own: its arguments, its input and what its output says."""

import json
import struct
import subprocess
import sys

from support.terminals import COMMAND, PRELUDE, fcntl, termios

CLI = PRELUDE + COMMAND


def to(server, *arguments):
    return ["batch", "-m", "openai:m", "--base-url", f"{server.url}/v1", *map(str, arguments)]


def started(*arguments, program=CLI, **streams):
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], **pipes)


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def results(text):
    """The lines by custom_id, each of them complete and there once."""
    assert text == "" or text.endswith("\n")
    rows = [json.loads(line) for line in text.splitlines()]
    for row in rows:
        assert list(row) == ["id", "custom_id", "response", "error"]
        assert row["id"].startswith("batch_req_")
    named = {row["custom_id"]: row for row in rows}
    assert len(named) == len({row["id"] for row in rows}) == len(rows)
    return named


def answer_of(row):
    return row["response"]["body"]["choices"][0]["message"]["content"]


def bytes_in(pipe):
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0]
