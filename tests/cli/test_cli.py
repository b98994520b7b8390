"""The command line, run as a person or a pipe runs it."""

import json
import re

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
    reply = json.loads(run(server, "chat", "Hi", "--json").stdout)
    assert reply["content"] == "Hi"
    assert reply["finish_reason"] == "stop"
    meta = reply["meta"]
    assert (meta["attempts"][0]["status"], meta["headers"]["x-request-id"]) == (200, meta["request_id"])
    assert meta["queued"] >= 0


REMARKS = [
    (Reply(refusal="I won't"), "the model refused: I won't"),
    (Reply(text="half a", finish="length"), "the reply ended at its limit of tokens"),
    (Reply(text="half a", finish="content_filter"), "the reply was ended by the vendor's content filter"),
    (Reply(text=""), "the reply has no text"),
]


@pytest.mark.parametrize("options", [(), ("--no-stream",)])
@pytest.mark.parametrize(("reply", "text"), REMARKS)
def test_what_the_text_does_not_tell(server, capsys, reply, text, options):
    server.script(reply)
    assert main(["chat", "Hi", *options, "--model", "openai:m", "--base-url", f"{server.url}/v1"]) == 0
    assert capsys.readouterr() == (f"{reply.text or ''}\n", f"llmnet: {text}\n")


def test_an_error_begins_a_line(server, capsys):
    server.script(Reply(text="a few words", truncate=True))
    assert main(["chat", "Hi", "--model", "openai:m", "--base-url", f"{server.url}/v1"]) == 5
    assert capsys.readouterr().out == "a few words\n"


def test_the_timeout_is_that_of_the_whole_call(server, capsys):
    """A stream, too, of which no attempt is repeated once it is over."""
    server.handler = lambda request: Reply(silent=True)
    options = ["--model", "openai:m", "--base-url", f"{server.url}/v1", "--timeout", "0.2"]
    assert main(["chat", "Hi", *options]) == 5
    assert "the total bound of 0.2s expired" in capsys.readouterr().err
    assert server.request_count == 1


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


def test_models_of_a_provider_that_is_named_without_a_colon(server, monkeypatch, capsys):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    assert main(["models", "-m", "claude"]) == 0
    assert "fake-1" in capsys.readouterr().out.splitlines()
    assert server.requests[0].headers["x-api-key"] == "sk-ant-0123456789"


WORDS = [
    (("chat", "Hi", "-m", "ollama:"), "no model: give -m PROVIDER:MODEL"),
    (("chat", "Hi", "-m", "openai:m"), "no key for openai: set OPENAI_API_KEY, as by export OPENAI_API_KEY='…'"),
    (("chat", "Hi", "-m", "azure:m"), "no address for azure: give --base-url or set AZURE_OPENAI_ENDPOINT"),
    (("chat", "Hi", "-m", "claude-x"), 'write "anthropic:" before it, or give --base-url'),
    (("chat", "Hi", "-m", "nobody:x"), 'as in "ollama:llama3:8b", or give --base-url'),
    (("chat", "Hi", "-m", "x", "--base-url", "ftp://h"), "llmnet: --base-url must begin with http:// or https://"),
    (("chat", "Hi", "-m", "x", "--base-url", "http://u:p@h"), "; set the variable of the provider's key"),
    (("chat", "Hi", "--base-url", "http://h"), "--base-url needs --model"),
]


@pytest.mark.parametrize(("arguments", "text"), WORDS)
def test_errors_speak_of_what_was_typed(capsys, arguments, text):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert text in error
    assert not re.search(r"\w=|base_url|api_key|the client", re.sub(r"export [A-Z_]+=", "", error))


def test_rows_have_fields_and_no_arguments(tmp_path, capsys, monkeypatch):
    rows = ['"temprature": 1', '"provider": "x"', '"max_concurrent": 3', '"model": "anthropic:x"', '"stream": true']
    (tmp_path / "in.jsonl").write_text("".join(f'{{"prompt": "a", {row}}}\n' for row in rows))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    assert main(["batch", str(tmp_path / "in.jsonl"), "-m", "openai:m"]) == 2
    error = capsys.readouterr().err
    assert "line 1: temprature looks like a misspelt temperature;" in error
    assert "line 2: provider is no parameter of a row\n" in error
    assert "line 4: the model names anthropic" in error
    assert not re.search(r"\w=|client|chat", error)


@pytest.mark.parametrize("command", [(), ("chat",), ("models",), ("batch",)])
def test_help_lists_the_exit_codes(capsys, command):
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    output = " ".join(capsys.readouterr().out.split())
    codes = "0 .*, 1 .* 2 usage .* 3 authentication, 4 quota or rate limit, 5 network.* 129, 130, 143"
    assert re.search(f"exit codes: {codes}", output)


def test_network_and_usage(capsys):
    assert main(["chat", "Hi", "--model", "openai:m", "--base-url", "http://127.0.0.1:9/v1", "--timeout", "0.5"]) == 5
    assert main(["chat", "Hi", "--model", "openai:m", "--base-url", "ftp://x"]) == 2
    assert main(["chat", " ", "--model", "fake:m"]) == 2
    with pytest.raises(SystemExit) as stop:
        main(["batch"])
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
