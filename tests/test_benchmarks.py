"""The benchmarks do what they say: every scenario with every library that is there, each reply checked; no figure is asserted."""

import json
import pathlib
import random
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

import llmnet

ROOT = pathlib.Path(__file__).parent.parent
sys.path.append(str(ROOT))  # a test run does not begin in the checkout's root; what is installed goes first

pytest.importorskip("resource")  # how much a process has used

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import (  # noqa: E402
    libraries,
    processes,
    report,
    rounds,
    server,
    sizes,
    worker,
)
from benchmarks.content import DELTAS, STAMP, Pace, chat_text, prompt, stamp, stream_text  # noqa: E402
from benchmarks.figures import Cost, Spread, ratios, spread  # noqa: E402
from benchmarks.libraries import BY_NAME, LIBRARIES, PEERS, chosen  # noqa: E402
from benchmarks.scenarios import SCENARIOS  # noqa: E402

PRESENT = [name for name in PEERS if BY_NAME[name].present]
LIGHT = [name for name in PRESENT if name not in ("openai", "anthropic", "litellm")]
HEAVY = [name for name in PRESENT if name not in LIGHT]  # to import one is seconds of work


@pytest.fixture
def small(monkeypatch):
    """Every scenario with as little work as there can be."""
    table = [
        replace(
            one,
            calls=min(one.calls, 4),
            warm=min(one.warm, 1),
            rounds=1,
            at_once=min(one.at_once, 4),
            pace=Pace(min(one.pace.wait, 1), min(one.pace.deltas, 3), 1),
            fresh=False,
        )
        for one in SCENARIOS
    ]
    monkeypatch.setattr(command, "SCENARIOS", table)
    monkeypatch.setattr(rounds.ColdStarts, "ready", lambda bench, library: None)


def run(capsys, *arguments):
    code = command.main(["--json", *arguments])
    output, errors = capsys.readouterr()
    assert not errors
    return code, json.loads(output)


# -- whole runs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("front", "peers"),
    [
        pytest.param("sync", PRESENT, marks=pytest.mark.slow),
        ("async", LIGHT),
        pytest.param("async", HEAVY, marks=pytest.mark.heavy),
    ],
    ids=["sync", "async-light", "async-heavy"],
)
def test_every_scenario_runs_with_every_library(small, capsys, front, peers):
    peers = peers or PEERS
    live = [one for one in SCENARIOS if one.ask and one.front == front]
    paced = {one.name for one in live if one.pace.deltas}
    code, result = run(capsys, "--only", *(one.name for one in live), "--against", *peers)
    assert (code, len(result["skipped"])) == (0, len(set(peers) - set(PRESENT)))
    expected = {
        (one.name, step, library.name)
        for one in live
        for library in command.taking_part(one, chosen(set(peers) & set(PRESENT)))
        for step in one.per
    }
    assert {(row["scenario"], row["step"], row["library"]) for row in result["rows"]} == expected
    assert [row for row in result["rows"] if row["failed"]] == []
    for row in result["rows"]:
        assert row["rounds"] == 1
        assert all(row[gauge]["absolute"]["median"] > 0 for gauge in ("cpu", "wall", "memory"))
        assert all(row[gauge]["ratio"]["median"] == 1 for gauge in ("cpu", "wall") if row["library"] == row["against"])
        assert (row["late"]["absolute"] is not None) == (row["scenario"] in paced)
    assert result["versions"]["llmnet"] == llmnet.__version__
    assert {"date", "processor", "cores", "system", "python"} <= set(result)


@pytest.mark.parametrize("peers", [LIGHT, pytest.param(HEAVY, marks=pytest.mark.heavy)], ids=["light", "heavy"])
@pytest.mark.parametrize("name", [one.name for one in SCENARIOS if not one.ask])
def test_every_library_starts_and_asks_once(small, capsys, name, peers):
    code, result = run(capsys, "--only", name, "--against", *(peers or PEERS))
    assert code == 0
    assert [row for row in result["rows"] if row["failed"]] == []
    for library in {row["library"] for row in result["rows"]}:
        steps = [row["cpu"]["absolute"]["median"] for row in result["rows"] if row["library"] == library]
        assert steps == sorted(steps), "each step holds those before it"


def test_a_library_that_is_missing_is_skipped_by_name(small, capsys, monkeypatch):
    monkeypatch.setattr(libraries, "find_spec", lambda package: None if package == "httpx" else object())
    code, result = run(capsys, "--only", "stats", "--against", "httpx")
    assert (code, result["skipped"]) == (0, ["httpx is not installed"])
    assert [row["library"] for row in result["rows"]] == ["llmnet"]


def test_a_size_is_that_of_all_that_is_required(small, capsys):
    code, result = run(capsys, "--only", "size", "--against", "requests", "urllib3")
    found = {row["library"]: row["size"]["absolute"]["median"] for row in result["rows"]}
    assert code == 0
    assert found["llmnet"] > found["requests"] > found["urllib3"] > 0.1
    assert sizes._checkout()[0] > 500_000
    assert {"requests", "httpx", "msgspec"} <= set(sizes._checkout()[1])


def test_the_table_names_who_failed_and_leaves_out_what_there_is_not(small, capsys, monkeypatch):
    monkeypatch.setattr(processes, "chat_text", lambda number: "another")
    assert command.main(["--only", "start-sync", "--against", "requests"]) == 1
    output, errors = capsys.readouterr()
    assert "start-sync: llmnet failed, a wrong reply" in output.splitlines()
    assert "start-sync: requests failed, a wrong reply" in output.splitlines()
    assert [line.split()[3:6] for line in output.splitlines() if line.startswith("start-sync  import")] == [
        ["llmnet"],
        ["requests"],
    ]
    assert not errors


def test_what_there_is_to_choose_from_is_listed(capsys):
    assert command.main(["--list"]) == 0
    output = capsys.readouterr().out.split()
    assert {one.name for one in SCENARIOS} | set(PEERS) <= set(output)


def test_the_bounds_can_still_be_measured(capsys):
    from benchmarks.bounds.__main__ import main

    assert main(["--trials", "1", "--only", "idle: stalls in a stream", "--json"]) in (0, 1)
    assert [row["astray"] for row in json.loads(capsys.readouterr().out)["rows"]] == [0, 0]


# -- workers ----------------------------------------------------------------------------------------------------------


def job(ask="chat", pace=None, calls=1, at_once=1):
    return worker.Job(ask, pace or Pace(), calls, 0, at_once)


class Liar:
    """A library that gives what it was made with, in so many deltas."""

    def __init__(self, url, at_once):
        self.reply, _, self.deltas = url.rpartition("/")[0].partition("*")

    def chat(self, prompt):
        return self.reply

    def stream(self, prompt, add):
        for _ in range(int(self.deltas or 1)):
            add(self.reply)

    def close(self):
        pass


class AsyncLiar(Liar):
    async def chat(self, prompt):
        return self.reply

    async def stream(self, prompt, add):
        super().stream(prompt, add)

    async def close(self):
        pass


@pytest.fixture(params=worker.FRONTS.values(), ids=worker.FRONTS)
def cost(request):
    """What a job costs with a library that gives a reply, or what is said of it."""
    bench = request.param(SimpleNamespace(Sync=Liar, Async=AsyncLiar))

    def cost(reply, job):
        try:
            return worker.done(bench, reply, job, iter(range(7, 20)))
        except Exception as error:
            return worker.described(error)

    yield cost
    if request.param is worker.FRONTS["async"]:
        bench._runner.close()


def test_no_figure_without_a_right_reply(cost):
    assert cost(chat_text(7), job()).late is None
    assert cost(chat_text(8), job()).startswith("WrongReplyError: chat 7 gave '00000008")
    assert cost(stream_text(7), job("stream")).wall > 0
    assert cost(stream_text(8), job("stream")).startswith("WrongReplyError: stream 7 gave")


def test_no_figure_without_all_the_deltas_of_a_paced_stream(cost):
    sent = stamp(time.monotonic_ns())
    assert 0 < cost(f"{sent}*3", job("stream", Pace(0, 3, 1))).late < 60
    assert cost(f"{sent}*2", job("stream", Pace(0, 3, 1))).startswith("WrongReplyError: paced stream")


def test_a_worker_has_only_so_much_time():
    slow = processes.Worker(BY_NAME["llmnet"], "sync", "http://127.0.0.1:9")
    try:
        with pytest.raises(processes.LibraryError, match="gave up after"):
            slow.run(job(), timeout=0.001)
    finally:
        slow.end()


def test_a_library_that_fails_says_how():
    lost = processes.Worker(BY_NAME["llmnet"], "sync", "http://127.0.0.1:x")
    try:
        with pytest.raises(processes.LibraryError, match="ConfigurationError"):
            lost.run(job(), timeout=60)
    finally:
        lost.end()


# -- rounds and figures -----------------------------------------------------------------------------------------------


class Bench:
    """Notes which libraries were sampled; one library fails in the second round."""

    def __init__(self):
        self.sampled = []

    def ready(self, library):
        pass

    def sample(self, library):
        self.sampled.append(library.name)
        if library.name == "httpx" and self.sampled.count("httpx") == 2:
            raise processes.LibraryError("tired")
        return {"call": Cost(1.0, 1.0, 1.0)}


def test_a_round_has_each_library_once_until_it_fails():
    bench, ticks = Bench(), []
    tracks = rounds.measure(5, chosen(["requests", "httpx"]), bench, random.Random(3), lambda: ticks.append(1))
    assert len(ticks) == 15
    assert [sorted(bench.sampled[start : start + 3]) for start in (0, 3)] == [["httpx", "llmnet", "requests"]] * 2
    assert len({tuple(bench.sampled[start : start + 3]) for start in (0, 3)}) == 2
    assert [bench.sampled.count(name) for name in ("llmnet", "requests", "httpx")] == [5, 5, 2]
    assert {name: track.failed for name, track in tracks.items()} == {"llmnet": "", "requests": "", "httpx": "tired"}
    assert [sample is not None for sample in tracks["httpx"].samples] == [True, False, False, False, False]


def test_quartiles():
    assert spread([]) is None
    assert spread([3.0]) == Spread(3.0, 3.0, 3.0)
    assert spread([1.0, 2.0]) == Spread(1.25, 1.5, 1.75)
    assert spread([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(2.0, 3.0, 4.0)


def test_ratios_are_taken_round_by_round():
    assert ratios([2.0, 30.0, None, 4.0], [1.0, 10.0, 1.0, None]) == [2.0, 3.0]
    assert ratios([1.0], [0.0]) == []


def test_a_row_compares_with_llmnet_over_the_same_api():
    def track(*walls):
        return rounds.Track([wall and {"call": Cost(wall, wall / 2, 50.0)} for wall in walls])

    tracks = {"llmnet": track(0.001, 0.002, 0.004), "openai": track(0.003, 0.006, None)}
    scenario = next(one for one in SCENARIOS if one.name == "chat-sync")
    own, peer = report.rows(scenario, [BY_NAME["llmnet"], BY_NAME["openai"]], tracks)
    assert own["wall"]["absolute"] == pytest.approx({"q1": 1500, "median": 2000, "q3": 3000})
    assert peer["wall"]["absolute"]["median"] == pytest.approx(4500)
    assert (peer["wall"]["ratio"]["median"], peer["rounds"]) == (pytest.approx(3), 2)
    assert peer["memory"]["absolute"]["median"] == 50
    line = report.condensed(peer)
    assert (line["step"], line["CPU"], line["×CPU"]) == ("call, µs", pytest.approx(2250), pytest.approx(3))


def test_what_is_measured_does_not_depend_on_who_runs_it():
    around = {
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "no_proxy": "*",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONDEVMODE": "1",
    }
    assert processes.plain({**around, "PATH": "/bin", "PYTHONPATH": "here"}) == {"PATH": "/bin", "PYTHONPATH": "here"}


def test_parts_share_time_but_not_memory():
    assert Cost(4.0, 2.0, 50.0).over(4) == Cost(1.0, 0.5, 50.0)


def test_who_takes_part():
    assert [one.name for one in chosen(["anthropic"])] == ["llmnet", "llmnet-messages", "anthropic"]
    able = {one.name: {library.name for library in command.taking_part(one, LIBRARIES)} for one in SCENARIOS}
    assert "aiohttp" not in able["chat-sync"]
    assert "requests" not in able["chat-async-10"]
    assert able["stats"] == {"llmnet"}
    quick = [one.sized(quick=True) for one in SCENARIOS]
    assert [one.at_once for one in quick] == [one.at_once for one in SCENARIOS]
    assert all(one.calls >= one.at_once and one.rounds >= 1 for one in quick)
    assert "httpx" not in able["chat-async-1000"], "it would take minutes"
    assert able["size"] >= {"requests", "aiohttp"}


def test_the_server_has_a_core_of_its_own():
    served, asked = processes.cores()
    assert len(served) == len(asked) <= 1
    assert not served & asked


# -- the server -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_replies_have_the_lengths_that_they_say(path):
    for fields in ('{"stream":true,"stream_options":{"include_usage":true}}', '{"stream": true}', "{}"):
        reply = server.chosen(f"POST {path} HTTP/1.1\r\n\r\n{fields}".encode()).reply
        head, _, body = b"".join((reply.before, b"00000007", reply.after, *reply.more)).partition(b"\r\n\r\n")
        assert (b'"chat.completion' in body) == path.endswith("completions")
        if fields == "{}":
            assert f"content-length: {len(body)}".encode() in head.splitlines()
        else:
            assert unchunked(body).count(b"data: ") >= DELTAS


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_paced_delta_is_the_time_that_it_is_sent_at(path):
    paced = server.chosen(f'POST {path} HTTP/1.1\r\n\r\n{{"stream":true}}'.encode()).paced
    stamps = b"".join(paced.before + stamp(number).encode() + paced.after for number in (5, 6))
    body = unchunked(b"".join((paced.opening.partition(b"\r\n\r\n")[2], stamps, paced.closing)))
    assert [body.count(b"0" * (STAMP - 1) + digit) for digit in (b"5", b"6")] == [1, 1]


def test_a_path_says_how_to_answer():
    assert server.asked(f"POST {Pace(20, 50, 40).path}/v1/messages HTTP/1.1".encode()) == Pace(20, 50, 40)
    assert server.asked(b"POST /v1/messages HTTP/1.1") == Pace()


def unchunked(body):
    size, _, rest = body.partition(b"\r\n")
    chunks = []
    while length := int(size, 16):
        chunks.append(rest[:length])
        assert rest[length : length + 2] == b"\r\n"
        size, _, rest = rest[length + 2 :].partition(b"\r\n")
    assert rest == b"\r\n"
    return b"".join(chunks)


def test_the_number_of_a_call_is_in_what_is_asked_and_answered():
    assert server.NUMBER.search(prompt(42).encode())[1] == b"00000042"
    assert chat_text(42).startswith("00000042")
    assert stream_text(42) != stream_text(43)
