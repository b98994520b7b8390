"""`client.request`: any endpoint below the base address, under the policy of a chat; what the server gets is looked at."""

import email
import gc
import gzip
import io
import json
import os
import pathlib
import re
import threading

import pytest
from support.live import Work, at, blocked, eventually, slots
from support.subprocesses import run_python

import llmnet
from llmnet.core import reply_reader
from llmnet.core.http import Headers
from llmnet.testing import Reply

KEY, OTHER = "sk-a-key-that-nobody-may-see", "another-one-in-the-query"
QUICK = llmnet.RetryPolicy(base_delay=0.001, max_delay=0.002)
SOUND = bytes(range(256)) * 300


@pytest.fixture
def client(front, server):
    with front.client(**at(server, api_key=KEY, retry=QUICK)) as client:
        yield client


def json_reply(value, status=200):
    return Reply(status=status, body=value)


# -- what is sent and what comes back ----------------------------------------------------------------------------------


def test_json_goes_out_and_comes_back(client, server):
    server.script(Reply(body={"flagged": True}, headers={"x-request-id": "req-7"}))
    reply = client.request("post", "/moderations", json={"input": "Hello"}, params={"a": 1, "b": ["x", "y"], "c": None})
    assert (reply.status, reply.json(), reply.text) == (200, {"flagged": True}, '{"flagged":true}')
    assert reply.content == b'{"flagged":true}'
    assert reply.headers["Content-Type"] == "application/json"
    assert (reply.meta.request_id, len(reply.meta.attempts)) == ("req-7", 1)
    [sent] = server.requests
    assert (sent.method, sent.path, sent.json) == ("POST", "/v1/moderations", {"input": "Hello"})
    assert sent.query == {"a": "1", "b": "y"}
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["content-type"] == "application/json"
    assert KEY not in repr(reply)


@pytest.mark.parametrize(
    ("body", "wanted", "kind"),
    [
        ({"json": [1, "zwei"]}, b'[1,"zwei"]', "application/json"),
        ({"json": False}, b"false", "application/json"),
        ({"data": {"a": "b c", "n": [1, 2], "yes": True, "no": None}}, b"a=b+c&n=1&n=2&yes=true", "application/x-www-form-urlencoded"),
        ({"data": b"\x00\xff"}, b"\x00\xff", None),
        ({"data": bytearray(b"abc")}, b"abc", None),
        ({"data": "Grüße"}, "Grüße".encode(), None),
        ({}, b"", None),
    ],
)  # fmt: skip
def test_bodies(client, server, body, wanted, kind):
    server.script(json_reply({}))
    client.request("POST", "/things", **body)
    [sent] = server.requests
    assert (sent.body, sent.headers.get("content-type")) == (wanted, kind)
    assert sent.headers["content-length"] == str(len(wanted))


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_without_a_body_none_is_announced(client, server, method):
    server.script(Reply(body=b"none" * (method != "HEAD")))
    reply = client.request(method, "/things/1")
    [sent] = server.requests
    assert (sent.method, sent.body, "content-length" in sent.headers) == (method, b"", False)
    assert reply.content == b"none" * (method != "HEAD")


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/files", "/v1/files"),
        ("files/", "/v1/files/"),
        ("", "/v1/"),
        ("/files/a b/ä", "/v1/files/a%20b/%C3%A4"),
        ("/files/a%2Fb/100%", "/v1/files/a%2Fb/100%25"),
        ("/files/../models", "/v1/models"),
        ("/./a/b/../../c", "/v1/c"),
        ("/a%2Fb/..c/./d", "/v1/a%2Fb/..c/d"),
        ("/a:b@c", "/v1/a:b@c"),
    ],
)
def test_paths_are_laid_below_the_base(client, server, path, wanted):
    server.script(json_reply({}))
    client.request("GET", path)
    assert [sent.path for sent in server.requests] == [wanted]


def test_the_query_of_path_base_and_params(front, server):
    server.script(json_reply({}))
    with front.client(**at(server) | {"base_url": f"{server.url}/v1?version=1&kept=yes"}) as client:
        client.request("GET", "/files?limit=2&after=a%26b&x=ä", params={"version": 2, "limit": None})
    assert server.requests[0].query == {"kept": "yes", "after": "a&b", "x": "ä", "version": "2"}


@pytest.mark.parametrize(
    "path",
    [
        "https://elsewhere.example/v1/files", "HTTP://x", "//elsewhere.example/files", "\\\\elsewhere.example", "mailto:x",
        "/../admin", "..", "/a/../../b", "/%2e%2E/admin", "/a/..%2f..%2f..", "/a\\..\\..\\b", "/a#b", "/a\nb", "/\ud800", 7, None,
        # Who counts an escaped slash as one, who does not, who undoes escapes twice, and who leaves parameters out.
        "/a%2fb/../../admin", "/a%5cb/../../admin", "/a%5cb%2f../..", "/a%252Fb/../../admin", "/%252e%252e/admin", "/..;/admin",
    ],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(client, server, path):
    with pytest.raises(llmnet.ConfigurationError, match="path"):
        client.request("GET", path)
    assert server.request_count == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"json": {}, "data": b""}, "json"),
        ({"json": {}, "files": {"f": b""}}, "json"),
        ({"data": b"a", "files": {"f": b""}}, "data beside files"),
        ({"data": io.BytesIO(b"a")}, "data must be bytes"),
        ({"data": {"a": {}}}, r"data\['a'\]"),
        ({"json": {"a": float("nan")}}, r"json\.a"),
        ({"json": {"a": object()}}, r"json\.a"),
        ({"params": {"a": {}}}, r"params\['a'\]"),
        ({"params": "a=b"}, "params"),
        ({"files": {"f": 7}}, r"files\['f'\]"),
        ({"files": {"f": ("name",)}}, r"files\['f'\]"),
        ({"files": "f"}, "files"),
        ({"files": {"f": pathlib.Path("/no/such/file")}}, r"files\['f'\] cannot be read"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"stream": []}, "stream must be True or False"),
        ({"stream": 1}, "stream must be True or False"),
        ({"extra_headers": {"a": "\n"}}, "extra_headers"),
    ],
)
def test_wrong_arguments_are_refused(client, server, arguments, words):
    with pytest.raises(llmnet.ConfigurationError, match=words):
        client.request("POST", "/things", **arguments)
    assert server.request_count == 0


@pytest.mark.parametrize("method", ["", "GET /", "CONNECT", "TRACE", None, "G\nT"])
def test_a_wrong_method_is_refused(client, method):
    with pytest.raises(llmnet.ConfigurationError, match="method"):
        client.request(method, "/things")


# -- files -------------------------------------------------------------------------------------------------------------


def parts_of(sent):
    """The parts of a multipart body: name, name of the file, content type, bytes."""
    whole = email.message_from_bytes(b"content-type: %b\n\n%b" % (sent.headers["content-type"].encode(), sent.body))
    assert whole.get_content_type() == "multipart/form-data"
    for part in whole.get_payload():
        name = part.get_param("name", header="content-disposition")
        kind = part.get_content_type() if "content-type" in part else None
        yield name, part.get_filename(), kind, part.get_payload(decode=True)


def test_files_go_as_multipart_behind_the_fields(client, server, tmp_path):
    (tmp_path / "talk.mp3").write_bytes(SOUND)
    server.script(json_reply({"text": "hello"}))
    with (tmp_path / "talk.mp3").open("rb") as opened:
        files = {
            "file": opened,
            "again": tmp_path / "talk.mp3",
            "plain": b"bytes",
            "named": ("a.json", '{"ä": 1}', "application/x-mine"),
            "two": [("1.txt", "one"), ("2.bin", io.BytesIO(b"two"))],
        }
        client.request("POST", "/audio", files=files, data={"model": "whisper", "tags": ["a", "b"]})
    assert list(parts_of(server.requests[0])) == [
        ("model", None, None, b"whisper"),
        ("tags", None, None, b"a"),
        ("tags", None, None, b"b"),
        ("file", "talk.mp3", "audio/mpeg", SOUND),
        ("again", "talk.mp3", "audio/mpeg", SOUND),
        ("plain", "plain", "application/octet-stream", b"bytes"),
        ("named", "a.json", "application/x-mine", '{"ä": 1}'.encode()),
        ("two", "1.txt", "text/plain", b"one"),
        ("two", "2.bin", "application/octet-stream", b"two"),
    ]


LINES, HALF = "a\r\nX-Evil: 1", "a\ud800"


def closed():
    file = io.BytesIO(SOUND)
    file.close()
    return file


@pytest.mark.parametrize(
    ("file", "path"),
    [
        (("a.txt", b"d", LINES), "['content-type']"), (("a.txt", b"d", HALF), "['content-type']"), (("a.txt", b"d", 5), "['content-type']"),
        (("a.txt", b"d", None, {"X": LINES}), "['X']"), (("a.txt", b"d", None, {LINES: "x"}), ""), (("a.txt", b"d", None, {"X": 1}), "['X']"),
        (("a.txt", b"d", None, {"Content-Type": "a/b"}), ""), (("a.txt", b"d", "a/b", {"content-disposition": "x"}), ""),
        (("a.txt", b"d", None, ["x"]), ""), ((HALF, b"d"), ""), (HALF, ""), (("a", HALF), ""),
        (pathlib.Path("a\0b"), ""), (pathlib.Path(HALF), ""), (pathlib.Path("/dev/zero"), ""), (pathlib.Path("/"), ""), (closed(), ""),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_sent_is_refused(client, server, file, path):
    with pytest.raises(llmnet.ConfigurationError, match=re.escape(f"files['f']{path}")):
        client.request("POST", "/files", files={"f": file})
    assert server.request_count == 0


def test_a_pipe_is_not_waited_for(client, server, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(llmnet.ConfigurationError, match="no regular file"):
        client.request("POST", "/files", files={"f": tmp_path / "pipe"})


def test_a_field_whose_name_has_no_utf8_is_refused(client, server):
    for fields in (
        {"files": {HALF: b"d"}},
        {"files": {"f": b"d"}, "data": {HALF: "x"}},
        {"files": {"f": b"d"}, "data": {"x": HALF}},
    ):
        with pytest.raises(llmnet.ConfigurationError, match="surrogate"):
            client.request("POST", "/files", **fields)
    assert server.request_count == 0


def test_a_part_has_its_own_headers(client, server):
    server.script(json_reply({}))
    client.request("POST", "/files", files={"f": ("a.txt", b"d", "text/x-mine", {"X-A": "b", "X-B": None})})
    assert b"X-A: b\r\n" in server.requests[0].body
    assert b"X-B" not in server.requests[0].body
    assert list(parts_of(server.requests[0])) == [("f", "a.txt", "text/x-mine", b"d")]


def test_a_retry_sends_the_same_bytes(client, server):
    server.script(500, Reply(drop=True), json_reply({}))
    reply = client.request("POST", "/files", files={"file": io.BytesIO(SOUND)})
    assert [attempt.status for attempt in reply.meta.attempts] == [500, None, 200]
    bodies = {(sent.headers["content-type"], sent.body) for sent in server.requests}
    assert len(server.requests) == 3
    assert len(bodies) == 1


# -- errors, retries, bounds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, llmnet.BadRequestError), (401, llmnet.AuthenticationError), (404, llmnet.NotFoundError), (301, llmnet.APIStatusError)],
)  # fmt: skip
def test_a_status_is_its_error(client, server, status, error):
    server.script(Reply(status=status, body={"error": {"message": f"no, {KEY}", "code": "none"}}))
    with pytest.raises(error) as caught:
        client.request("GET", "/things")
    assert (caught.value.status, caught.value.code) == (status, "none")
    assert KEY not in str(caught.value)


def test_a_throttle_shuts_the_gate_of_its_path_and_model_alone(client, server):
    server.script(Reply(status=429, headers={"retry-after": "1000"}), json_reply([1]), json_reply([2]))
    for sent in (1, 1):  # the second one is told without being sent
        with pytest.raises(llmnet.RateLimitError):
            client.request("POST", "/things", json={"model": "m"}, timeout=0.5)
        assert server.request_count == sent
    assert client.request("POST", "/others", json={"model": "m"}).json() == [1]
    assert client.request("POST", "/things", json={"model": "n"}).json() == [2]


@pytest.mark.parametrize("body", [b"no json", b"", b"\xff\xfe"])
def test_what_is_no_json_is_an_error_only_when_it_is_asked_for(client, server, body):
    server.script(Reply(body=body, headers={"content-type": "text/html"}))
    reply = client.request("GET", "/page")
    assert (reply.content, len(reply.meta.attempts)) == (body, 1)
    with pytest.raises(llmnet.InvalidResponseError, match="text/html"):
        reply.json()


def test_an_error_inside_a_success_is_left_to_the_caller(client, server):
    server.script(Reply(body={"error": {"message": "none"}}))
    assert client.request("GET", "/jobs/1").json() == {"error": {"message": "none"}}


def test_events_are_bytes(client, server):
    server.script(Reply(events=["data: 1\n\n", "data: 2\n\n"]))
    assert client.request("GET", "/events").content == b"data: 1\n\ndata: 2\n\n"


def test_a_coding_is_undone(client, server):
    server.script(Reply(body=b"a" * 5000, gzip=True), Reply(body=b"b" * 5000, gzip=True))
    assert client.request("GET", "/big").content == b"a" * 5000
    with client.request("GET", "/big", stream=True) as stream:
        assert b"".join(stream) == b"b" * 5000


def test_a_body_that_breaks_off_is_asked_for_again(client, server):
    server.script(Reply(body=b"0123456789", cut=5), Reply(body=b"0123456789"))
    reply = client.request("GET", "/file")
    assert (reply.content, [one.status for one in reply.meta.attempts]) == (b"0123456789", [200, 200])


@pytest.mark.parametrize("stream", [False, True])
def test_half_of_a_coded_body_is_none(client, server, stream):
    server.script(*[Reply(body=gzip.compress(SOUND)[:-5], headers={"content-encoding": "gzip"})] * 4)
    with pytest.raises(llmnet.APIConnectionError, match="ended early"):
        list(client.request("GET", "/file", stream=True)) if stream else client.request("GET", "/file")


@pytest.mark.parametrize("body", [SOUND, b"{" + SOUND])
def test_a_body_has_a_limit_and_a_stream_has_none(client, server, monkeypatch, body):
    monkeypatch.setattr(reply_reader, "MAX_BODY_BYTES", 1000)  # private: 64 MiB would take a while
    server.script(*[Reply(body=body)] * 3)
    with pytest.raises(llmnet.InvalidResponseError, match="longer than 1000 bytes"):
        client.request("GET", "/file")
    assert b"".join(client.request("GET", "/file", stream=True)) == body


def test_the_charset_of_a_text(client, server):
    kinds = {
        "text/plain; charset=latin-1": "ü",
        'text/plain; Charset="latin-1"': "ü",
        "text/plain; charset=none": "\ufffd",
    }
    for kind, wanted in {**kinds, "text/plain": "\ufffd"}.items():
        server.script(Reply(body=b"\xfc", headers={"content-type": kind}))
        assert client.request("GET", "/text").text == wanted


@pytest.mark.parametrize(
    "named", ["idna", "undefined", "punycode", "unicode_escape", "utf-7", "rot13", "hz", "zlib", "a\0"]
)
def test_a_codec_that_is_no_charset_is_not_used(named):
    """Some raise errors of their own, some take quadratic time, some make text of an escape."""
    headers = {"content-type": f"text/plain; charset={named}"}
    reply = llmnet.APIResponse(content="\\ud800+AGE- ü".encode(), meta=llmnet.Meta(headers=Headers(headers)))
    assert reply.text == reply.to_dict()["content"] == "\\ud800+AGE- ü"
    with pytest.raises(llmnet.InvalidResponseError):
        reply.json()


@pytest.mark.parametrize(
    ("charset", "words"),
    [
        ("GBK", "密钥无效"),
        ("gb2312", "密鑰无效€"),
        ("Big5", "無效"),
        ("Shift_JIS", "無効"),
        ("euc-kr", "무효"),
        ("utf-16", "无效"),
    ],
)
def test_an_error_is_read_in_its_charset(client, server, charset, words):
    written = words.encode("gb18030" if charset == "gb2312" else charset)
    kinds = {"text/plain": written}
    if charset != "utf-16":
        kinds["application/json"] = b'{"error": {"message": "%b"}}' % written
    for kind, body in kinds.items():
        server.script(Reply(status=400, body=body, headers={"content-type": f"{kind}; charset={charset}"}))
        with pytest.raises(llmnet.BadRequestError, match=words):
            client.request("GET", "/text")
    server.script(*[Reply(body=written, headers={"content-type": f"text/html; charset={charset}"})] * 2)
    with pytest.raises(llmnet.InvalidResponseError, match=words):
        client.chat("hi")


def test_a_slow_server_meets_the_bound(client, server):
    server.script(Reply(silent=True))
    with pytest.raises(llmnet.APITimeoutError) as caught:
        client.request("GET", "/slow", timeout=0.1)
    assert caught.value.phase in ("response", "total")


def test_a_closed_client_sends_nothing(front, server):
    client = front.client(**at(server))
    client.close()
    with pytest.raises(llmnet.ConfigurationError, match="closed"):
        client.request("GET", "/things")


def test_it_counts_as_a_call_of_the_model_that_it_names(front, server):
    seen = []
    server.script(json_reply({}), json_reply({}))
    with front.client(**at(server, on_event=seen.append)) as client:
        client.request("POST", "/embeddings", json={"model": "m-7"})
        client.request("GET", "/files")
        assert client.request_count == 2
    ended = [event for event in seen if isinstance(event, llmnet.CallFinished)]
    assert [(event.model, event.outcome, event.stream) for event in ended] == [("m-7", "ok", False), ("", "ok", False)]


def test_other_wire_forms_add_their_own_headers(front, server):
    server.script(json_reply({"input_tokens": 3}))
    with front.client(**at(server, "messages", api_key=KEY)) as client:
        client.request("POST", "/v1/messages/count_tokens", json={"model": "m"}, extra_headers={"x-a": "b"})
    [sent] = server.requests
    assert (sent.headers["x-api-key"], sent.headers["x-a"]) == (KEY, "b")
    assert sent.headers["anthropic-version"]


def test_a_key_in_the_query_is_shown_nowhere(client, server, caplog):
    caplog.set_level("DEBUG")
    server.script(Reply(status=400, body={"error": {"message": f"bad token {OTHER} or key {OTHER}2", "code": "none"}}))
    with pytest.raises(llmnet.BadRequestError, match="bad token") as caught:
        client.request("GET", f"/things?token={OTHER}", params={"api_key": OTHER + "2"})
    assert server.requests[0].query == {"token": OTHER, "api_key": OTHER + "2"}
    assert OTHER not in f"{caught.value} {caught.value.body} {caplog.text}"


# -- streams ------------------------------------------------------------------------------------------------------------


def test_a_stream_gives_bytes_as_they_come(client, server):
    server.script(Reply(body=SOUND, hold="body", headers={"content-type": "audio/mpeg"}))
    stream = client.request("POST", "/speech", json={"input": "Hello"}, stream=True)
    assert server.request_count == 0
    with stream:
        assert (stream.status, stream.headers["content-type"]) == (200, "audio/mpeg")
        assert server.requests[0].headers["accept-encoding"] == "identity"  # what is compressed is held back
        first = next(stream)
        assert SOUND.startswith(first)
        server.release()
        assert first + b"".join(stream) == SOUND
    assert (stream.meta.status, len(stream.meta.attempts), slots(client)) == (200, 1, 0)


def test_a_stream_of_nothing_ends(client, server):
    server.script(Reply(body=b""), Reply(body=b""))
    with client.request("GET", "/none", stream=True) as stream:
        assert list(stream) == []
    assert list(client.request("GET", "/none", stream=True)) == []


def test_a_stream_is_sent_again_until_a_byte_was_handed_out(client, server):
    server.script(500, Reply(body=SOUND, cut=70_000, reset=True))
    stream = client.request("GET", "/file", stream=True)
    with pytest.raises(llmnet.APIConnectionError) as caught:
        for _ in stream:
            pass
    assert [attempt.status for attempt in caught.value.meta.attempts] == [500, 200]
    with pytest.raises(llmnet.StreamError):
        next(stream)


def test_an_error_of_a_stream_is_typed(client, server):
    server.script(404)
    with pytest.raises(llmnet.NotFoundError), client.request("GET", "/file", stream=True):
        pass


def test_closing_a_stream_gives_everything_back(client, server):
    server.script(Reply(body=SOUND, hold="body"))
    with client.request("GET", "/file", stream=True) as stream:
        next(stream)
    assert slots(client) == 0
    eventually(lambda: server.active == 0)  # its connection is aborted, though the reply is held
    with pytest.raises(llmnet.StreamError):
        next(stream)


def test_a_stream_that_is_dropped_gives_everything_back(client, server):
    server.script(Reply(body=SOUND, hold="body"))
    for _ in client.request("GET", "/file", stream=True):
        break
    gc.collect()
    eventually(lambda: slots(client) == 0 and server.active == 0)


def test_a_stream_is_cancelled_from_another_thread(client, server):
    server.script(Reply(body=SOUND, hold="body"))
    stream = client.request("GET", "/file", stream=True)
    work = Work(lambda: [len(piece) for piece in stream])
    eventually(lambda: server.request_count == 1 and blocked(stream))
    threading.Thread(target=stream.cancel).start()
    with pytest.raises(llmnet.StreamCancelledError):
        work.result()


def test_an_idle_stream_meets_the_bound(client, server):
    server.script(Reply(body=SOUND, stall=1000))
    with pytest.raises(llmnet.APITimeoutError) as caught:
        list(client.request("GET", "/file", stream=True, timeout=llmnet.Timeout(idle=0.1)))
    assert caught.value.phase == "idle"


async def test_an_async_stream_may_be_awaited(server):
    server.script(Reply(body=b"abc"), Reply(body=b"def"))
    async with llmnet.AsyncClient(**at(server)) as client:
        stream = await client.request("GET", "/a", stream=True)
        assert stream.status == 200
        assert [piece async for piece in stream] == [b"abc"]
        async with await client.request("GET", "/b", stream=True) as stream:
            assert [piece async for piece in stream] == [b"def"]


# -- both fronts ---------------------------------------------------------------------------------------------------------


async def test_both_fronts_send_the_same_request(server):
    arguments = {"files": {"f": ('ü".txt', "text")}, "data": {"a": "b"}, "params": {"q": "ä b"}}
    server.script(json_reply({}), json_reply({}))
    with llmnet.Client(**at(server)) as client:
        client.request("POST", "/up/ü/..;/x", **arguments)
    async with llmnet.AsyncClient(**at(server)) as client:
        await client.request("POST", "/up/ü/..;/x", **arguments)
    shown = []
    for sent in server.requests:
        boundary = sent.headers["content-type"].partition("boundary=")[2]
        shown.append((sent.path, sent.query, sent.body.replace(boundary.encode(), b"-"), sorted(sent.headers)))
    assert shown[0][:3] == shown[1][:3]
    assert {"content-type", "content-length", "accept", "accept-encoding", "user-agent"} <= set(shown[0][3]) & set(
        shown[1][3]
    )


def test_a_plain_request_loads_no_multipart(server):
    program = """
        import asyncio, sys, llmnet
        async def main():
            async with llmnet.AsyncClient("openai:m", base_url=sys.argv[1], api_key="k") as client:
                return await client.request("GET", "/models")
        reply = asyncio.run(main())
        assert reply.json()["data"]
        assert "urllib3" not in sys.modules
        print("fine")
    """
    run_python("\n".join(line.removeprefix(" " * 8) for line in program.splitlines()), args=(f"{server.url}/v1",))


def test_the_values_are_plain():
    reply = llmnet.APIResponse(content=json.dumps({"a": 1}).encode(), meta=llmnet.Meta(status=201))
    assert (reply.status, reply.json(), repr(reply)) == (
        201,
        {"a": 1},
        "<APIResponse 201 without content type, 8 bytes>",
    )
