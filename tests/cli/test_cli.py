"""The command line, run as a person or a pipe runs it."""

import json

import pytest
from support.commands import run

from llmnet.cli import main
from llmnet.testing import Reply


def test_chat_streams_the_reply(server):
    done = run(server, "chat", "Hello there")
    assert (done.returncode, done.stdout) == (0, "Hello there\n")
    assert server.requests[0].json["stream"] is True


def test_stdin_system_and_no_stream(server):
    done = run(server, "chat", "-", "--system", "Be brief", "--no-stream", stdin="from a pipe")
    assert (done.returncode, done.stdout) == (0, "from a pipe\n")
    assert [m["role"] for m in server.requests[0].json["messages"]] == ["system", "user"]
    assert "stream" not in server.requests[0].json


def test_json_is_for_machines(server):
    said = json.loads(run(server, "chat", "Hi", "--json").stdout)
    assert said["content"] == "Hi"
    assert said["finish_reason"] == "stop"
    assert said["meta"]["attempts"][0]["status"] == 200


def test_models(server):
    assert "fake-1" in run(server, "models").stdout.splitlines()
    assert json.loads(run(server, "models", "--json").stdout)[0]["id"] == "fake-1"


CODES = [
    ([Reply(status=401)], 3),
    ([Reply(status=403)], 3),
    ([Reply(status=402)], 4),
    ([Reply(status=429, error={"code": "insufficient_quota", "message": "no money"})], 4),
    ([Reply(status=400)], 1),
    ([Reply(truncate=True)] * 5, 5),
]


@pytest.mark.parametrize(("script", "code"), CODES)
def test_exit_codes(server, script, code, capsys):
    server.script(*script)
    assert main(["chat", "Hi", "--model", "openai:m", "--base-url", f"{server.url}/v1"]) == code
    assert capsys.readouterr().err.startswith("llmnet: ")


def test_network_and_usage(capsys):
    assert main(["chat", "Hi", "--model", "openai:m", "--base-url", "http://127.0.0.1:9/v1", "--timeout", "0.5"]) == 5
    assert main(["chat", "Hi", "--model", "openai:m", "--base-url", "ftp://x"]) == 2
    assert main(["chat", " ", "--model", "fake:m"]) == 2
    with pytest.raises(SystemExit) as stop:
        main(["chat"])
    assert stop.value.code == 2


def test_interrupted(monkeypatch, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setitem(__import__("llmnet.cli.commands", fromlist=["COMMANDS"]).COMMANDS, "chat", interrupt)
    assert main(["chat", "Hi"]) == 130
    assert capsys.readouterr().err == "llmnet: interrupted\n"


def test_a_key_in_the_environment_chooses_the_provider(server, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    assert main(["chat", "Hi"]) == 0
    assert server.requests[0].path == "/v1/messages"
