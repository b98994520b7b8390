"""What a command makes of the world that it is run in: no traceback, one line and a code, and nothing paid for in vain."""

import io
import json
import os
import subprocess
import sys

import pytest

from llmnet.cli import main, reading
from llmnet.cli.settings import default_model
from llmnet.providers.services import SERVICES
from llmnet.testing import Reply

CLI = [sys.executable, "-m", "llmnet"]
EMOJI = "Hi \N{GRINNING FACE}, caf\N{LATIN SMALL LETTER E WITH ACUTE}!"
FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")


def at(server):
    return ("-m", "openai:m", "--base-url", f"{server.url}/v1")


class Streams:
    """The streams of a command that runs in this process."""

    def __init__(self, monkeypatch):
        self._patch = monkeypatch

    def run(self, *arguments, stdin=b"", charset="utf-8"):
        """The exit code, and what came out."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding=charset, newline="") for _ in range(2))
        source = None if stdin is None else io.TextIOWrapper(io.BytesIO(stdin), encoding=charset)
        for name, stream in (("stdin", source), ("stdout", out), ("stderr", err)):
            self._patch.setattr(sys, name, stream)
        code = main(arguments)
        out.flush()
        err.flush()
        return code, out.buffer.getvalue(), err.buffer.getvalue()


@pytest.fixture
def streams(monkeypatch):
    return Streams(monkeypatch)


def process(*arguments, shell="", stdout=subprocess.PIPE, **environment):
    """The command as a process of its own; what `shell` says is done to its streams."""
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", *CLI, *map(str, arguments)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "", **environment},  # without a buffer nothing is left for the end of the process
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    return done


# -- what comes on standard input -----------------------------------------------------------------------------------

SAID = [
    # the prompt, standard input, what is asked
    ("Summarise", b"a text\n", "Summarise\n\na text\n"),
    ("Summarise", b"\xef\xbb\xbfa text", "Summarise\n\na text"),
    ("Summarise", b"", "Summarise"),
    ("Summarise", b" \n", "Summarise"),
    ("Summarise", None, "Summarise"),
    ("-", b"\xef\xbb\xbfa text", "a text"),
    ("-", "五\r\n".encode(), "五\r\n"),
]


@pytest.mark.parametrize(("prompt", "stdin", "asked"), SAID)
def test_what_is_asked(server, streams, prompt, stdin, asked):
    assert streams.run("chat", prompt, *at(server), stdin=stdin, charset="latin-1")[0] == 0
    assert server.requests[0].json["messages"] == [{"role": "user", "content": asked}]


WRONG = [
    ("Hi", b"caf\xe9", f"standard input is no UTF-8: byte 4; nothing was sent; {reading.CURE}"),
    ("-", "你好".encode("gbk"), f"standard input is no UTF-8: byte 1; nothing was sent; {reading.CURE}"),
    ("-", b"", "the prompt is empty"),
    ("-", None, "standard input is closed"),
]


@pytest.mark.parametrize(("prompt", "stdin", "text"), WRONG)
def test_input_that_cannot_be_read(server, streams, prompt, stdin, text):
    assert streams.run("chat", prompt, *at(server), stdin=stdin) == (2, b"", f"llmnet: {text}\n".encode())
    assert server.request_count == 0


def test_standard_input_without_end(server, streams, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES", 1000)
    assert streams.run("chat", "Hi", *at(server), stdin=b"y\n" * 500)[0] == 0
    text = b"llmnet: standard input is longer than 1,000 bytes; nothing was sent\n"
    assert streams.run("chat", "Hi", *at(server), stdin=b"y\n" * 501) == (2, b"", text)
    assert server.request_count == 1


@pytest.mark.parametrize(("prompt", "hint"), [(["Hi"], reading.HINT), ([], reading.HINT_ALONE)])
def test_standard_input_that_was_left_open(server, prompt, hint):
    """It says what it waits for, and a signal ends it."""
    program = "import sys; from llmnet.cli import main, reading; reading.HINT_DELAY = 0.01; sys.exit(main())"
    command = [sys.executable, "-c", program, "chat", *prompt, *at(server)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stderr.readline() == hint.encode() + b"\n"
        child.terminate()
        assert child.stderr.read() == b"llmnet: interrupted\n"
    assert (child.returncode, server.request_count) == (143, 0)


@pytest.mark.parametrize("utf8", ["0", "1"])
def test_arguments_are_utf_8_in_any_locale(server, utf8):
    """A bare `LC_ALL=C`, without Python's UTF-8 mode, reads the bytes of an argument as ASCII."""
    done = process("chat", "你好", "--system", "五", *at(server), LC_ALL="C", PYTHONUTF8=utf8)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [message["content"] for message in server.requests[0].json["messages"]] == ["五", "你好"]


@pytest.mark.skipif(sys.platform != "linux", reason="arguments are bytes on Linux alone")
def test_an_argument_that_is_no_utf_8(server):
    done = process("chat", os.fsdecode(b"caf\xe9"), *at(server))
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, b"llmnet chat: error: argument prompt: is no UTF-8")


def test_standard_input_of_a_process(server):
    assert process("chat", "Hi", *at(server), shell=f"<{__file__}").stdout.startswith(b'Hi\n\n"""What a command')


def test_a_terminal_is_not_read(server):
    own, theirs = os.openpty()
    done = subprocess.run([*CLI, "chat", "Hi", *at(server)], stdin=theirs, capture_output=True, timeout=60, check=False)
    os.close(own)
    os.close(theirs)
    assert (done.returncode, done.stdout) == (0, b"Hi\n")


# -- a terminal that lacks a character --------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [(), ("--no-stream",), ("--json",)])
@pytest.mark.parametrize("charset", ["ascii", "cp1252", "utf-8"])
def test_a_character_that_the_terminal_lacks_is_replaced(server, streams, charset, option):
    server.handler = lambda request: Reply(text=EMOJI)
    code, out, err = streams.run("chat", "hello", *option, *at(server), charset=charset)
    assert (code, err) == (0, b"")
    output = out.decode(charset)
    if "--json" in option:
        assert json.loads(output)["content"] == EMOJI
    else:
        assert output == EMOJI.encode(charset, "replace").decode(charset) + "\n"


def test_models_and_errors_in_another_charset(server, streams):
    server.script(Reply(body={"data": [{"id": EMOJI}]}), Reply(status=400, error={"message": EMOJI}))
    assert streams.run("models", *at(server), charset="ascii") == (0, b"Hi ?, caf?!\n", b"")
    code, _, err = streams.run("chat", "hello", *at(server), charset="ascii")
    assert (code, err.startswith(b"llmnet: openai ("), b"Hi \\U0001f600, caf\\xe9!" in err) == (1, True, True)


# -- standard output that takes nothing -------------------------------------------------------------------------------

TALK = [("chat", "Hi"), ("chat", "Hi", "--no-stream"), ("chat", "Hi", "--json"), ("models",)]
NO_SPACE = b"llmnet: cannot write standard output: No space left on device"


@FULL
@pytest.mark.parametrize("arguments", TALK)
def test_a_full_disk(server, monkeypatch, capsys, arguments):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main([*arguments, *at(server)]) == 1
    assert capsys.readouterr().err.encode() == NO_SPACE + b"\n"


@FULL
@pytest.mark.parametrize(("arguments", "text"), [(("--help",), b""), (("batch", "-"), b"; the batch was stopped")])
def test_a_full_disk_of_a_process(server, tmp_path, arguments, text):
    (tmp_path / "in.jsonl").write_text('{"prompt": "a"}\n')
    more = at(server) if "batch" in arguments else ()
    done = process(*arguments, *more, shell=f"<{tmp_path / 'in.jsonl'} >/dev/full")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, NO_SPACE + text)


@FULL
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_that_cannot_be_written(option, buffered):
    done = process(option, shell=">/dev/full", PYTHONUNBUFFERED=buffered)
    assert (done.returncode, done.stderr) == (1, NO_SPACE + b"\n")


@pytest.mark.parametrize("arguments", [*TALK, ("batch", "in.jsonl")])
def test_a_closed_standard_output(server, tmp_path, monkeypatch, capsys, arguments):
    (tmp_path / "in.jsonl").write_text('{"prompt": "a"}\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", None)
    assert main([*arguments, *at(server)]) == 2
    assert capsys.readouterr().err == "llmnet: standard output is closed; nothing was sent\n"
    assert server.request_count == 0


def test_a_batch_into_a_file_needs_no_other_stream(server, tmp_path):
    rows, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows.write_text('{"prompt": "a"}\n')
    assert process("batch", rows, "-o", out, *at(server), shell=">&- 2>&-").returncode == 0
    assert json.loads(out.read_text())["error"] is None


@pytest.mark.parametrize("arguments", [("chat", "Hi"), ("models",), ("--help",)])
def test_a_reader_that_has_left(server, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    server.handler = lambda request: Reply(text="x" * 100_000) if arguments[0] == "chat" else None
    done = process(*arguments, *(at(server) if arguments in TALK else ()), stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("shell", ["2>&-", pytest.param("2>/dev/full", marks=FULL)])
def test_standard_error_that_takes_nothing(server, shell):
    server.script(Reply(status=401))
    done = process("chat", "Hi", *at(server), shell=shell)
    assert (done.returncode, done.stdout) == (3, b"")


@pytest.mark.parametrize("module", ["msgspec", "argparse", "llmnet.client"])
def test_ctrl_c_while_the_program_is_loaded(module):
    program = (
        "import sys, llmnet.cli\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.exit(llmnet.cli.main(['chat', 'Hi']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, b"llmnet: interrupted\n")


def test_a_fault_of_ours_is_one_line(monkeypatch, capsys):
    def fail(_):
        raise RuntimeError("a bug")

    monkeypatch.setitem(__import__("llmnet.cli.commands", fromlist=["COMMANDS"]).COMMANDS, "chat", fail)
    assert main(["chat", "Hi"]) == 1
    assert capsys.readouterr().err == "llmnet: unexpected RuntimeError: a bug\n"


# -- keys -------------------------------------------------------------------------------------------------------------

KEYS = sorted({key for service in SERVICES.values() for key, _ in service.key_vars})
KNOWN = {"openai", "anthropic", "dashscope", "deepseek"}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_names_its_service(monkeypatch, capsys, key):
    monkeypatch.setenv(key, "sk-0123456789abcdef")
    [name] = [name for name, service in SERVICES.items() if key in dict(service.key_vars)]
    if name in KNOWN:
        assert default_model(os.environ, "chat", has_base=False).startswith(f"{name}:")
        return
    for command in (["chat", "Hi"], ["batch", os.devnull]):
        assert main(command) == 2
        text = capsys.readouterr().err
        assert text == (
            f"llmnet: no model was named, and {key} is set: -m {name}:MODEL; "
            f'"llmnet models -m {name}:" lists what MODEL may be\n'
        )
    assert default_model(os.environ, "models", has_base=False) == f"{name}:"


def test_several_keys_are_all_named(monkeypatch, capsys):
    monkeypatch.setenv("MOONSHOT_API_KEY", "sk-0123456789abcdef")
    monkeypatch.setenv("ZHIPUAI_API_KEY", "sk-0123456789abcdef")
    assert main(["chat", "Hi"]) == 2
    text = capsys.readouterr().err
    assert "MOONSHOT_API_KEY is set: -m moonshot:MODEL, ZHIPUAI_API_KEY is set: -m zhipu:MODEL" in text
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-0123456789abcdef")
    assert default_model(os.environ, "chat", has_base=False).startswith("deepseek:")


def test_models_of_a_service_whose_key_is_set(server, monkeypatch, capsys):
    monkeypatch.setenv("MOONSHOT_API_KEY", "sk-0123456789abcdef")
    monkeypatch.setenv("MOONSHOT_BASE_URL", f"{server.url}/v1")
    assert main(["models"]) == 0
    assert "fake-1" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("variable", ["OPENAI_BASE_URL", "OLLAMA_BASE_URL", "AZURE_OPENAI_ENDPOINT"])
def test_an_address_without_a_key_names_its_service(monkeypatch, capsys, variable):
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    name = variable.split("_")[0].lower()
    assert main(["chat", "Hi"]) == 2
    assert f"no model was named, and {variable} is set: -m {name}:MODEL;" in capsys.readouterr().err
    assert default_model(os.environ, "models", has_base=False) == f"{name}:"


def test_without_any_key_it_echoes_and_says_so(capsys):
    assert main(["chat", "Hi"]) == 0
    text = capsys.readouterr()
    assert (text.out, text.err.startswith("llmnet: no key is configured")) == ("Hi\n", True)


def test_without_any_key_a_batch_is_answered_by_nobody(tmp_path, capsys):
    (tmp_path / "in.jsonl").write_text('{"prompt": "a"}\n')
    out = tmp_path / "out.jsonl"
    assert main(["batch", str(tmp_path / "in.jsonl"), "-o", str(out)]) == 2
    assert 'nothing was sent: "-m fake:echo" asks the embedded server' in capsys.readouterr().err
    assert not out.exists()
    assert main(["batch", str(tmp_path / "in.jsonl"), "-o", str(out), "-m", "fake:echo"]) == 0
