"""Every Python block of README and of the pages runs against the fake server, and passes mypy and pyright."""

import ast
import asyncio
import dataclasses
import functools
import inspect
import json
import os
import re
import subprocess
import sys
import types

import pytest
from support import pages, type_checkers
from support.pages import BLOCKS, EXAMPLES, ROOT, RUN

from llmnet.testing.unscripted import default_reply

OTHER_NAMES = {"py", "python3", "pycon", "ipython", "ipython3"}  # of the language, by which no block would be found


def ids(blocks):
    return [block.id for block in blocks]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to run in, with the files that a program of a page may read."""
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "requests.jsonl").write_text('{"prompt": "Hi"}\n{"prompt": "Ho"}\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def needs(text):
    """Skip where a library that it imports is not installed."""
    if absent := pages.absent(text):
        pytest.skip(f"{absent[0]} is not installed")


def run(place, *arguments):
    """Run Python in a process of its own, where llmnet is the one under test."""
    environ = {**os.environ, "PYTHONPATH": str(type_checkers.ROOT)}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command,
        cwd=place,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def run_tests(place, path, monkeypatch):
    """Run pytest without the plugins of whoever runs this test, which take a second to load."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    plugins = [f"-p{name}" for name in ("pytest_asyncio", "llmnet.testing.pytest_plugin", "no:cacheprovider")]
    run(place, "-m", "pytest", "-q", *plugins, "-c", os.devnull, str(path))


def calling_tools(request):
    """What the model `fake-tools` would answer: the call of a tool, until its result has come."""
    body = json.dumps({**request.fields, "model": "fake-tools"})
    return default_reply(dataclasses.replace(request, body=body.encode()))


@pytest.mark.parametrize("block", RUN, ids=ids(RUN))
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_block_runs(block, vendors, place, monkeypatch):
    needs(block.text)
    if pages.defines_tests(block.text):
        (place / "test_block.py").write_text(block.text)
        run_tests(place, "test_block.py", monkeypatch)
        return
    if ".tool_calls" in block.text:
        vendors.handler = calling_tools
    code = compile(block.text, block.id, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    module = types.ModuleType("block")
    monkeypatch.setitem(sys.modules, "block", module)  # where annotations are looked up
    value = eval(code, vars(module))
    if inspect.iscoroutine(value):
        asyncio.run(value)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(path, vendors, place, monkeypatch):
    needs(path.read_text())
    if path.name.startswith("test_"):
        run_tests(place, path, monkeypatch)
    else:
        run(place, str(path))


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """Each block and each example as a module, the blocks with the lines of their page."""
    folder = tmp_path_factory.mktemp("pages")
    for block in RUN:
        if pages.absent(block.text):
            continue
        name = re.sub(r"\W", "_", block.id)
        (folder / f"{name}.py").write_text(block.module)
    for path in EXAMPLES:
        if pages.absent(path.read_text()):
            continue
        (folder / f"example_{path.name}").write_text(path.read_text())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "checker",
    [type_checkers.mypy, functools.partial(type_checkers.pyright, typeCheckingMode="standard")],
    ids=["mypy", "pyright"],
)
def test_a_type_checker_takes_every_block(modules, checker):
    (modules / "wrong.py").write_text("import llmnet\n\nllmnet.Client(max_retries='3')\n")
    found = checker(modules)
    assert [one[:2] for one in found if one[0] == "wrong.py"] == [("wrong.py", 3)]
    assert len(found) == 1, "\n".join(map(str, found))


@pytest.mark.parametrize("path", pages.PATHS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_block_is_left_out_by_its_name(path):
    assert {found["language"] for found, _ in pages.fences(path)} & OTHER_NAMES == set()
    assert path.read_text().count("```") == 2 * len(pages.fences(path)), "a fence that is not closed, or not read"


@pytest.mark.parametrize(
    "text",
    [*(block.text for block in BLOCKS), *(path.read_text(encoding="utf-8") for path in EXAMPLES)],
    ids=[*ids(BLOCKS), *(path.name for path in EXAMPLES)],
)
def test_files_are_read_alike_on_every_machine(text):
    """Bytes, or UTF-8 whatever the machine's own encoding is; and no line ends at U+2028, as those of `splitlines` do."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    for call in calls:
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        assert name != "splitlines"
        if name in ("open", "read_text", "write_text"):
            words = [word.value for word in call.args if isinstance(word, ast.Constant)]
            assert {"rb", "wb", "ab"} & {*words} or "encoding" in {word.arg for word in call.keywords}, ast.unparse(
                call
            )


def test_few_blocks_are_not_run():
    left_out = [block for block in BLOCKS if block not in RUN]
    assert {block.mark for block in RUN} <= {"", "continues"}
    assert len(left_out) <= len(BLOCKS) // 5, ids(left_out)
    for block in left_out:
        compile(block.text, block.id, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
