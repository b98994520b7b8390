"""Type checkers take what users write, and find what users mistype: mypy and pyright, both at their strictest."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from support.type_checkers import ROOT, mypy, pyright

GOOD = pathlib.Path(__file__).parent / "typing" / "user_code.py"

# What each checker must find, a line each.
BAD = """\
import dataclasses

import llmnet


@dataclasses.dataclass
class City:
    name: str


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
    client.with_options(defaults=5)
    llmnet.Client(system=["brief"])
    client.chat(5)
    client.chat("hi", temperature="hot")
    client.chat("hi", top_p="x")
    client.chat("hi", tools=["weather"])
    client.chat("hi", tools=fetch)
    client.chat("hi").tool_calls[0].function()
    client.chat("hi", stop=5)
    client.chat("hi", seed="x")
    client.chat("hi", n="2")
    client.chat("hi", user=5)
    client.chat("hi", metadata="x")
    client.chat("hi", response_format="json")
    client.chat("hi", reasoning_effort=3)
    client.chat("hi", parallel_tool_calls="no")
    client.stream_chat("hi", top_p="x")
    client.batch(["hi"], seed="x")
    later.stream_chat("hi", stop=5)
    later.batch(["hi"], metadata=5)
    client.chat("hi").contents
    client.chat("hi").usage.total_tokens + 1
    client.chat("hi").parsed.name
    client.chat("hi", output_type=City).parsed.nam
    client.chat("hi", output_type=City("Rome"))
    (await later.chat("hi", output_type=City)).parsed.nam
    client.stream_chat("hi", output_type=City).response.parsed.nam
    next(client.batch(["hi"], output_type=City)).unwrap().parsed.nam
    next(client.batch(["hi"], output_type=City)).response.parsed
    client.embed(5)
    client.request("GET", "/a", stream=True).json()
    later.request("GET", "/a").json()
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
    return folder


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
