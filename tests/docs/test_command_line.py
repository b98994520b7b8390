"""What the pages say of the command line is true: the commands are read as they stand there, options and exit codes exist."""

import re
import shlex

import pytest
from support.pages import PAGES, PATHS, fences, rows

from llmnet.cli import errors
from llmnet.cli.grammar import parser
from llmnet.cli.settings import read_file

PAGE = PAGES["command-line.md"]
LINES = [
    line
    for path in PATHS
    for found, _ in fences(path)
    if found["language"] == "bash"
    for line in found["text"].splitlines()
]
COMMANDS = [part.strip() for line in LINES for part in re.split(r"&&|\|", line) if part.strip().startswith("llmnet ")]


FILES = [
    pytest.param(found["text"], id=f"{path.name}:{line}")
    for path in PATHS
    for found, line in fences(path)
    if found["language"] == "toml" and "[defaults]" in found["text"]
]


@pytest.mark.parametrize("text", FILES)
def test_a_config_file_is_read(text, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    assert read_file(path)["defaults"]


def test_config_files_are_found():
    assert len(FILES) >= 2


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_a_command_is_read(command):
    words = shlex.split(command, comments=True)
    assert parser().parse_args(words[1:]).command == words[1]


def test_each_option_of_the_page_exists(capsys):
    options = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", PAGE))
    for command in ("chat", "batch", "models"):
        with pytest.raises(SystemExit):
            parser().parse_args([command, "--help"])
    assert options - set(re.findall(r"--?[a-z][\w-]*", capsys.readouterr().out)) == set()


@pytest.mark.parametrize(("page", "heading"), [("command-line.md", "Exit codes"), ("README.zh.md", "退出码")])
def test_the_exit_codes_are_those_of_the_code(page, heading):
    listed = {int(code) for cells in rows(PAGES[page], heading) for code in re.findall(r"\d+", cells[0])}
    assert listed == {0, 1, *(code for _, code in errors._CODES)}  # private: nobody else lists them
