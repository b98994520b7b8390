"""README is true: every line of its table is run, its commands are those that exist."""

import ast
import asyncio
import inspect
import re
import subprocess
import sys

import pytest
from support import pages

import llmnet
from llmnet.testing import FakeServer

README = pages.README.read_text()
ROWS = re.findall(r"^\| (S\d+|an? .*|streaming output|production) \| .*? \| `(.*)` \|$", README, re.MULTILINE)


def namespace(server):
    def fetch():
        return "fetched"

    return {
        "llmnet": llmnet,
        "client": llmnet.Client("openai:m"),
        "aclient": llmnet.AsyncClient("openai:m"),
        "messages": [{"role": "user", "content": "Hi"}],
        "url": f"{server.url}/v1/models",
        "fetch": fetch,
        "on_chunk": lambda chunk: None,
        "on_complete": lambda reply: None,
        "on_error": lambda error: None,
        "on_event": lambda event: None,
        "rows": ["Hi", "Ho"],
    }


@pytest.mark.parametrize(("row", "line"), ROWS, ids=[row for row, _ in ROWS])
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_lines_of_the_table_run(row, line, vendors):
    names = namespace(vendors)

    async def run():
        value = eval(compile(line, row, "eval", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        return await value if inspect.isawaitable(value) else value

    value = asyncio.run(run())
    assert value is not None
    if isinstance(value, list):
        assert "".join(str(item[0] if isinstance(item, tuple) else item) for item in value)


def test_the_table_is_whole():
    situations = ["a simple script", "an async application", "a batch", "streaming output", "production"]
    assert [row for row, _ in ROWS] == [*(f"S{n}" for n in range(1, 15)), *situations]


def test_the_first_command_works_on_a_fresh_machine():
    done = subprocess.run(
        [sys.executable, "-m", "llmnet", "chat", "Hello!"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "Hello!\n")
    assert "no key is configured" in done.stderr


def test_it_is_short_and_knows_its_version():
    assert README.count("\n") < 200
    newest = re.search(r"^## \[(\d[^\]]*)\]", (pages.ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == llmnet.__version__


def test_the_fake_server_has_the_methods_that_are_shown():
    assert callable(FakeServer.script)
