"""The programs of `docs/examples/` do what they say; that each of them runs and has types is told by `test_blocks.py`."""

import asyncio
import importlib.util
import io
import json
import re
import runpy
import sys
import types

import pytest
from support.pages import BLOCKS, DOCS, EXAMPLES, PAGES

from llmnet.testing import Reply, fault

FOLDER = DOCS / "examples"
# What each one prints; those that are not here have a test of their own.
SAYS = {
    "script": "What is the capital of France?",
    "stream": "Tell me a story\n[stop, 4 tokens]",
    "any_endpoint": "404 ",
    "structured_output": "Invoice 2026-11",
    "async_service": "20 answers, the last one: What is 19 squared?",
}
ALONE = {"conversation", "batch_resume", "tools_by_hand", "test_with_fake", "fastapi_service"}

needs_fastapi = pytest.mark.skipif(importlib.util.find_spec("fastapi") is None, reason="fastapi is not installed")


@pytest.fixture(autouse=True)
def _place(vendors, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a program with arguments and standard input; what it has printed."""

    def program(name, *arguments, stdin=""):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return program


def test_each_program_has_a_test():
    assert SAYS.keys() | ALONE == {path.stem for path in EXAMPLES}


def test_the_page_lists_them():
    assert set(re.findall(r"\(examples/(\w+)\.py\)", PAGES["examples.md"])) == {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("name", sorted(SAYS))
def test_a_program_runs(name, run):
    assert SAYS[name] in run(name)


def test_what_arrived_of_a_lost_stream_is_kept(run, server):
    server.script(fault("stream-reset"))
    assert re.search(r"\w+\n\[IncompleteStreamError after \d+ characters\]", run("stream"))


def test_a_script_that_fails_says_why(run, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(SystemExit, match=r"check the settings: no key for openai"):
        run("script")


def test_a_conversation_is_remembered(run, server):
    assert run("conversation", stdin="Hello!\nAnd you?\n\nnever asked\n") == "Hello!\nAnd you?\n"
    assert [message["role"] for message in server.requests[1].json["messages"]] == [
        "system",
        *["user", "assistant", "user"],
    ]


def test_a_batch_goes_on_where_it_stopped(run, server, tmp_path):
    source, target = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    source.write_text("".join(json.dumps({"prompt": f"No. {n}"}) + "\n" for n in range(1, 6)))
    target.write_text('{"custom_id": "line-1", "text": "No. 1"}\n{"custom_id": "line-2", "te')
    assert run("batch_resume", source, target) == "1 were there, 4 are new, 0 failed\n"
    assert run("batch_resume", source, target) == "5 were there, 0 are new, 0 failed\n"
    assert server.request_count == 4
    answers = [json.loads(line) for line in target.read_bytes().splitlines()]
    assert {row["custom_id"]: row["text"] for row in answers} == {f"line-{n}": f"No. {n}" for n in range(1, 6)}


def test_a_batch_goes_on_after_replies_with_other_ends_of_lines(run, server, tmp_path):
    source, target = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    said = [f"No. {n}:\r\n {end}杭州" for n, end in enumerate("\u2028\u2029\x85\x0b\x1c")]
    lines = [json.dumps({"prompt": prompt}, ensure_ascii=False) + "\n" for prompt in said]
    source.write_text("".join(lines[:3]), encoding="utf-8")
    assert run("batch_resume", source, target) == "0 were there, 3 are new, 0 failed\n"
    paid = target.read_bytes()
    source.write_text("".join(lines), encoding="utf-8")
    assert run("batch_resume", source, target) == "3 were there, 2 are new, 0 failed\n"
    assert server.request_count == 5
    assert target.read_bytes().startswith(paid)
    answers = [json.loads(line) for line in target.read_bytes().split(b"\n")[:-1]]
    assert sorted(row["text"] for row in answers) == said


def test_an_invoice_that_does_not_fit_is_asked_for_once_more(run, server):
    line = {"article": "apple", "count": 3, "price": 0.5}
    server.script(
        json.dumps({"number": "1", "lines": [{"article": "apple"}]}), json.dumps({"number": "1", "lines": [line]})
    )
    assert run("structured_output").splitlines() == ["3 × apple at 0.50", "1: 1.50 in all"]
    assert "That does not fit: " in server.requests[1].json["messages"][-1]["content"]


def test_tools_are_run(run, server):
    calls = [
        {"id": "1", "name": "weather", "arguments": '{"city": "杭州"}'},
        {"id": "2", "name": "wether", "arguments": "{}"},
    ]
    server.script(Reply(text="", tool_calls=calls), "It is sunny.")
    assert run("tools_by_hand").splitlines() == [
        'weather({"city": "杭州"}) → sunny in 杭州',
        "wether({}) → there is no tool wether",
        "It is sunny.",
    ]
    assert [message["role"] for message in server.requests[1].json["messages"]] == ["user", "assistant", "tool", "tool"]


SERVICES = [
    (FOLDER / "fastapi_service.py").read_text(encoding="utf-8"),
    next(block.text for block in BLOCKS if "lifespan" in block.text),
]


@needs_fastapi
@pytest.mark.parametrize("program", SERVICES, ids=["example", "guide"])
def test_a_service_starts_twice_in_one_process(program, server, monkeypatch):
    from fastapi.testclient import TestClient

    module = types.ModuleType("service")
    monkeypatch.setitem(sys.modules, "service", module)  # where annotations are looked up
    exec(program, vars(module))
    for _ in range(2):
        with TestClient(module.app) as user:
            assert user.post("/ask", json={"text": "Hello!"}).json() == {"text": "Hello!", "tokens": 2}


@needs_fastapi
def test_a_service_answers_streams_and_fails(server):
    """Without a server of its own: requests go straight into the application."""
    import httpx

    app = runpy.run_path(str(FOLDER / "fastapi_service.py"))["app"]

    async def asked():
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as user:
                yield await user.post("/ask", json={"text": "Hello!"})
                yield await user.get("/stream", params={"prompt": "Hello you"})
                server.script(Reply(error_event={"code": "server_error", "message": "gone"}))
                yield await user.get("/stream", params={"prompt": "one two three four"})
                server.script(Reply(status=429, headers={"retry-after": "1000"}))
                yield await user.post("/ask", json={"text": "Hello!"})
                yield await user.get("/metrics")

    async def all_of_them():
        return [reply async for reply in asked()]

    plain, streamed, broken, refused, metrics = asyncio.run(all_of_them())
    assert plain.json() == {"text": "Hello!", "tokens": 2}
    assert streamed.text.endswith('event: text\ndata: " you"\n\nevent: done\ndata: {"tokens": 4}\n\n')
    assert 'event: failed\ndata: {"error": "ServerError"' in broken.text
    assert (refused.status_code, refused.headers["retry-after"], refused.json()) == (
        503,
        "1000",
        {"error": "RateLimitError"},
    )
    assert 'outcome="error"' in metrics.text
