"""The logger `llmnet`: silent until asked, one line a call, one an attempt, each of them one line whatever is said in it."""

import logging
import os
import re
import subprocess
import sys

import pytest
from support.events_heard import QUICK, lines
from support.live import WORDS, at
from support.subprocesses import run_python

import llmnet
from llmnet.core.logger import LOG
from llmnet.testing import Reply, fault

PEER = """
import asyncio, logging, sys
import llmnet
from llmnet.testing import FakeServer, Reply

def client(server, front="Client", **fields):
    return getattr(llmnet, front)(provider="fake", base_url=server.url + "/v1", model="m", **fields)
"""

# -- nothing, unless asked ----------------------------------------------------------------------------------------------

SILENT = (
    PEER
    + """
def fails(event):
    raise ZeroDivisionError

@llmnet.with_retry(base_delay=0.001)
def flaky(left=[1]):
    if left.pop():
        left.append(0)
        raise ConnectionError

async def main(server):
    async with client(server, "AsyncClient", on_event=fails, max_retries=0) as asked:
        for _ in range(2):
            try:
                await asked.chat("hi")
            except llmnet.ServerError:
                pass

flaky()
with FakeServer() as server:
    server.script(500, "hi", 500, "hi")
    with client(server, on_event=fails) as asked:
        asked.chat("hi")
    asyncio.run(main(server))
logging.getLogger("llmnet").warning("not even this")
print("fine")
"""
)


def test_it_is_silent_by_default():
    """Not even the standard library's last resort speaks, to which warnings come that nobody takes."""
    run_python(SILENT)


# -- the variable -------------------------------------------------------------------------------------------------------

WANTED = (
    PEER
    + """
def chat(server):
    with client(server) as asked, asked.with_options(model="n") as child:
        child.chat("hi")

with FakeServer() as server:
    server.script(500)
    chat(server)
    exec(sys.argv[1])
    chat(server)
    logging.getLogger("llmnet").warning("told")
    logging.getLogger("another").warning("not ours")
"""
)


def said(level, program=""):
    """What a program writes to standard error, with a variable that asks for lines."""
    environ = {**os.environ, "LLMNET_LOG": level, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", WANTED, program]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr.splitlines()


LEVELS = {
    "debug": ["DEBUG", "INFO", "DEBUG", "INFO", "DEBUG", "INFO", "WARNING"],
    "Info ": ["INFO", "INFO", "INFO", "WARNING"],
    "warning": ["WARNING"],
}


@pytest.mark.parametrize(("level", "expected"), LEVELS.items())
def test_the_variable_asks_for_lines_once_for_all_clients(level, expected):
    *ours, other = said(level)
    assert [re.fullmatch(r"[\d-]+ [\d:,]+ (\w+) llmnet \S.*", line)[1] for line in ours] == expected
    assert other == "not ours"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("logging.basicConfig(format='ROOT %(message)s')", [False, False, False, False, True, True, True, True]),
        ("logging.basicConfig(format='ROOT %(message)s'); logging.root.handlers[0].setLevel('WARNING')",
         [False, False, False, False, False, False, True, True]),
        ("logging.basicConfig(format='ROOT %(message)s'); logging.getLogger('llmnet').propagate = False",
         [False, False, False, False, False, False, False, True]),
        ("logging.getLogger('llmnet').setLevel('INFO')", [False, False, False, False, False, False, None]),
        ("import logging.config; logging.config.dictConfig({'version': 1})", [False, False, False, False, None]),
    ],
    ids=["handler", "level of the handler", "no propagation", "own level", "disabled"],
)  # fmt: skip
def test_the_programs_own_logging_writes_each_line_in_our_place(program, expected):
    """True: a line of the program's own handler, None: of nobody's."""
    written = [True if "ROOT" in line else False if " llmnet " in line else None for line in said("debug", program)]
    assert written == expected


@pytest.mark.parametrize("wrong", ["loud", "1", "DEBUGGING", "inf\no"])
def test_what_is_no_level_is_refused_by_name_before_anything_is_sent(front, server, monkeypatch, wrong):
    monkeypatch.setenv("LLMNET_LOG", wrong)
    handlers = list(LOG.handlers)
    expected = f"LLMNET_LOG must be one of debug, info, warning, not {wrong.lower()!r}"
    with pytest.raises(llmnet.ConfigurationError, match=f"^{re.escape(expected)}$"):
        front.client(**at(server))
    assert (LOG.handlers, server.connections) == (handlers, 0)


@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_blank_variable_asks_for_nothing(server, monkeypatch, blank):
    monkeypatch.setenv("LLMNET_LOG", blank)
    before = LOG.level, list(LOG.handlers)
    llmnet.Client(**at(server)).close()
    assert (LOG.level, LOG.handlers) == before


# -- the lines ----------------------------------------------------------------------------------------------------------


def test_what_the_lines_say(front, server, caplog):
    caplog.set_level(logging.DEBUG, logger="llmnet")
    server.script(500, fault("429-zero"), WORDS, 400)
    with front.client(**at(server, retry=QUICK, model=f"m-{front.name}")) as client:
        list(client.stream_chat("hi"))
        with pytest.raises(llmnet.BadRequestError):
            client.chat("hi", model="n")
    time, who, other = (
        r"\d+\.\d\d\ds",
        rf"call \d+ fake:m-{front.name} at 127\.0\.0\.1:{server.port}",
        r"call \d+ fake:n at \S+",
    )
    expected = [
        rf"{who} attempt=1 status=500 sent=True elapsed={time} cause='500 server_error' reason=transient wait={time}",
        rf"{who} again in 0\.00\d s: attempt=2 of=3 cause='500 server_error' reason=transient",
        rf"{who} attempt=2 status=429 sent=True elapsed={time} cause='429 \w+' reason=throttled wait={time}",
        rf"{who} again in 0\.\d+ s: attempt=3 of=4 cause='429 \w+' reason=throttled",
        rf"{who} attempt=3 status=200 sent=True elapsed={time}",
        rf"{who} outcome=ok status=200 elapsed={time} first_token={time} attempts=3 input_tokens=1 output_tokens=6 "
        r"request_id=req_fake_3",
        rf"{other} attempt=1 status=400 sent=True elapsed={time} cause='400 \w+' reason='not retryable'",
        rf"{other} outcome=error status=400 elapsed={time} attempts=1 request_id=req_fake_4 cause='400 \w+'",
    ]
    levels = ["DEBUG", "INFO", "DEBUG", "INFO", "DEBUG", "INFO", "DEBUG", "INFO"]
    assert [r.levelname for r in caplog.records] == levels
    for line, pattern in zip(caplog.messages, expected, strict=True):
        assert re.fullmatch(pattern, line), line


def test_at_info_only_waits_and_calls_are_told_and_at_warning_nothing_at_all(front, server, caplog):
    for level, count in ((logging.INFO, 2), (logging.WARNING, 0)):
        caplog.clear()
        caplog.set_level(level, logger="llmnet")
        server.script(500)
        with front.client(**at(server, retry=QUICK, model=f"m-told-{front.name}")) as client:
            client.chat("hi")
        assert len(caplog.records) == len(lines(caplog, logging.INFO)) == count


FORGED = "\ncall 1 fake:m at h outcome=ok \r\x1b[2J\u2028\x85\x00 request_id=forged "


def test_what_others_say_makes_no_line_and_no_field_of_its_own(front, server, caplog):
    """A model's name, an id, a code: line breaks, control characters and all that looks like a field are quoted."""
    caplog.set_level(logging.DEBUG, logger="llmnet")
    echoed = {"request_id": f"id{FORGED}", "output": {"choices": [], "text": "hi", "finish_reason": "stop"}}
    server.script(
        Reply(body=echoed, headers={"x-request-id": None}),
        Reply(status=400, error={"code": f"code{FORGED}", "message": "no"}),
    )
    with front.client(**at(server, "native")) as client:
        assert client.chat("hi").meta.request_id == f"id{FORGED}"
        with pytest.raises(llmnet.BadRequestError):
            client.chat("hi", model="m\u2028\x85 call 1 outcome=ok request_id=forged" * 100)
    assert len(caplog.messages) == 4
    for line in caplog.messages:
        assert line.isprintable()
        assert len(line) < 1000
        bare = re.sub(r"'[^']*'", "''", line)
        assert (bare.count("call "), bare.count("outcome="), bare.count("request_id=")) in [(1, 0, 0), (1, 1, 1)]
    assert "forged" in caplog.messages[1]
    assert "forged" in caplog.messages[2]
