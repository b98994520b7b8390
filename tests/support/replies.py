"""Replies of every wire form, complete and as streams, read without a socket; and a server that sends raw bytes."""

import contextlib
import json
import socket
import threading

from support.wire_forms import service_of

from llmnet.core.http import Headers
from llmnet.core.outcome import AttemptError
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.request import chat_request
from llmnet.providers.services import SERVICES
from llmnet.providers.target import Target, make_form

DONE = "[DONE]"


def form(name="chat-completions", provider=None, **facts):
    service = SERVICES[provider] if provider else service_of(name)
    path = service.apis[name].path if name in service.apis else ""
    usual = {"service": service, "api": name, "base_url": service.base_url + path}
    return make_form(name, Target(**usual | facts))


def events(*parts):
    """An event stream: a dict is the data of an event and, where it has a type, its name; a text is data; bytes go as
    they are."""
    return b"".join(one if isinstance(one, bytes) else _event(one) for one in parts)


def _event(part):
    name = f"event: {part['type']}\n" if isinstance(part, dict) and "type" in part else ""
    return f"{name}data: {part if isinstance(part, str) else json.dumps(part)}\n\n".encode()


def receive(own, body, *, stream, kind, size=41):
    """What comes of a body that arrives in pieces: the chunks, and the reply or the error."""
    exchange, chunks = ReplyReader(own, stream=stream), []
    try:
        exchange.open(200, Headers({"content-type": kind}))
        for at in range(0, len(body), size):
            chunks += exchange.feed(body[at : at + size])
        chunks += exchange.end()
    except AttemptError as fault:
        return chunks, fault.outcome.error
    if stream:
        assert "".join(map(str, chunks)) == exchange.value.content
        assert "".join(chunk.reasoning or "" for chunk in chunks) == (exchange.value.reasoning or "")
    return chunks, exchange.value


def read_whole(reader, body):
    """The value of a body that comes at once."""
    reader.feed(body)
    reader.end()
    return reader.value


def read_json(own, payload):
    """The reply, or the error, of a body in JSON; it is the same where a stream was asked for."""
    body = json.dumps(payload).encode()
    (_, reply), (_, same) = (receive(own, body, stream=stream, kind="application/json") for stream in (False, True))
    assert str(reply) == str(same)
    return reply


def streamed(own, *parts):
    """The reply, or the error, of a stream."""
    return receive(own, events(*parts), stream=True, kind="text/event-stream")[1]


def sent(own, *messages, **params):
    """The body of the request that sends messages."""
    return json.loads(own.prepare(chat_request(list(messages), "m", params, stream=False)).body)


# -- the forms' own ways of saying it ---------------------------------------------------------------------------------


def completion(message, finish="stop", choice=None, **more):
    row = {"index": 0, "message": message, "finish_reason": finish, **(choice or {})}
    return {"id": "c-1", "model": "m-1", "choices": [row], **more}


def chunk(delta=None, finish=None, choice=None, **more):
    row = {"index": 0, "delta": delta or {}, "finish_reason": finish, **(choice or {})}
    return {"id": "c-1", "model": "m-1", "choices": [row], **more}


def response(*output, **more):
    return {"id": "c-1", "model": "m-1", "status": "completed", "output": list(output), **more}


def completed(*output, **more):
    return {"type": "response.completed", "response": response(*output, **more)}


def text_item(text):
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def message(*blocks, **more):
    head = {"id": "c-1", "type": "message", "role": "assistant", "model": "m-1"}
    return {**head, "content": list(blocks), "stop_reason": "end_turn", **more}


def started(**more):
    return {"type": "message_start", "message": {**message(), "stop_reason": None, **more}}


def block(index, *deltas, **opened):
    """The events of one block."""
    at = {} if index is None else {"index": index}
    grown = [{"type": "content_block_delta", **at, "delta": delta} for delta in deltas]
    return [
        {"type": "content_block_start", **at, "content_block": opened},
        *grown,
        {"type": "content_block_stop", **at},
    ]


def stopped(reason="end_turn", **more):
    return [{"type": "message_delta", "delta": {"stop_reason": reason}, **more}, {"type": "message_stop"}]


def output(message=None, finish="stop", choice=None, **more):
    row = {"message": message, "finish_reason": finish, **(choice or {})}
    return {"output": {"choices": [row], "model_name": "m-1"}, "request_id": "c-1", **more}


# -- sockets ----------------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: %b\r\n"
STREAM_HEAD = HEAD % b"text/event-stream" + b"Transfer-Encoding: chunked\r\n\r\n"


def chunked(data):
    return b"%X\r\n%b\r\n" % (len(data), data)


def plain(body, kind=b"application/json"):
    return HEAD % kind + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@contextlib.contextmanager
def peer(serve, bodies=None):
    """A server on 127.0.0.1: `serve(connection)` is called after each request, whose body is kept; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, serve, [] if bodies is None else bodies), daemon=True).start()
        yield listener.getsockname()[1]


def _accept(listener, serve, bodies):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                bodies.append(_read_request(connection))
                serve(connection)


def _read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    size = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < size:
        body += connection.recv(65536)
    return body
