"""mypy and pyright at their strictest, over a folder: what each of them complains of, as file, line and text."""

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

import llmnet

ROOT = pathlib.Path(llmnet.__file__).parent.parent


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
    names = sorted(path.name for path in folder.glob("*.py"))
    done = run([sys.executable, "-m", "mypy", "--strict", *cache, *names], folder, timeout=110)
    assert done.returncode in (0, 1), (done.returncode, done.stdout[-500:], done.stderr[-2000:])
    found = re.findall(r"^(\w+\.py):(\d+): error: (.*)", done.stdout, re.MULTILINE)
    return [(file, int(line), text) for file, line, text in found]


def pyright(folder, **settings):
    """The lines that pyright complains of, by file; *settings* go into its configuration."""
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    command = [sys.executable, "-m", "pyright"]
    try:
        ready = run([*command, "--version"], folder, timeout=45)
    except subprocess.TimeoutExpired:
        pytest.skip("pyright did not start: it may be fetching node, or itself")
    if ready.returncode:
        pytest.skip(f"pyright does not start: {ready.stderr.strip()[-200:]}")
    usual = {"typeCheckingMode": "strict", "reportUnusedExpression": False, "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps({**usual, **settings}))
    report = json.loads(run([*command, "--pythonpath", sys.executable, "--outputjson"], folder, timeout=110).stdout)
    return [
        (pathlib.Path(found["file"]).name, found["range"]["start"]["line"] + 1, found["message"])
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    ]
