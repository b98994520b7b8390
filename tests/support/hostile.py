"""Replies that no honest server gives, made from a seed: a reply of each vendor, broken in one or more of its layers.

As a program it sends them through both fronts and prints what came of it: `python tests/support/hostile.py COUNT [SEED]`.
"""

import asyncio
import contextlib
import functools
import gzip
import json
import os
import pickle
import random
import re
import resource
import socket
import struct
import sys
import threading
import time
import traceback
import zlib

import llmnet
from llmnet.providers.services import FAKE

TOTAL, GRACE, MEGABYTES = 0.5, 0.5, 64
MAX_WIRE = 512 * 1024
POLICY = llmnet.RetryPolicy(
    max_retries=1, base_delay=0.001, max_delay=0.002, max_retry_after=0.02, max_throttle_wait=0.02, budget=None
)
BOUNDS = llmnet.Timeout(connect=TOTAL, response=TOTAL, idle=TOTAL, total=TOTAL)

# -- what an honest server sends -----------------------------------------------------------------------------------------

CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "input_tokens": 1, "output_tokens": 2}
BLOCKS = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "hi", "citations": [{}]},
          {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]  # fmt: skip
ITEMS = [{"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]},
         {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
         {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": "{}"}]  # fmt: skip


def choice(where, message, finish=None):
    return {"id": "x", "model": "m", "choices": [{"index": 0, where: message, "finish_reason": finish}], "usage": USAGE}


def native(message, finish):
    return {"request_id": "x", "output": {"choices": [{"message": message, "finish_reason": finish}]}, "usage": USAGE}


MESSAGE = {"role": "assistant", "content": "hi", "reasoning_content": "hm", "refusal": None, "tool_calls": [CALL]}
PLAIN = {
    "chat-completions": choice("message", MESSAGE, "stop"),
    "responses": {"id": "x", "object": "response", "status": "completed", "output": ITEMS, "usage": USAGE},
    "messages": {"id": "x", "type": "message", "content": BLOCKS, "stop_reason": "end_turn", "usage": USAGE},
    "native": native(MESSAGE, "stop"),
}
EVENTS = {
    "chat-completions": [choice("delta", MESSAGE), choice("delta", {"content": " you"}), choice("delta", {}, "stop")],
    "responses": [
        {"type": "response.created", "response": {"id": "x"}},
        *({"type": "response.output_item.added", "output_index": at, "item": item} for at, item in enumerate(ITEMS)),
        {"type": "response.output_text.delta", "output_index": 1, "delta": "hi"},
        *({"type": "response.output_item.done", "output_index": at, "item": item} for at, item in enumerate(ITEMS)),
        {"type": "response.completed", "response": PLAIN["responses"]},
    ],
    "messages": [
        {"type": "message_start", "message": {"id": "x", "usage": USAGE, "content": []}},
        *({"type": "content_block_start", "index": at, "content_block": block} for at, block in enumerate(BLOCKS)),
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": " you"}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {}}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE},
        {"type": "message_stop"},
    ],
    "native": [native({"content": "hi"}, "null"), native({"content": "hi you", "tool_calls": [CALL]}, "stop")],
}
ERRORS = [
    {"error": {"message": "no; please try again in 5ms", "type": "t", "code": "c", "param": None}},
    {"type": "error", "error": {"type": "overloaded_error", "message": "no"}, "request_id": "r"},
    {"code": "Throttling", "message": "no", "request_id": "r"},
    [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"reason": "a", "retryDelay": "0.01s"}]}}],
    {"base_resp": {"status_code": 1004, "status_msg": "no"}},
    {"error": {"message": '{"error": {"message": "inner", "code": 7}}', "code": "outer"}},
]
LISTS = [{"data": [{"id": "m", "expires_at": "x"}], "has_more": True, "last_id": "m"},
         {"data": [{"embedding": [0.5, 1], "index": 0}], "usage": USAGE}, {"data": [{"embedding": "AACAPw=="}]},
         {"output": {"embeddings": [{"embedding": [1], "text_index": 0}]}}]  # fmt: skip

# -- what breaks it -----------------------------------------------------------------------------------------------------


class Raw(float):
    """A number that is written as this text."""

    def __new__(cls, text):
        made = super().__new__(cls, 0.5)
        made.text = text
        return made

    def __repr__(self):
        return self.text


def nested(depth):
    opening, closing = ("[", "]") if depth % 2 else ('{"message":', "}")
    return Raw(opening * depth + "0" + closing * depth)


def values(rng):
    """A value that stands where another was meant."""
    return rng.choice([
        None, True, "", " ", "\0", "\ud800", "x\udc00", "é" * 50, "a" * rng.choice([100, 3000]), [], {}, [[]], [None], -1,
        2**63, 10**400, Raw("1e400"), Raw("-1e999"), Raw("NaN"), Raw("Infinity"), Raw("1" * 5000), Raw("1E-999"), 1.5,
        {"error": "no"}, {"message": {"message": 5}}, "[DONE]", "{", '{"error": "x"}', "1ms" * 40 + "!", "null", "0x1",
        nested(rng.choice([5, 99, 101, 600, 3000])), ["x"] * 300, {"type": "text", "text": 5}, {"type": []}, "1e400",
        "try again in " + "1m" * 200, [{"type": "function"}] * 50, {"index": -(10**30)}, [[1, 2], [3]], {"": {"": ""}},
    ])  # fmt: skip


def changed(value, rng, chance):
    """The same value with some of its parts replaced, left out or renamed."""
    if rng.random() < chance:
        return values(rng)
    if isinstance(value, dict):
        kept = [(key, item) for key, item in value.items() if rng.random() > chance / 3]
        return {key if rng.random() > chance / 3 else "type": changed(item, rng, chance) for key, item in kept}
    if isinstance(value, list):
        return [changed(item, rng, chance) for item in value for _ in range(1 + (rng.random() < chance / 3))]
    return value


def text_of(value):
    """JSON as `json` writes it, with numbers that it would not."""
    if not isinstance(value, dict | list) or not value:
        return repr(value) if isinstance(value, Raw) else json.dumps(value)
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return "{" + ",".join(f"{json.dumps(key)}:{text_of(item)}" for key, item in value.items()) + "}"


def written(value):
    return text_of(value).encode()


def scratched(data, rng):
    """Bytes with a few of them lost, doubled or changed."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(data) + 1)
        act = rng.randrange(5)
        if act == 0:
            del data[at : at + rng.choice([1, 3, 50])]
        elif act == 1:
            data[at:at] = rng.choice([b"\0", b"\xff\xfe", b"\r", b"\n\n", b'"', b"{", b"\\", b"\xed\xa0\x80", b"data:"])
        elif act == 2:
            data[at:at] = data[max(0, at - 40) : at]
        elif act == 3:
            del data[at:]
        elif data:
            data[at % len(data)] = rng.randrange(256)
    return bytes(data)


def page(rng):
    unit = rng.choice(
        [b"<html>", b" ", b"[", b'{"a":', b'"', b"\\", b"1", b"data: {}\n\n", b"[],", b"\xf0\x9f\x98\x80"]
    )
    return unit * rng.choice([0, 1, 200, 20_000])


def events(form, rng, chance):
    """An event stream, its framing too as no server frames it."""
    end = rng.choice([b"\n"] * 6 + [b"\r\n", b"\r", b"\n\r"])
    out = [rng.choice([b""] * 9 + [b"\xef\xbb\xbf", b"\xff", end * 500])]
    for payload in EVENTS[form]:
        name = payload.get("type", "")
        data = written(changed(payload, rng, chance))
        lines = [b"event: " + name.encode()] if name and rng.random() < 0.8 else []
        if rng.random() < 0.1:
            lines.append(rng.choice([b":", b": ping", b"id: \0", b"retry: " + b"9" * 30, b"event: error", b"x" * 5000,
                                     b"HTTP_STATUS/429", b":HTTP_STATUS/\xd9\xa3", b"data", b"data:" * 50]))  # fmt: skip
        lines.append(b"data:" + rng.choice([b" ", b"", b"  "]) + data)
        out.append(end.join(lines) + end * rng.choice([2, 2, 2, 2, 2, 1, 3]))
        if rng.random() < 0.03:
            out.append(b"data: " + written(rng.choice(ERRORS)) + end * 2)
    return b"".join(out) + rng.choice([b"data: [DONE]\n\n", b"data: [DONE]\n\n", b"", b"data: [DONE]", b": bye"])


@functools.cache
def bomb(unit, size):
    squeeze = zlib.compressobj(9, wbits=31)
    piece = unit * (65536 // len(unit))
    return b"".join([*(squeeze.compress(piece) for _ in range(size // len(piece))), squeeze.flush()])


DELTA = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
BLOCK = b'data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":"a"}}\n\n'
ITEM = b'data: {"type":"response.output_item.done","output_index":1,"item":{"type":"message"}}\n\n'
BOMBS = [
    (b"\n", 2 << 20), (b":\n", 8 << 20), (b"data: {}\n\n", 8 << 20), (b"data:\n", 4 << 20), (DELTA, 4 << 20), (b"[],", 12 << 20),
    (BLOCK, 4 << 20), (ITEM, 4 << 20), (b"\0", 16 << 20), (b'"",', 12 << 20), (b'{"a":[', 1 << 20), (b"<", 16 << 20),
]  # fmt: skip
CODERS = {
    "gzip": gzip.compress, "deflate": zlib.compress, "x-gzip": gzip.compress, "identity": bytes, "br": bytes, "": bytes,
    "gzip, gzip": lambda data: gzip.compress(gzip.compress(data)), "deflate,gzip": lambda data: gzip.compress(zlib.compress(data)),
}  # fmt: skip


def coded(body, rng):
    """A body under a content coding, and its name."""
    if rng.random() < 0.02:
        return bomb(*rng.choice(BOMBS)), "gzip"
    if rng.random() < 0.01:
        return gzip.compress(bomb(*rng.choice(BOMBS))), "gzip, gzip"
    name = rng.choice([*CODERS])
    data = CODERS[name](body)
    return scratched(data, rng) if rng.random() < 0.3 else data, rng.choice([name] * 8 + [*CODERS])


def chunked(body, rng):
    size = rng.choice([1, 2, 7, 1000, 100_000]) if len(body) < 3000 else rng.choice([500, 100_000])
    blanks = b" " * (9000 if len(body) < 20 * size else 5)
    extension = rng.choice([b""] * 6 + [b";a=b", b"; " + blanks, b" ", b";" + blanks, b"\t"])
    chunks = [b"%x%b\r\n%b\r\n" % (len(part), extension, part)
              for part in (body[at : at + size] for at in range(0, len(body), size))]  # fmt: skip
    if chunks and rng.random() < 0.15:
        at = rng.randrange(len(chunks))
        chunks[at] = rng.choice([b"", b"-1\r\n", b"g\r\n", b"0x2\r\nab\r\n", b"1" * 30 + b"\r\n", b"1_0\r\n", b"\r\n" * 9,
                                 b"1;" + b" " * 70_000, b"5\nhello\n", b"ffffffffffffffff\r\nab", b" 2\r\nab\r\n"])  # fmt: skip
    end = rng.choice(
        [b"0\r\n\r\n"] * 6 + [b"0\r\n", b"", b"0\r\nx: y\r\n\r\n", b"0;\r\n\r\n", b"0\r\n" + b"a:b\r\n" * 500]
    )
    return b"".join(chunks) + end


STATUSES = [200] * 99 + [201, 204, 206, 301, 302, 304, 307, 400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 429, 429, 500,
            502, 503, 503, 504, 529, 599, 600, 999, 99, 0, 1000]  # fmt: skip
TYPES = [
    b"text/html",
    b"",
    b"application/json; charset=\xff",
    b"text/event-stream;",
    b"application/octet-stream",
    b"a" * 5000,
]
VALUES = [b"", b"x", b"\xff\xfe", b"1" * 20_000 + b"x", b"1ms" * 30 + b"!", b"Fri, 29 Sep 2023 16:26:57 GMT", b"-1", b"1e400",
          b"9" * 400, b"0.001", b"a, " * 3000, b"\t x \t", b"2023-09-29T16:26:57Z", b"nan", b"Fri, " * 4000, b"=;" * 5000]  # fmt: skip
NAMES = [b"retry-after", b"retry-after-ms", b"date", b"x-ratelimit-reset-tokens", b"x-ratelimit-limit-", b"set-cookie", b"location",
         b"x-request-id", b"x-should-retry", b"x", b"content-type", b"connection", b"server", b"trailer", b"upgrade", b"link"]  # fmt: skip


def head(rng, kind, coding, framing):
    status = rng.choice(STATUSES)
    first = b"HTTP/1.1 %d OK" % status
    if rng.random() < 0.03:
        first = rng.choice([b"HTTP/1.0 200 OK", b"HTTP/2.0 200", b"HTTP/1.1", b"HTTP/1.1 2xx", b"", b"ICY 200 OK", b"\x15\x03\x01",
                            b"HTTP/1.1 200 " + b"a" * 70_000, b"HTTP/1.1 +200 OK", b"{}", b"HTTP/1.1  200  ", b"\0" * 50])  # fmt: skip
    lines = [first, b"content-type: " + (rng.choice(TYPES) if rng.random() < 0.1 else kind), *framing]
    lines += [b"content-encoding: " + coding.encode()] if coding else []
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        lines.append(rng.choice(NAMES) + b": " + rng.choice(VALUES))
    if rng.random() < 0.04:
        lines.append(rng.choice([b": no name", b"no colon", b" folded: x", b"a b: c", b"x\0: y", b"x: \0", b"x: a\rb", b"a:b\r\n" * 99,
                                 b"a:b\r\n" * 5000, b"x: " + b"y" * 130_000, b"set-cookie: " + b"a=" * 9000, b"\xff: x"]))  # fmt: skip
    end = rng.choice([b"\r\n"] * 50 + [b"\n", b"\r"])
    before = rng.choice(
        [b""] * 20 + [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 x\r\na: b\r\n\r\n" * 50, b"\r\n"]
    )
    return before + end.join(lines) + end * 2


def reply(seed, number):
    """What to ask, and the reply to it: (form, what, bytes, how it ends)."""
    rng = random.Random(f"{seed}:{number}")
    form, what = (
        rng.choice(list(FAKE.apis)),
        rng.choice(["chat", "chat", "stream", "stream", "stream", "embed", "models"]),
    )
    chance = rng.choice([0.0, 0.02, 0.05, 0.2])
    streamed = what == "stream" if rng.random() < 0.9 else rng.random() < 0.5
    if rng.random() < 0.15:
        body = written(changed(rng.choice(ERRORS), rng, chance))
    elif what in ("embed", "models"):
        body = written(changed(rng.choice(LISTS), rng, chance))
    else:
        body = events(form, rng, chance) if streamed else written(changed(PLAIN[form], rng, chance))
    body = page(rng) if rng.random() < 0.05 else scratched(body, rng) if rng.random() < 0.2 else body
    body, coding = coded(body, rng) if rng.random() < 0.15 else (body, "")
    shape = rng.randrange(3)
    if shape == 0:
        framing, body = (
            [b"transfer-encoding: " + rng.choice([b"chunked"] * 9 + [b"gzip", b"x, chunked"])],
            chunked(body, rng),
        )
    elif shape == 1:
        length = b"%d" % (len(body) + rng.choice([0] * 20 + [1, -1, 50, 10**18]))
        framing = [b"content-length: " + rng.choice([length] * 20 + [b"-1", b"abc", b"+5", b"1, 2", b"", b"9" * 5000])]
    else:
        framing = [b"connection: close"]
    if rng.random() < 0.02:
        framing.append(rng.choice([b"content-length: 3", b"transfer-encoding: chunked", b"content-length: 4"]))
    kind = b"text/event-stream" if streamed else b"application/json"
    wire = head(rng, kind, coding, framing) + body
    wire = scratched(wire, rng) if rng.random() < 0.05 else wire
    return form, what, wire[:MAX_WIRE], rng.choices(["close", "reset", "hold"], [100, 10, 0.5])[0]


# -- how it is sent and taken -------------------------------------------------------------------------------------------


class Peer:
    """Answers a request for `/NUMBER/…` with the reply of that number."""

    def __init__(self, seed):
        self.seed = seed
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock, contextlib.suppress(OSError):
            sock.settimeout(10 * TOTAL)
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += sock.recv(65536) or bytes(8) + b"\r\n\r\n"
            found = re.match(rb"\w+ /(\d+)/", asked)
            if found is None:
                return
            _, _, wire, end = reply(self.seed, int(found[1]))
            sock.sendall(wire)
            if end == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif end == "hold":
                while sock.recv(65536):
                    pass
            else:
                sock.shutdown(socket.SHUT_WR)
                sock.recv(65536)

    def close(self):
        self._listener.close()


def look_at(result):
    """What a caller does with what it got; an error of ours is all that may come of it."""
    for call in getattr(result, "tool_calls", None) or ():
        with contextlib.suppress(llmnet.LLMNetError):
            call.json()
    pickle.loads(pickle.dumps(result))
    return len(repr(result)) + len(str(result))


def fields(peer):
    return {"provider": "fake", "base_url": f"http://127.0.0.1:{peer.port}", "api_key": "sk-nobody-knows-this-one",
            "retry": POLICY, "timeout": BOUNDS, "proxy": ""}  # fmt: skip


def child_of(client, peer, form, number):
    base = f"http://127.0.0.1:{peer.port}/{number}{FAKE.apis[form].path}"
    return client.with_options(api=form, base_url=base, model=f"m{number}")


def ask(client, what):
    if what == "stream":
        with client.stream_chat("x") as stream:
            for chunk in stream:
                str(chunk)
        return stream.response
    return {"chat": lambda: client.chat("x"), "embed": lambda: client.embed("x"), "models": client.list_models}[what]()


async def ask_awaited(client, what):
    if what == "stream":
        async with client.stream_chat("x") as stream:
            async for chunk in stream:
                str(chunk)
        return stream.response
    return await {"chat": lambda: client.chat("x"), "embed": lambda: client.embed("x"), "models": client.list_models}[
        what
    ]()


class Tally:
    """What came of many replies."""

    def __init__(self, seed):
        self.seed, self.replies, self.bare, self.late, self.longest = seed, 0, [], [], 0.0
        self.errors, self.slow = {}, []  # what was late once, on a machine that has others to serve, is asked again
        self._before = self.most = self._peak()

    @staticmethod
    def _peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)

    @property
    def grown(self):
        return self.most - self._before

    def note(self, front, number, begun, error):
        took = time.monotonic() - begun
        self.replies += 1
        self.longest = max(self.longest, took)
        name = type(error).__name__
        self.errors[name] = self.errors.get(name, 0) + 1
        if error is not None and not isinstance(error, llmnet.LLMNetError):
            self.bare.append((front, number, "".join(traceback.format_exception(error)[-3:])))
        if took > TOTAL + GRACE and (front, number) in self.slow:
            self.late.append((front, number, round(took, 2)))
        elif took > TOTAL + GRACE:
            self.slow.append((front, number))
        peak = self._peak()
        if peak > self.most + 8:
            print(f"reply {number} of seed {self.seed}, {front}: {peak - self.most:.0f} MB more", flush=True)
        self.most = max(self.most, peak)

    def __str__(self):
        return (
            f"seed {self.seed}: {self.replies} replies, {len(self.bare)} bare exceptions, {len(self.late)} beyond their bound "
            f"by more than {GRACE} s ({len(self.slow)} once and not again, longest {self.longest:.2f} s of {TOTAL}), "
            f"memory grew by {self.grown:.0f} MB"
        )


def again(numbers, front, tally):
    """The numbers, and once more each one that was late."""
    for number in numbers:
        yield number
        if (front, number) in tally.slow:
            yield number


def run(seed, numbers, tally, peer):
    with llmnet.Client(**fields(peer)) as client:
        for number in again(numbers, "sync", tally):
            form, what, _, _ = reply(seed, number)
            child, begun, error = child_of(client, peer, form, number), time.monotonic(), None
            try:
                look_at(ask(child, what))
            except Exception as caught:
                error = caught
            tally.note("sync", number, begun, error)
            error is None or look_at(error)


async def run_awaited(seed, numbers, tally, peer):
    async with llmnet.AsyncClient(**fields(peer)) as client:
        for number in again(numbers, "async", tally):
            form, what, _, _ = reply(seed, number)
            child, begun, error = child_of(client, peer, form, number), time.monotonic(), None
            try:
                look_at(await ask_awaited(child, what))
            except Exception as caught:
                error = caught
            tally.note("async", number, begun, error)
            error is None or look_at(error)


def attack(seed, count, first=0, warm=20):
    """Send replies through both fronts; what came of them, beyond what a few of them leave behind."""
    peer = Peer(seed)
    try:
        if warm:
            numbers, unseen = range(10**9, 10**9 + warm), Tally(seed)
            run(seed, numbers, unseen, peer)
            asyncio.run(run_awaited(seed, numbers, unseen, peer))
        tally = Tally(seed)
        for start in range(first, first + count, 500):
            numbers = range(start, min(start + 500, first + count))
            run(seed, numbers, tally, peer)
            asyncio.run(run_awaited(seed, numbers, tally, peer))
        return tally
    finally:
        peer.close()


if __name__ == "__main__":
    result = attack(sys.argv[2] if len(sys.argv) > 2 else os.urandom(4).hex(), int(sys.argv[1]),
                    int(sys.argv[3]) if len(sys.argv) > 3 else 0)  # fmt: skip
    print(*result.bare[:20], *result.late[:20], sep="\n")
    print(result.errors)
    print(result, flush=True)
    sys.exit(bool(result.bare or result.late or result.grown > MEGABYTES))
