"""Type checkers take what users write, and find what users mistype: mypy and pyright, both at their strictest."""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import llmnet

ROOT = pathlib.Path(llmnet.__file__).parent.parent
GOOD = pathlib.Path(__file__).parent / "typing" / "user_code.py"

# What each checker must find, a line each.
BAD = """\
import llmnet


@llmnet.with_retry()
def fetch(url: str) -> bytes:
    return url.encode()


async def main() -> None:
    client, later = llmnet.Client("m"), llmnet.AsyncClient("m")
    llmnet.Client(max_retrys=3)
    llmnet.Client(max_retries="3")
    llmnet.Client(transport="curl")
    llmnet.Client("openai", "gpt")
    llmnet.ClientConfig(timeouts=3)
    llmnet.ClientConfig(api_key=5)
    llmnet.Timeout(read=5)
    llmnet.RetryPolicy(5)
    llmnet.Clint("m")
    client.with_options(modell="m")
    client.chat(5)
    client.chat("hi", temperature="hot")
    client.chat("hi").contents
    client.chat("hi").usage.total_tokens + 1
    client.embed(5)
    later.chat("hi").content
    fetch(5)
    fetch("u", deep=True)
    fetch("u").encode()
    llmnet.retry_with_backoff(5)
    llmnet.create_session(retries=3)
"""
WRONG_LINES = set(range(BAD[: BAD.index("    llmnet.Client(max_retrys")].count("\n") + 1, BAD.count("\n") + 1))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The two files in a folder of their own, as a project that has llmnet installed."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(GOOD, folder / "good.py")
    (folder / "bad.py").write_text(BAD)
    settings = {"typeCheckingMode": "strict", "reportUnusedExpression": False, "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    return folder


def run(command, folder, timeout=60):
    environ = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    if ROOT.name != "site-packages":  # mypy finds what is installed by itself, and refuses to be led there
        environ["MYPYPATH"] = str(ROOT)
    settings = {"cwd": folder, "env": environ, "timeout": timeout}
    return subprocess.run(command, check=False, capture_output=True, text=True, **settings)


def mypy(folder):
    """The lines that mypy complains of, by file."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    # A cache of its own: one in the repository may belong to another mypy.
    cache = ["--cache-dir", str(folder / ".mypy_cache")]
    done = run([sys.executable, "-m", "mypy", "--strict", *cache, "good.py", "bad.py"], folder, timeout=110)
    found = re.findall(r"^(\w+\.py):(\d+): error: (.*)", done.stdout, re.MULTILINE)
    assert found, (done.returncode, done.stdout[-500:], done.stderr[-2000:])
    return [(file, int(line), text) for file, line, text in found]


def pyright(folder):
    """The lines that pyright complains of, by file."""
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    command = [sys.executable, "-m", "pyright"]
    try:
        ready = run([*command, "--version"], folder, timeout=45)
    except subprocess.TimeoutExpired:
        pytest.skip("pyright did not start: it may be fetching node, or itself")
    if ready.returncode:
        pytest.skip(f"pyright does not start: {ready.stderr.strip()[-200:]}")
    report = json.loads(run([*command, "--pythonpath", sys.executable, "--outputjson"], folder).stdout)
    return [
        (pathlib.Path(found["file"]).name, found["range"]["start"]["line"] + 1, found["message"])
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_checkers_take_user_code_and_find_mistakes(files, checker):
    found = checker(files)
    assert [one for one in found if one[0] == "good.py"] == []
    lines = BAD.splitlines()
    assert {line for _, line, _ in found} - WRONG_LINES == set()
    assert [lines[line - 1] for line in WRONG_LINES - {line for _, line, _ in found}] == []


def test_user_code_runs():
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", GOOD]
    done = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
