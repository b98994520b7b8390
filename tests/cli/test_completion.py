"""What a shell is told when somebody presses the tab key."""

import os
import pathlib
import subprocess
import sys

import pytest

import llmnet
from llmnet.providers.services import SERVICES

pytest.importorskip("argcomplete")


@pytest.fixture
def press_tab(tmp_path):
    """A function that gives what may stand at the end of a line."""
    (tmp_path / "rows.jsonl").write_text("")

    def press(line, program="from llmnet.cli import main; main(); print('it went on')"):
        environment = {
            **os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)),
            "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "found"), "_ARGCOMPLETE_IFS": "\n",
        }  # fmt: skip
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, b"")
        return [word.strip() for word in (tmp_path / "found").read_text().split("\n")]

    return press


LINES = [
    ("llmnet ", {"chat", "batch", "models", "--help", "--version"}),
    ("llmnet chat --o", {"--output-type"}),
    ("llmnet chat -m ope", {"openai:", "openai:gpt-5.4-mini", "openrouter:"}),
    ("llmnet chat -m anthropic:x --api ", {"messages"}),
    ("llmnet chat -p top_", {"top_p=", "top_k=", "top_logprobs=", "top_a=", "top_n="}),
    ("llmnet chat -s ", {""}),
    ("llmnet chat --attachment ro", {"rows.jsonl"}),
    ("llmnet batch ro", {"rows.jsonl"}),
]


@pytest.mark.parametrize(("line", "words"), LINES)
def test_what_may_follow(press_tab, line, words):
    found = set(press_tab(line))
    assert words <= found if line == "llmnet " else words == found


def test_all_services_and_all_apis(press_tab):
    assert {f"{name}:" for name in SERVICES} <= set(press_tab("llmnet models -m "))
    assert {api for service in SERVICES.values() for api in service.apis} == set(press_tab("llmnet chat --api "))


def test_the_marks_that_argcomplete_looks_for():
    """In the first kilobyte of the module of the script, and of the one that `python -m` runs."""
    package = pathlib.Path(llmnet.__file__).parent
    for name in ("cli/__init__.py", "__main__.py"):
        assert "PYTHON_ARGCOMPLETE_OK" in (package / name).read_text()[:1024]


def test_without_argcomplete_a_command_is_a_command(monkeypatch, capsys):
    from llmnet.cli import main

    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    assert main(["chat", "Hi", "-m", "fake:m"]) == 0
    assert capsys.readouterr().out == "Hi\n"
