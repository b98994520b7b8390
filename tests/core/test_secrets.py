"""No part of a secret is shown: neither where we cut a text in the middle of it, nor where a connection did."""

import dataclasses
import json
import traceback

import pytest
from matrix.case import KEY, skipping
from support.live import at

import llmnet
from llmnet.core.errors import ServerError
from llmnet.core.preview import CUT, cut
from llmnet.core.secrets import SHORTEST, Secrets
from llmnet.core.tracebacks import reachable
from llmnet.testing import Reply

pytestmark = pytest.mark.threads

HTML, JSON = {"content-type": "text/html"}, {"content-type": "application/json"}


@dataclasses.dataclass
class City:
    name: str


def chat(client):
    client.chat("hi")


def stream(client):
    list(client.stream_chat("hi"))


def event(text):
    return Reply(events=[f"data: {{{text}\n\n"])


# How a server can make us cut a text: after how many characters of filler, with what reply, asked how.
CUTS = {
    "page with an error": (1000, lambda text: Reply(status=400, headers=HTML, body=text), chat),
    "spaces in between": (4000, lambda text: Reply(status=400, headers=HTML, body=text.replace("xxxx", "    ")), chat),
    "body of an error": (65536, lambda text: Reply(status=400, headers=HTML, body=text), chat),
    "page with a success": (500, lambda text: Reply(headers=HTML, body=text), chat),
    "letters of many bytes": (500, lambda text: Reply(headers=HTML, body=text.replace("x", "你")), chat),
    "event that is no JSON": (199, event, stream),
    "no choices": (200 - len("{'said': '"), lambda text: Reply(headers=JSON, body=json.dumps({"said": text})), chat),
    "no HTTP": (300, lambda text: Reply(raw=f"{text}\r\n\r\n".encode()), chat),
}


def shown(error):
    return f"{''.join(traceback.format_exception(error))} {error!r} {vars(error)} {error.meta.attempts}"


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("before", [1, SHORTEST + 1, len(KEY) // 2, len(KEY) - 1])
def test_half_a_secret_is_hidden_where_a_text_is_cut(front, server, name, before):
    """The cut comes after so many characters of the key; a little further off where a library puts its own words first."""
    size, reply, ask = CUTS[name]
    for shift in (0, -24) if name == "no HTTP" else (0,):
        server.script(*[reply("x" * (size - before + shift) + KEY + "x" * 9)] * 4)
        with front.client(**at(server, api_key=KEY)) as client:
            skipping(front, client)
            with pytest.raises(llmnet.LLMNetError) as caught:
                ask(client)
        assert KEY[: SHORTEST + 1] not in shown(caught.value)
        assert CUT in str(caught.value)


@pytest.mark.parametrize("before", [SHORTEST + 1, len(KEY) - 1])
def test_half_a_secret_is_hidden_where_the_connection_ended(front, server, before):
    echo = b"bad key " + KEY.encode()
    server.script(Reply(status=400, headers=HTML, body=echo, cut=len(echo) - len(KEY) + before))
    with front.client(**at(server, api_key=KEY)) as client, pytest.raises(llmnet.BadRequestError) as caught:
        client.chat("hi")
    assert KEY[: SHORTEST + 1] not in shown(caught.value)
    assert caught.value.body == "bad key ***"


def test_a_secret_that_is_called_a_code_is_hidden(front, server):
    server.script(Reply(status=400, error={"code": KEY, "type": KEY, "message": "no"}, headers={"x-request-id": KEY}))
    with front.client(**at(server, api_key=KEY)) as client, pytest.raises(llmnet.BadRequestError) as caught:
        client.chat("hi")
    assert KEY not in shown(caught.value)


def test_an_error_that_is_raised_after_the_call_quotes_nothing(front, server):
    """A reply says what the server has said; of the text of an error nobody expects that."""
    call = Reply(tool_calls=[{"id": KEY, "name": f"tool-{KEY}", "arguments": f"{{bad {KEY}"}])
    server.script(Reply(headers=HTML, body=f"bad key {KEY}"), call)
    with front.client(**at(server, api_key=KEY)) as client:
        page, reply = client.request("GET", "/page"), client.chat("hi", output_type=City)
    for ask in (page.json, reply.tool_calls[0].json, lambda: reply.parsed):
        with pytest.raises(llmnet.InvalidResponseError) as caught:
            ask()
        assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


def test_what_is_no_secret_is_shown():
    secrets = Secrets([KEY, f"Bearer {KEY}"])
    for text in ("Authorization: Bearer", "sk-pla", "sk-planted is how it begins", f"sk-plan{CUT}"[:6], "", CUT):
        assert secrets.hide(text) == text
    assert secrets.hide(f"a {KEY[:9]}{CUT} b {KEY} c {KEY[:-1]}") == f"a ***{CUT} b *** c ***"
    assert Secrets(["ab" * 9]).hide("x" + "ab" * 7 + "a") == "x***"
    assert Secrets(["ab" * 9]).hide("ab" * 8 + "c") == "ab" * 8 + "c"
    assert (cut("abc", 3), cut("abcd", 3)) == ("abc", f"abc{CUT}")
    assert secrets.clean(ServerError("x")).message == "x"


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("size", [SHORTEST + 1, len(KEY) - 1])
def test_half_a_secret_is_hidden_where_a_header_is_cut(front, server, status, size):
    server.script(Reply(status=status, headers={"x-echo": f"bad key {KEY[:size]}", "x-last": "1"}))
    with front.client(**at(server, api_key=KEY)) as client:
        try:
            meta = client.chat("hi").meta
        except llmnet.BadRequestError as error:
            meta = error.meta
    assert (meta.headers["x-echo"], meta.headers["x-last"]) == ("bad key ***", "1")


def test_the_head_of_a_good_reply_shows_no_key(server, front):
    server.script(Reply(headers={"x-request-id": f"id-{KEY}", "x-echo": KEY}))
    with front.client(**at(server, api_key=KEY)) as client:
        meta = client.chat("hi").meta
    assert (meta.request_id, meta.headers["x-echo"]) == ("id-***", "***")


def test_a_header_that_a_server_echoes_as_it_came(server, front):
    """It went out as Latin-1, which is no UTF-8."""
    secret = "geheim-\xfcber-alles-\xdf-0123456789"
    echo = secret.encode("latin-1")
    raws = [
        b"HTTP/1.1 500 No\r\ncontent-type: application/json\r\n\r\n" + b'{"error":{"message":"%b"}}' % echo,
        b"HTTP/1.1 500 %b\r\nx-echo: %b\r\n\r\n%b" % (echo, echo, echo),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%b\r\n" % echo,
    ]
    for raw in raws:
        server.script(Reply(raw=raw))
        with (
            front.client(**at(server), headers={"x-api-key": secret}, max_retries=0) as client,
            pytest.raises(llmnet.LLMNetError) as caught,
        ):
            client.chat("x")
        for one in reachable(caught.value):
            assert "0123456789" not in f"{one} {one!r} {vars(one)}"
