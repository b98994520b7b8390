"""Nothing grows with what a server sends or with how many hosts, errors and pages there were: each has its end."""

import gc
import http.cookiejar
import inspect
import json
import tracemalloc

import pytest
import trustme
from support.inside import form_of, replace_parts
from support.live import at

import llmnet
from llmnet.client import other_calls
from llmnet.net import tls
from llmnet.testing import Reply


def whole(front, client, name, *args):
    """A method that the blocking face of the async front lacks."""
    said = getattr(client, name)(*args)
    return front.run(said) if inspect.iscoroutine(said) else said


# -- cookies ------------------------------------------------------------------------------------------------------------


def test_cookies_are_neither_kept_nor_read(front, server, monkeypatch):
    read = []
    monkeypatch.setattr(http.cookiejar.CookieJar, "extract_cookies", lambda *_: read.append(_))
    server.handler = lambda request: Reply(headers={"set-cookie": f"c{len(server.requests)}=1; Path=/"})
    with front.client(**at(server)) as client:
        for _ in range(3):
            client.chat("Hi")
        list(client.stream_chat("Hi"))
    assert read == []
    assert [request.headers.get("cookie") for request in server.requests] == [None] * 4


def test_no_cookie_outlives_its_reply(front, server):
    server.handler = lambda request: Reply(headers={"set-cookie": f"c{len(server.requests)}=1; Path=/"})
    with front.client(**at(server)) as client:
        for _ in range(5):
            client.chat("Hi")
        gc.collect()
        assert not [thing for thing in gc.get_objects() if isinstance(thing, http.cookiejar.Cookie)]


# -- several requests of one method ------------------------------------------------------------------------------------


def page(name, following=None):
    more = {"has_more": True, "last_id": following} if following else {"has_more": False}
    return Reply(
        body=json.dumps({"data": [{"id": name}], **more}).encode(), headers={"content-type": "application/json"}
    )


def listing(server, **more):
    return at(server, "messages", provider="anthropic", api_key="k", **more)


def test_pages_without_end_end(front, server, monkeypatch):
    monkeypatch.setattr(other_calls, "MAX_PAGES", 7)
    server.handler = lambda request: page("m", f"cursor {server.request_count}")
    with front.client(**listing(server)) as client, pytest.raises(llmnet.InvalidResponseError) as caught:
        whole(front, client, "list_models")
    assert "after 7 pages there is another one" in str(caught.value)
    assert (server.request_count, len(caught.value.meta.attempts)) == (7, 7)
    assert caught.value.host == f"127.0.0.1:{server.port}"


def test_cursors_that_go_round_in_a_circle_end_the_list(front, server):
    server.script(page("1", "a"), page("2", "b"), page("3", "c"), page("4", "a"), page("5", "d"))
    with front.client(**listing(server)) as client:
        assert [model.id for model in whole(front, client, "list_models")] == ["1", "2", "3", "4"]


def test_an_error_of_several_requests_tells_of_all(front, server):
    server.script(Reply(status=500), page("1", "a"), page("2", "b"), page("3", "c"))
    server.handler = lambda request: None if server.request_count < 5 else Reply(hold=True)
    with front.client(**listing(server, retry=llmnet.RetryPolicy(base_delay=0.001), timeout=0.4)) as client:
        with pytest.raises(llmnet.APITimeoutError) as caught:
            whole(front, client, "list_models")
        error = caught.value
        assert error.phase == "total"
        assert [attempt.status for attempt in error.meta.attempts] == [500, 200, 200, 200, None]
        assert error.meta.elapsed >= 0.4
        assert error.meta.elapsed >= sum(attempt.elapsed for attempt in error.meta.attempts)
        assert error.maybe_billed
        server.release()


def test_the_total_of_several_requests_is_the_callers(front, server):
    with front.client(**listing(server, timeout=llmnet.Timeout(total=1.5))) as client:
        replace_parts(client, clock=lambda: server.request_count * 0.6)  # each request takes so long
        server.handler = lambda request: page("m", f"{server.request_count}")
        with pytest.raises(llmnet.APITimeoutError) as caught:
            whole(front, client, "list_models")
    assert "the total bound of 1.5s expired" in str(caught.value)
    assert caught.value.meta.elapsed == pytest.approx(1.8)
    assert len(caught.value.meta.attempts) == server.request_count == 3


def test_embeddings_of_many_slices_tell_of_all(front, server):
    with front.client(**at(server)) as client:
        form = form_of(client)
        limit = form.target.service.embed_limit("m")
        reply = whole(front, client, "embed", ["word"] * (2 * limit + 1))
        assert len(reply.vectors) == 2 * limit + 1
        assert [attempt.status for attempt in reply.meta.attempts] == [200] * 3
        assert reply.meta.elapsed >= sum(attempt.elapsed for attempt in reply.meta.attempts)


# -- what is kept by name ----------------------------------------------------------------------------------------------


def test_files_of_certificates_do_not_add_up_for_ever(tmp_path):
    pem = trustme.CA().cert_pem.bytes()
    made, most = tls._CONTEXTS._made, tls._MOST  # private: what is kept is seen nowhere else
    before = len(made)
    for number in range(most + 9):
        path = tmp_path / f"{number}.pem"
        path.write_bytes(pem)
        context = tls.ssl_context(str(path), {}, "sync")
    assert before <= len(made) <= most
    assert tls.ssl_context(str(path), {}, "sync") is context, "the newest ones are kept"


# -- errors that are kept -----------------------------------------------------------------------------------------------

SIZE, KEPT = 1 << 20, 3
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}
OPENED = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
FAILURES = {
    "cut": (Reply(body=b" " * SIZE, headers={**JSON, "content-length": str(SIZE + 9)}, close=True), "chat"),
    "no JSON": (Reply(body=b"<" * SIZE, headers=JSON), "chat"),
    "half a word of JSON": (Reply(body=b'"' + b"x" * SIZE, headers=JSON), "chat"),
    "no choices": (Reply(body=b'{"a": "' + b"x" * SIZE + b'"}', headers=JSON), "chat"),
    "error": (Reply(status=500, body=b'{"a": "' + b"x" * SIZE + b'"}', headers=JSON), "chat"),
    "cut event": (Reply(body=OPENED + b"data: " + b"x" * SIZE, headers=EVENTS), "stream_chat"),
    "broken event": (Reply(body=OPENED + b"data: " + b"x" * SIZE + b"\n\n", headers=EVENTS), "stream_chat"),
}


def memory():
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAILURES)
def test_errors_that_are_kept_do_not_keep_bodies(front, server, name):
    reply, method = FAILURES[name]
    server.handler = lambda request: reply

    def failure(client):
        with pytest.raises(llmnet.LLMNetError) as caught:
            list(getattr(client, method)("Hi"))
        return caught.value  # with all its frames, as whoever catches it keeps it

    with front.client(**at(server, max_retries=0)) as client:
        failure(client)
        tracemalloc.start()
        try:
            before = memory()
            kept = [failure(client) for _ in range(KEPT)]
            assert memory() - before < KEPT * SIZE / 4
            assert len(kept) == KEPT
        finally:
            tracemalloc.stop()
