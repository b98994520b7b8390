"""A program that is given secrets, has everything go wrong, and shows all that it can get hold of; nothing is hidden here.

Run by test_planted.py in a process of its own, where what the interpreter and the libraries write is seen too.
"""

import base64
import copy
import html
import http.client
import json
import logging
import pickle
import socket
import sys
import traceback
import warnings
from urllib.parse import quote

from support.acts import attempt
from support.inside import resolved_of
from support.proxy import Proxy
from support.socks5 import Socks

import llmnet
from llmnet.testing import FakeServer, Reply

KEY = 'sk-"Pl4nted+Key/With=All\\That-0123456789'
TOKEN = "tok-Pl4nted/Header+Of-The-Client-9876543210"
EXTRA = "xtr-Pl4nted=Header/Of+One-Call-5551234567"
QUERY = "qry-Pl4nted/In+The&Address=Of-All-777000999"
PASSWORD = "pwd-Pl4nted:Of/The@Proxy+And=More-31415926"
PROMPT = "prm-What-The/Caller+Has=Asked-For-2468013579"  # no secret, but nothing for a log
OWN, SECRETS = (KEY, TOKEN, EXTRA, QUERY), (KEY, TOKEN, EXTRA, QUERY, PASSWORD)

HTML = {"content-type": "text/html"}
LOGGERS = (
    "urllib3",
    "requests",
    "httpx",
    "httpcore",
    "h2",
    "hpack",
    "hyper",
    "anyio",
    "asyncio",
    "llmnet",
    "concurrent",
)


def echoes(secrets):
    """Each secret as a server may write it: as it is, and as base64, JSON, a URL or a header would have it."""
    for secret in secrets:
        raw = secret.encode()
        yield from (secret, json.dumps(secret), quote(secret, safe=""), quote(secret), base64.b64encode(raw).decode())
        yield from (base64.urlsafe_b64encode(raw).decode(), f"Bearer {secret}", repr(secret))
        yield from (quote(secret, safe="").replace("%2F", "%2f"), html.escape(secret).replace("/", "&#x2F;"))
        yield from ("".join(f"&#{ord(letter)};" for letter in secret), json.dumps(secret).replace("/", "\\/"))
        yield from ("".join(f"\\u{ord(letter):04X}" for letter in secret), base64.b64encode(b"user:" + raw).decode())


ECHO = " and ".join((*echoes(OWN), PROMPT))
BASIC = "Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode()
PROXYS_ECHO = " and ".join((*echoes(SECRETS), BASIC))
ERROR = {"message": ECHO, "code": KEY, "type": TOKEN}
HEADERS = {"x-request-id": KEY, "www-authenticate": f"Bearer {KEY}", "location": f"/v1?key={quote(QUERY, safe='')}"}


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def chat(client):
    return client.chat(PROMPT, extra_headers={"x-auth-token": EXTRA})


def stream(client):
    """Read a stream to its end, in either front."""
    opened = client.stream_chat(PROMPT, extra_headers={"x-auth-token": EXTRA})
    if isinstance(client, llmnet.Client):
        with opened as chunks:
            return list(chunks)

    async def read():
        async with opened as chunks:
            return [chunk async for chunk in chunks]

    return read()


# What the server says, what is asked, and fields of the client.
SERVER = {
    "success": ("fine", chat, {}),
    "success of a stream": ("fine", stream, {}),
    "a success that echoes": (Reply(text="fine", headers=HEADERS), chat, {}),
    "keys from a callable": ("fine", chat, {"api_key": lambda: KEY}),
    "401": (Reply(status=401, error=ERROR, headers=HEADERS), chat, {}),
    "401 of a stream": (Reply(status=401, error=ERROR, headers=HEADERS), stream, {}),
    "500, repeated": (Reply(status=500, body=ECHO, headers={**HTML, **HEADERS}), chat, {}),
    "429, repeated": (Reply(status=429, error=ERROR, headers={**HEADERS, "retry-after": "0.01"}), chat, {}),
    "302": (Reply(status=302, body=ECHO, headers=HEADERS), chat, {}),
    "a page with a success": (Reply(body=ECHO, headers=HTML), chat, {}),
    "broken JSON": (Reply(body=f'{{"said": {ECHO}', headers={"content-type": "application/json"}), chat, {}),
    "an error in a success": (Reply(error=ERROR), chat, {}),
    "an error event": (Reply(error_event=ERROR), stream, {}),
    "no event at all": (Reply(events=[f"data: {ECHO}\n\n"]), stream, {}),
    "no HTTP": (Reply(raw=f"{ECHO}\r\n\r\n".encode()), chat, {}),
    "a head that breaks off": (Reply(raw=f"HTTP/1.1 200 OK\r\nx: {ECHO}\r\n bad".encode()), chat, {}),
    "a head with a line that is none": (Reply(raw=f"HTTP/1.1 200 OK\r\n{ECHO} \r\nx: y\r\n\r\n".encode()), chat, {}),
    "a cut body": (Reply(cut=40), chat, {}),
    "a cut stream": (Reply(text="one two three", cut=300, reset=True), stream, {}),
    "silence": (Reply(silent=True), chat, {"timeout": llmnet.Timeout(response=0.1)}),
    "silence in a stream": (Reply(hold="body"), stream, {"timeout": llmnet.Timeout(idle=0.1)}),
    "not enough time": (Reply(silent=True), chat, {"timeout": llmnet.Timeout(total=0.1)}),
}
# What is refused before anything is sent.
REFUSED = {
    "a key of two lines": {"api_key": f"{KEY}\n{TOKEN}"},
    "a key beyond latin-1": {"api_key": f"{KEY}\u2603"},
    "a header of two lines": {"headers": {"Authorization": f"{TOKEN}\r\nx: y"}},
    "a proxy that is none": {"proxy": f"http://user:{PASSWORD}@"},
    "a proxy of no known kind": {"proxy": f"gopher://user:{quote(PASSWORD, safe='')}@127.0.0.1:1"},
    "credentials in the address": {"base_url": f"http://user:{quote(QUERY, safe='')}@127.0.0.1:1/v1"},
    "no address": {"base_url": f"http://[{QUERY}"},
    "a timeout that is a key": {"timeout": KEY},
}
LOGIN = f"user:{quote(PASSWORD, safe='')}@"


def show(name, value):
    print(f"{name}: {value}", flush=True)


def show_error(error):
    for one in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        show("error", f"{one} | {one!r} | {one.args!r} | {vars(one)!r}")
    show("pickle", pickle.dumps(error).decode("latin-1"))
    show("traceback", "".join(traceback.format_exception(error)))
    logging.getLogger("program").error("it failed", exc_info=error)


def play(front, name, fields, ask):
    print(f"=== {name}", flush=True)

    def act(client):
        resolved = resolved_of(client)  # its repr stands in tracebacks
        show("client", f"{client!r} {client.config!r} {resolved!r} {client.with_options(model='n')!r}")
        return ask(client)

    options = {
        "api_key": KEY,
        "headers": {"x-my-token": TOKEN},
        "model": "m",
        "provider": "openai",
        "retry": QUICK,
        "on_event": lambda event: show("event", repr(event)),
        **fields,
    }
    try:
        show("reply", repr(attempt(front, (), options, act)))
    except llmnet.LLMNetError as error:
        show_error(error)


QUICK = llmnet.RetryPolicy(max_retries=2, base_delay=0.001, max_delay=0.01, max_throttle_wait=0.05)


def main(front):
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(name)s %(message)s %(args)s")
    for logger in LOGGERS:
        logging.getLogger(logger).setLevel(logging.DEBUG)
    warnings.simplefilter("always")
    http.client.HTTPConnection.debuglevel = 1
    with FakeServer() as server:
        query = f"?subscription-key={quote(QUERY, safe='')}"
        here = {"base_url": f"{server.url}/v1{query}"}
        for name, (reply, ask, fields) in SERVER.items():
            server.script(*[reply] * 9)
            play(front, name, {**here, **fields}, ask)
            server.reset()
        for name, fields in REFUSED.items():
            play(front, name, {**here, **fields}, chat)
        nowhere = {"base_url": f"http://127.0.0.1:{closed_port()}/v1{query}"}
        play(front, "a refused connection", nowhere, chat)
        mute = {"base_url": f"https://127.0.0.1:{server.port}/v1{query}", "timeout": llmnet.Timeout(connect=0.1)}
        play(front, "a handshake without an answer", mute, chat)
        with Proxy() as proxy, Socks(login=("user", PASSWORD)) as socks, Socks(code=2) as hostile:
            for kind, address in (("forwarding", here), ("tunnelling", mute)):
                play(front, f"a {kind} proxy", {**address, "proxy": f"http://{LOGIN}127.0.0.1:{proxy.port}"}, chat)
                server.script(*[Reply(status=407, body=PROXYS_ECHO, headers={**HEADERS, "x-said": BASIC})] * 9)
                play(
                    front,
                    f"407 of a {kind} proxy",
                    {**address, "proxy": f"http://{LOGIN}127.0.0.1:{server.port}"},
                    chat,
                )
                server.reset()
            play(front, "a refused proxy", {**here, "proxy": f"http://{LOGIN}127.0.0.1:{closed_port()}"}, chat)
            play(front, "SOCKS", {**here, "proxy": socks.url(login=LOGIN)}, chat)
            play(front, "SOCKS that refuses", {**here, "proxy": hostile.url(login=LOGIN)}, chat)
    print("=== end", flush=True)
