"""A terminal gets no control sequence from a server, however it is cut; a pipe gets all of it."""

import importlib.util
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.commands import run

from llmnet.cli.terminal import ControlFilter, without_controls
from llmnet.testing import Reply

EVIL = {
    "a colour": ("\x1b[31mred\x1b[0m", "red"),
    "a title": ("a\x1b]0;you were had\x07b", "ab"),
    "the clipboard": ("a\x1b]52;c;cm0gLXJmIH4=\x1b\\b", "ab"),
    "a title, ended by ST of C1": ("a\x9d0;t\x9cb", "ab"),
    "a question": ("\x1b[6na", "a"),
    "a question of C1": ("\x9b6na", "a"),
    "a device's string": ('\x1bP$q"p\x1b\\a', "a"),
    "a privacy message": ("\x1b^x\x1b\\a\x1b_y\x1b\\b", "ab"),
    "a reset": ("\x1bca", "a"),
    "a character set": ("\x1b(0a", "a"),
    "the line written anew": ("abc\rxyz\x08!", "abcxyz!"),
    "other controls": ("a\x00\x07\x0b\x0c\x0e\x7f\x85\x8db", "ab"),
    "another order": ("a\u202eb\u2066c\u2069", "abc"),
    "left open": ("a\x1b]0;never ended\nb", "a\nb"),
    "left open in its parameters": ("a\x1b[31;\nb", "a\nb"),
    "broken off by a letter beyond ASCII": ("\x1b[3你好", "你好"),
    "one within another": ("a\x1b]0;t\x1b[31mb", "ab"),
    "nothing": ("tab\tand line\n你好 é", "tab\tand line\n你好 é"),
}


@pytest.mark.parametrize("name", EVIL)
def test_what_a_terminal_is_shown(name):
    text, visible = EVIL[name]
    assert without_controls(text) == visible


@pytest.mark.parametrize("name", EVIL)
def test_wherever_it_is_cut(name):
    text, visible = EVIL[name]
    for at in range(len(text) + 1):
        clean = ControlFilter()
        assert clean(text[:at]) + clean(text[at:]) == visible
    clean = ControlFilter()
    assert "".join(map(clean, text)) == visible


@given(st.lists(st.text("ab[]();0123?\\\x1b\x9b\x9d\x9c\x07\x18\n\t\r你m"), max_size=5))
def test_no_control_is_left(pieces):
    clean = ControlFilter()
    visible = "".join(map(clean, pieces))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", visible)
    assert visible == without_controls("".join(pieces))


SAID = "a\x1b]0;title\x07b\x1b[31mc\x9b0md"


def script(server):
    server.script(Reply(text=SAID))


@pytest.mark.parametrize("options", [[], ["--no-stream"]])
def test_a_pipe_gets_all_of_it(server, options):
    script(server)
    assert run(server, "chat", "hi", *options).stdout == SAID + "\n"


def test_a_log_gets_none_of_it_in_an_error(server):
    """Standard error is read by people, sooner or later on a terminal."""
    server.script(Reply(status=400, error={"message": SAID, "code": SAID}))
    done = run(server, "chat", "hi")
    assert "abcd" in done.stderr
    assert not re.search("[\x1b\x07\x80-\x9f]", done.stderr)


ON_TERMINAL = pytest.mark.skipif(importlib.util.find_spec("pty") is None, reason="needs a terminal")


@ON_TERMINAL
@pytest.mark.parametrize("options", [[], ["--no-stream"], ["--json"]])
def test_a_terminal_gets_none(server, options):
    from support.terminals import COMMAND, Terminal

    script(server)
    where = ["-m", "openai:m", "--base-url", f"{server.url}/v1"]
    terminal = Terminal("plain", COMMAND, "chat", "hi", *where, *options, output="terminal")
    screen = terminal.read().decode()
    terminal.end()
    assert "abcd" in screen or "\\u001b" in screen
    assert not re.search("[\x1b\x07\x80-\x9f]", screen)


@ON_TERMINAL
def test_nor_does_it_in_an_error_and_in_the_lines_and_the_summary_of_a_batch(server, tmp_path):
    from support.terminals import COMMAND, Terminal

    server.script(
        Reply(status=400, error={"message": SAID, "code": f"x{SAID}"}), Reply(status=400, error={"code": SAID})
    )
    where = ["-m", "openai:m", "--base-url", f"{server.url}/v1"]
    terminal = Terminal("plain", COMMAND, "chat", "hi", *where, output="terminal")
    assert "abcd" in terminal.read().decode()
    assert not re.search(b"[\x1b\x07]|\xc2[\x80-\x9f]", terminal.read())
    terminal.end()
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "hi"}\n')
    terminal = Terminal("plain", COMMAND, "batch", os.fspath(rows), *where, output="terminal")
    screen = terminal.read()
    terminal.end()
    assert b"abcd" in screen
    assert not re.search(b"[\x1b\x07]|\xc2[\x80-\x9f]", screen)
