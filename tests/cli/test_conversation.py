"""`llmnet chat` without a prompt: a conversation on a terminal, with prompt_toolkit and without."""

import contextlib
import importlib.util
import io
import os
import signal
import subprocess
import sys

import pytest
from support.live import eventually
from support.terminals import COMMAND, Terminal

import llmnet
from llmnet.cli import main
from llmnet.cli.commands import Conversation
from llmnet.testing import Reply

NEEDED = pytest.mark.skipif(importlib.util.find_spec("prompt_toolkit") is None, reason="needs prompt_toolkit")
WAYS = ["plain", pytest.param("prompt_toolkit", marks=NEEDED)]


def at(server, *arguments):
    return ["chat", "-m", "openai:m", "--base-url", f"{server.url}/v1", *arguments]


@pytest.fixture
def talk(server):
    """A function that begins a conversation."""
    begun = []

    def begin(way, *arguments):
        begun.append(Terminal(way, COMMAND, *at(server, *arguments), output="terminal", typed=True))
        begun[-1].expect("ends the conversation")
        begun[-1].expect(">")
        return begun[-1]

    yield begin
    for terminal in begun:
        terminal.process.kill()
        terminal.process.wait()


def asked(server):
    return [(message["role"], message["content"]) for message in server.requests[-1].json["messages"]]


@pytest.mark.parametrize("way", WAYS)
def test_what_was_said_goes_along(server, talk, way):
    server.script("the first answer", Reply(status=400, error={"message": "no such luck"}), "the third answer")
    terminal = talk(way, "-s", "Be brief", "-p", "temperature=0")
    for line, shown in (("one", "the first answer"), ("two", "no such luck"), ("三", "the third answer")):
        terminal.type(f"{line}\r")
        terminal.expect(shown)
        terminal.expect(">")
    terminal.type("/quit\r")
    assert terminal.end()[0] == 0
    said = [("system", "Be brief"), ("user", "one"), ("assistant", "the first answer"), ("user", "三")]
    assert asked(server) == said, "a line that failed is forgotten"
    assert server.requests[-1].json["temperature"] == 0


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_ends_the_reply_alone(server, talk, way):
    server.script(Reply(text="half of it, and the rest", hold="body"), Reply(hold=True), "again")
    terminal = talk(way)
    terminal.type("one\r")
    terminal.expect("half")
    terminal.type("\x03")
    terminal.expect("the reply was ended")
    terminal.expect(">")
    terminal.type("two\r")
    server.wait_for_requests(2)
    terminal.type("\x03")
    terminal.expect("the reply was ended")
    terminal.expect(">")
    terminal.type("three\r")
    terminal.expect("again")
    terminal.expect(">")
    terminal.type("\x04")
    assert terminal.end()[0] == 0
    (_, half), (_, three) = asked(server)[1:]
    assert half.startswith("half")
    assert "rest" not in half
    assert three == "three", "of what got no answer nothing is kept"


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_drops_a_line_and_ctrl_d_ends_it(server, talk, way):
    server.script("an answer")
    terminal = talk(way)
    terminal.type("not this")
    terminal.expect("not this")
    terminal.insist("\x03", ">")
    terminal.type("\r")
    terminal.expect(">")
    terminal.type("but this\r")
    terminal.expect("an answer")
    terminal.expect(">")
    terminal.type("\x04")
    assert terminal.end()[0] == 0
    assert asked(server) == [("user", "but this")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("during", ["the prompt", "the reply"])
def test_another_signal_ends_it(server, talk, way, during):
    server.script(Reply(hold=True))
    terminal = talk(way)
    if during == "the reply":
        terminal.type("one\r")
        server.wait_for_requests(1)
    terminal.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        terminal.process.wait(1)
    terminal.type("\r")  # where it came the moment before the wait for a key, which Python does not end for it
    assert terminal.end()[0] == 143


def test_commands(server, talk, tmp_path):
    (tmp_path / "a").write_bytes(b"GIF89a")
    terminal = talk("plain", "-s", "Be brief", "-a", str(tmp_path / "a"))

    def say(line, shown):
        terminal.type(f"{line}\r")
        terminal.expect(f"{line}\r\n")
        terminal.expect(shown)
        terminal.expect(">")

    say("one", "one")
    assert asked(server)[1][1][0]["type"] == "image_url"
    say("/system Be kind", "")
    say("two", "two")
    assert [role for role, _ in asked(server)] == ["system", "user", "assistant", "user"]
    assert (asked(server)[0], asked(server)[-1]) == (("system", "Be kind"), ("user", "two"))
    say("/clear", "")
    say("/system", "")
    say(" /etc/passwd", "/etc/passwd")
    assert asked(server) == [("user", " /etc/passwd")]
    say("/qiut now", "there is no /qiut")
    say("/help", "/quit or Ctrl-D")
    assert server.request_count == 3
    terminal.type("/exit\r")
    assert terminal.end()[0] == 0


def test_a_wrong_call_does_not_end_it(server, talk):
    terminal = talk("plain", "-p", "temperature=hot")
    terminal.type("one\r")
    terminal.expect("temperature must be a number, not 'hot'")
    terminal.expect(">")
    terminal.type("/quit\r")
    assert terminal.end()[0] == 0
    assert server.request_count == 0


def test_a_wrong_system_message_does_not_end_it(server, capsys):
    # Where the locale is C.UTF-8, Python reads a byte that is no UTF-8 as a lone surrogate.
    lines = iter(("one", "/system caf\udce9", "two"))

    def read_line():
        if (line := next(lines, None)) is None:
            raise EOFError
        return line

    with llmnet.Client("openai:m", base_url=f"{server.url}/v1", system="Be brief") as client:
        Conversation(client, {}, ()).run(read_line)
    assert "llmnet: system holds half a surrogate pair" in capsys.readouterr().err
    said = [("system", "Be brief"), ("user", "one"), ("assistant", "one"), ("user", "two")]
    assert asked(server) == said, "the message before it stays"


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_text_and_what_a_text_does_not_tell(server, talk, way):
    server.handler = lambda request: Reply(refusal="I won't") if "do it" in asked(server)[-1][1] else None
    terminal = talk(way)
    terminal.type("\udcff\r")
    terminal.expect(">")
    terminal.type("do it\r")
    terminal.expect("llmnet: the model refused: I won't")
    terminal.expect(">")
    terminal.type("/quit\r")
    assert terminal.end()[0] == 0


def test_what_needs_a_prompt(server):
    terminal = Terminal("plain", COMMAND, *at(server, "--json"), output="terminal", typed=True)
    code, _, lines = terminal.end()
    assert code == 2
    assert lines[0].startswith("llmnet: no prompt: without one")


def test_an_output_that_is_no_terminal(server, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert main(at(server)) == 2
    assert capsys.readouterr().err.startswith("llmnet: no prompt: without one")


def test_without_a_terminal_standard_input_is_the_prompt(server, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe")))
    assert main(at(server)) == 0
    assert capsys.readouterr().out == "from a pipe\n"
    assert eventually(lambda: server.request_count == 1)
    assert os.isatty(0) or asked(server) == [("user", "from a pipe")]
