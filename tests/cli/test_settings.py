"""What the options leave open: the environment says it, then the config file; each of their mistakes is named."""

import os

import pytest

from llmnet.cli import main
from llmnet.cli.settings import config_path, read_file

FULL = """
model = "openai:of-the-file"
base_url = "{url}/v1"
system = "Be brief"
timeout = 50

[defaults]
temperature = 0
max_tokens = 7
stop = ["a", "b"]
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function that writes the config file."""
    path = tmp_path / "llmnet" / "config.toml"
    path.parent.mkdir()
    monkeypatch.delenv("LLMNET_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def write(text):
        path.write_text(text)
        return path

    return write


def asked(server, *arguments):
    assert main(["chat", "Hi", "--no-stream", *arguments]) == 0
    return server.requests[-1].json


def test_a_config_file(server, file):
    file(FULL.format(url=server.url))
    assert asked(server) == {
        "model": "of-the-file",
        "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}],
        "temperature": 0,
        "max_tokens": 7,
        "stop": ["a", "b"],
    }


def test_the_timeout_of_the_file_bounds_no_row_of_a_batch(server, file, tmp_path, capfd):
    """A row waits out a throttle that is longer than anybody waits at a terminal."""
    file(FULL.format(url=server.url).replace("timeout = 50", "timeout = 0.2"))
    rows = tmp_path / "in.jsonl"
    rows.write_text('{"prompt": "a"}\n')
    server.script(429, "fine", 429)
    assert main(["batch", str(rows)]) == 0
    assert '"content":"fine"' in capfd.readouterr().out.replace('": "', '":"')
    assert main(["batch", str(rows), "--timeout", "0.2"]) == 4
    assert server.request_count == 3
    server.script(429)
    assert main(["chat", "Hi"]) == 4
    assert server.request_count == 4


def test_an_option_goes_before_the_file(server, file):
    file(FULL.format(url=server.url))
    options = ["-s", "", "-p", "temperature=1", "-p", "max_completion_tokens=9", "-p", "stop=null"]
    assert asked(server, *options) == {
        "model": "of-the-file",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 1,
        "max_completion_tokens": 9,
    }
    assert asked(server, "--temperature", "2", "-p", "temperature=1", "--max-tokens", "3")["temperature"] == 2
    assert asked(server, "--base-url", f"{server.url}/other/v1")["model"] == "of-the-file"
    assert server.requests[-1].path == "/other/v1/chat/completions"


def test_an_option_goes_before_the_variable_and_that_before_the_file(server, file, monkeypatch):
    file('model = "openai:of-the-file"')
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    assert asked(server)["model"] == "of-the-file"
    monkeypatch.setenv("LLMNET_MODEL", " openai:of-the-variable ")
    assert asked(server)["model"] == "of-the-variable"
    assert asked(server, "-m", "openai:of-the-option")["model"] == "of-the-option"


def test_the_address_in_the_file_is_for_its_own_model_alone(server, file, monkeypatch):
    """A key of another provider would go there otherwise."""
    file('model = "openai:m"\nbase_url = "http://127.0.0.1:9/v1"\napi = "responses"')
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    assert asked(server, "-m", "anthropic:x")["model"] == "x"
    monkeypatch.setenv("LLMNET_MODEL", "anthropic:y")
    assert asked(server)["model"] == "y"


def test_where_the_file_is(file, tmp_path, monkeypatch):
    in_home, named = tmp_path / "home" / ".config" / "llmnet" / "config.toml", tmp_path / "named.toml"
    in_home.parent.mkdir(parents=True)
    in_home.write_text("system = 'of home'")
    file("system = 'of XDG'")
    named.write_bytes(b"\xef\xbb\xbfsystem = 'named'\r\n")
    environ = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path)}
    monkeypatch.setenv("HOME", environ["HOME"])
    assert read_file(config_path(environ)) == {"system": "of XDG"}
    assert read_file(config_path(environ | {"XDG_CONFIG_HOME": "relative"})) == {"system": "of home"}
    assert read_file(config_path(environ | {"LLMNET_CONFIG": " "})) == {"system": "of XDG"}
    assert read_file(config_path(environ | {"LLMNET_CONFIG": str(named)})) == {"system": "named"}
    assert read_file(config_path({"XDG_CONFIG_HOME": str(tmp_path / "home")})) == {}


WRONG = [
    ("model = 5", "model must be a string, not int"),
    ("timeout = true", "timeout must be a number of seconds, not bool"),
    ("timeout = -1", "timeout must be"),
    ('model = ""', "model must be a text that is not blank"),
    ('defaults = "x"', "defaults must be a table, not str"),
    ('modle = "x"', "modle is no setting; there are model, base_url, api, system, timeout, defaults"),
    ("temperature = 0", "temperature is a parameter of a call: it belongs below [defaults]"),
    ('api_key = "sk-secret-0123456789"', "api_key does not belong here: keys are read from the environment alone"),
    ('OPENAI_API_KEY = "sk-secret-0123456789"', "OPENAI_API_KEY does not belong here"),
    ('base_url = "http://x"', "base_url needs model beside it"),
    ('model = "openai:m"\nbase_url = "ftp://x"', "base_url must begin with http:// or https://"),
    ('model = "openai:m"\napi = "native"', "api must be one of chat-completions, responses for openai"),
    ("[defaults]\ntemperature = 'hot'", "defaults: temperature must be a number, not 'hot'"),
    ("[defaults]\ntemprature = 0", "defaults: temprature looks like a misspelt temperature"),
    (
        "[defaults]\nmodel = 'x'",
        "defaults: model is no parameter: give --model, or model at the top of the config file",
    ),
    ("[defaults]\nstream = true", "defaults: stream is no parameter of a call"),
    ("[defaults]\nseed = nan", "defaults: seed is nan"),
    ("[defaults]\nuser = 1979-05-27", "defaults: user is a date"),
    ("model = ", "it is no TOML: "),
    ("timeout = " + "9" * 5000, "it is no TOML: "),
    ("#" * 2**20 + "\ntimeout = 100", "it is longer than 1,048,576 bytes"),
    ("[defaults]\nextra_body = 5", "defaults: extra_body must be"),
    ("[defaults]\nextra_headers = {a = 5}", "defaults: extra_headers"),
    ("[defaults]\nself = 1", "defaults: self is no parameter of a call"),
]


@pytest.mark.parametrize(("text", "why"), WRONG)
def test_what_is_wrong_in_the_file_is_named(file, capsys, text, why):
    path = file(text)
    assert main(["chat", "Hi", "-m", "fake:m"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"llmnet: {path}: {why}")
    assert "secret" not in error


def test_a_file_that_cannot_be_read(file, tmp_path, capsys, monkeypatch):
    path = file("")
    path.write_bytes(b"\xff")
    assert main(["models"]) == 2
    assert capsys.readouterr().err == f"llmnet: {path}: it is no UTF-8: byte 1\n"
    monkeypatch.setenv("LLMNET_CONFIG", str(tmp_path))
    assert main(["models"]) == 2
    assert capsys.readouterr().err == f"llmnet: {tmp_path}: it cannot be read: Is a directory\n"
    monkeypatch.setenv("LLMNET_CONFIG", str(tmp_path / "none.toml"))
    assert main(["models"]) == 2
    assert capsys.readouterr().err == f"llmnet: LLMNET_CONFIG names {tmp_path / 'none.toml'}, which is not there\n"


def test_a_wrong_model_names_its_source(file, capsys, monkeypatch):
    path = file('model = "nobody:x"')
    assert main(["chat", "Hi"]) == 2
    assert capsys.readouterr().err.endswith(f"(the model is that of {path})\n")
    monkeypatch.setenv("LLMNET_MODEL", "nobody:x")
    assert main(["chat", "Hi"]) == 2
    assert capsys.readouterr().err.endswith("(the model is that of LLMNET_MODEL)\n")


PARAMETERS = [
    ("top_p=0.5", {"top_p": 0.5}),
    ("user=me", {"user": "me"}),
    ("user=a=b", {"user": "a=b"}),
    ("user=", {"user": ""}),
    ('stop=["a"]', {"stop": ["a"]}),
    ('metadata={"a": "1"}', {"metadata": {"a": "1"}}),
    ("user=NaN", {"user": "NaN"}),
    ('user="5"', {"user": "5"}),
    ('extra_body={"odd": true}', {"odd": True}),
]


@pytest.mark.parametrize(("argument", "fields"), PARAMETERS)
def test_parameters(server, argument, fields):
    assert asked(server, "-m", "openai:m", "--base-url", f"{server.url}/v1", "-p", argument).items() >= fields.items()


NO_PARAMETERS = [
    ("prompt=x", "prompt is no parameter, but the prompt"),
    ("api_key=x", "api_key is no parameter of a call"),
    ("timeout=3", "timeout is no parameter: give --timeout"),
    (
        "tempertaure=3",
        "tempertaure looks like a misspelt temperature; if the vendor has a parameter of that name, give it in "
        'extra_body, as {"tempertaure": …}\n',
    ),
    ("custom_id=x", "custom_id is no parameter of a call"),
    ("output_type=x", "output_type is no parameter: give --output-type"),
    ("stop_after_errors=3", "stop_after_errors is no parameter, but an option of llmnet batch: --stop-after-errors"),
    ("stop_after_error=3", "stop_after_error looks like a misspelt stop_after_errors"),
    ("progress=true", "progress is no parameter of a call"),
    ("self=1", "self is no parameter of a call"),
]


@pytest.mark.parametrize(("argument", "why"), NO_PARAMETERS)
@pytest.mark.parametrize("command", [("chat", "Hi"), ("batch", os.devnull)])
def test_what_is_no_parameter(capsys, command, argument, why):
    assert main([*command, "-m", "fake:m", "-p", argument]) == 2
    assert capsys.readouterr().err.startswith(f"llmnet: {why}")


@pytest.mark.parametrize("argument", ["top_p", "=3", " =3"])
def test_no_name_or_no_value(capsys, argument):
    with pytest.raises(SystemExit):
        main(["chat", "Hi", "-p", argument])
    assert "must be NAME=VALUE, as in top_p=0.9, not" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "meant"), [("True", "true"), ("False", "false"), ("None", "null")])
def test_values_are_written_as_in_json(server, capsys, text, meant):
    with pytest.raises(SystemExit):
        main(["chat", "Hi", "-p", f"enable_thinking={text}"])
    assert f"write enable_thinking={meant}, or enable_thinking='\"{text}\"' for that text" in capsys.readouterr().err
    sent = asked(server, "-m", "openai:m", "--base-url", f"{server.url}/v1", "-p", f'enable_thinking="{text}"')
    assert sent["enable_thinking"] == text


def test_parameters_and_system_of_a_batch(server, tmp_path, capsys, file):
    file(FULL.format(url=server.url))
    (tmp_path / "in.jsonl").write_text('{"prompt": "a", "temperature": 2}\n')
    assert main(["batch", str(tmp_path / "in.jsonl"), "-p", "user=me"]) == 0
    assert server.requests[0].json.items() >= {"temperature": 2, "user": "me", "max_tokens": 7}.items()
    assert server.requests[0].json["messages"][0]["content"] == "Be brief"


def test_the_api(server, capsys):
    where = ["-m", "openai:m", "--base-url", f"{server.url}/v1"]
    assert main(["chat", "Hi", *where, "--api", "responses"]) == 0
    assert server.requests[0].path == "/v1/responses"
    assert main(["chat", "Hi", *where, "--api", "native"]) == 2
    assert capsys.readouterr().err.startswith("llmnet: --api must be one of chat-completions, responses for openai")


@pytest.mark.parametrize("command", [(), ("chat",), ("models",), ("batch",)])
def test_help_names_variables_and_the_default_model(capsys, command):
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    output = capsys.readouterr().out
    for word in ("LLMNET_MODEL", "LLMNET_CONFIG", "~/.config/llmnet/config.toml", "OPENAI_API_KEY", "gpt-5.4-mini"):
        assert word in output
