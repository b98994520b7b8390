"""Nothing that reads foreign bytes takes longer than they are long: at four times the size about four times the work.

A row of `READERS` is a reader and what troubles it most. All patterns of `re` in the package are listed in `PATTERNS`:
a new one belongs there, with what was done so that foreign input cannot make it go back over what it has read.
"""

import ast
import contextlib
import gc
import gzip
import json
import pathlib
import re
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import inside
from support.replies import read_whole

import llmnet
from llmnet.cli.terminal import ControlFilter
from llmnet.core import escapes
from llmnet.core import json as ours
from llmnet.core.errors import LLMNetError
from llmnet.core.http import Headers, Meta, rate_limits
from llmnet.core.outcome import AttemptError
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.retry_after import hint_in_body, parse_reset, parse_retry_after
from llmnet.core.secrets import Secrets
from llmnet.core.sse import SSEDecoder
from llmnet.providers import addresses, error_phrases
from llmnet.providers.error_bodies import find_error
from llmnet.providers.error_codes import lookup, status_error
from llmnet.providers.services import SERVICES
from llmnet.providers.tool_calls import Scan
from llmnet.transports.http1_reader import Http1Reader

NOW = 1_700_000_000.0
# Four times the size takes some four times as long; a quadratic reader, sixteen times. What is shorter than the floor
# is no measure.
AT_MOST, FLOOR = 9.0, 0.004


def seconds(work, argument):
    before = time.thread_time()
    with contextlib.suppress(LLMNetError, AttemptError, ValueError):
        work(argument)
    return time.thread_time() - before


def check_linear(work, make, n):
    """Time a reader at n/2 and at 2 n, by this thread's share of the CPU, the best of several tries of each."""
    small, large = make(n // 2), make(2 * n)
    gc.collect()
    gc.freeze()  # what other tests have left on the heap is none of the reader's work
    try:
        times = [[seconds(work, small)], [seconds(work, large)]]
        for _ in range(6):
            best = [max(min(taken), FLOOR) for taken in times]
            if best[1] <= AT_MOST * best[0]:
                return
            times[0].append(seconds(work, small))
            times[1].append(seconds(work, large))
    finally:
        gc.unfreeze()
    pytest.fail(f"{best[0] * 1000:.1f} ms at n={n // 2}, {best[1] * 1000:.1f} ms at four times that")


# -- the readers ----------------------------------------------------------------------------------------------------------


def after(value):
    return parse_retry_after({"retry-after": value, "retry-after-ms": value, "date": value}, NOW)


def advice(text):
    return hint_in_body({"error": {"message": text}})


def delay(text):
    return hint_in_body({"error": {"details": [{"retryDelay": text}] * 3}})


def reset(text):
    return parse_reset(text, NOW)


def in_pieces(size):
    def read(data):
        decoder = SSEDecoder()
        for at in range(0, len(data), size):
            decoder.feed(data[at : at + size])
        decoder.end()

    return read


def error_of(body):
    return status_error(SERVICES["openai"], 429, {}, ours.readable(body))


def form_of(api):
    with llmnet.Client(provider="fake", api=api, model="m", base_url="http://127.0.0.1:1") as client:
        return inside.form_of(client)


def exchange_of(api, *, stream=True):
    exchange = ReplyReader(form_of(api), stream=stream)
    exchange.open(200, Headers({"content-type": "text/event-stream" if stream else "application/json"}))
    return exchange


def streamed(api, size=100_000):
    """A stream read to its end, then its error: what is assembled is looked at as well."""

    def read(data):
        exchange = exchange_of(api)
        try:
            for at in range(0, len(data), size):
                exchange.feed(data[at : at + size])
            exchange.end()
        finally:
            exchange.partial()

    return read


def whole(api):
    return lambda data: read_whole(exchange_of(api, stream=False), data)


def inflated(data):
    exchange = ReplyReader(form_of("chat-completions"), stream=True)
    exchange.open(200, Headers({"content-type": "text/event-stream", "content-encoding": "gzip"}))
    for at in range(len(data)):
        exchange.feed(data[at : at + 1])
        while exchange.behind:
            exchange.feed(b"")


def sse(*payloads):
    return b"".join(b"data: %b\n\n" % json.dumps(payload).encode() for payload in payloads)


def many(piece):
    """That piece again and again, whatever its type."""
    return lambda n: piece * n


def delta(**said):
    return sse({"choices": [{"index": 0, "delta": said}]})


def call(index, arguments):
    return {"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": arguments}}


def item(index, text):
    said = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    return sse({"type": "response.output_item.done", "output_index": index, "item": said})


def frame(text):
    return sse({"output": {"choices": [{"message": {"content": text}, "finish_reason": "null"}]}})


def blocks(n):
    return json.dumps({"content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}] * n}).encode()


def named(arguments):
    return {"index": 0, "function": {"name": "f", "arguments": arguments}}


def made_up(at):
    return {"index": 0, "id": f"c{at}", "function": {"arguments": "["}}


def signed(at):
    return {"index": 0, "id": "c", "function": {"name": "f"}, "extra_content": {str(at): 1}}


def message(text):
    return sse({"choices": [{"message": {"content": text}}]})


def thought(kind, text, **place):
    return sse({"type": f"response.reasoning_{kind}.delta", "delta": text, **place})


def arguments(item_id):
    return sse({"type": "response.function_call_arguments.delta", "item_id": item_id, "delta": "["})


def scanned(text):
    scan = Scan()
    for at in range(0, len(text), 3):
        scan.feed(text[at : at + 3])


CITED = sse({"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {"a": 1}}})
BLOCK = sse({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
HEAD = b"a: b\r\n"


def keys_hidden(text):
    return Secrets(["sk-................................", "sk-another-key-of-somebody"]).hide(text)


def hidden_error(body):
    Secrets(["sk-................................"]).clean(error_of(body))


def shown(text):
    plain = ControlFilter()
    return plain(text)


READERS = {
    "delays, of units": (delay, lambda n: "1ms" * n + "!", 20_000),
    "delays, few units": (delay, lambda n: "1ms" * n + "!", 9),
    "delays, digits": (delay, lambda n: "1" * n + "x", 50_000),
    "delays, blanks": (delay, lambda n: "1 " * n, 50_000),
    "advice, of units": (advice, lambda n: "try again in " + "1ms" * n + "!", 20_000),
    "advice, again and again": (advice, many("retry after 1m1"), 20_000),
    "advice, digits": (advice, lambda n: "retry in " + "1" * n, 50_000),
    "Retry-After, digits": (after, lambda n: "1" * n + "x", 50_000),
    "Retry-After, a power": (after, lambda n: "1e" + "9" * n, 50_000),
    "Retry-After, a date": (after, lambda n: "Fri, " + "29-" * n, 50_000),
    "Retry-After, blanks": (after, lambda n: "Fri, 29" + " " * n + "x", 50_000),
    "resets, of units": (reset, lambda n: "1m" * n + "x", 20_000),
    "resets, a moment": (reset, lambda n: "2023-09-29T16:26:57." + "1" * n, 50_000),
    "heads, one name": (lambda n: Headers([("a", "b" * 20)] * n), many(1), 30_000),
    "heads, limits": (lambda n: rate_limits({f"x-ratelimit-limit-{i}": "1" for i in range(n)}, NOW), many(1), 3_000),
    "heads, a limit": (lambda text: rate_limits({"x-ratelimit-" + text: text}, NOW), many("limit-"), 30_000),
    "SSE, a line": (in_pieces(1), lambda n: b"data: " + b"x" * n, 30_000),
    "SSE, a line in one": (in_pieces(10**9), lambda n: b"data: " + b"x" * n, 3_000_000),
    "SSE, line ends": (in_pieces(1), many(b"\n"), 10_000),
    "SSE, carriage returns": (in_pieces(1), many(b"\r"), 10_000),
    "SSE, line ends in one": (in_pieces(10**9), many(b"\n"), 50_000),
    "SSE, comments": (in_pieces(1), many(b":\n"), 5_000),
    "SSE, lines of one event": (in_pieces(1), many(b"data:\n"), 2_000),
    "SSE, names": (in_pieces(10**9), many(b"event: a\n"), 20_000),
    "SSE, a name": (in_pieces(10**9), lambda n: b"event: " + b"event: " * n, 100_000),
    "SSE, half events": (in_pieces(7), many(b"event: a\ndata: x\n"), 3_000),
    "SSE, no field": (in_pieces(7), many(b"data : x\n"), 5_000),
    "JSON, lists": (ours.decode, many(b"["), 200_000),
    "JSON, dicts": (ours.decode, many(b'{"a":'), 100_000),
    "JSON, lists in lists": (ours.decode, lambda n: b"[" + b"[]," * n + b"0]", 50_000),
    "JSON, quotes": (ours.decode, lambda n: b"[" * 200 + b'"' * n, 500_000),
    "JSON, ends": (ours.decode, lambda n: b"[" * 101 + b"]" * n, 500_000),
    "JSON, quotes and ends": (ours.decode, lambda n: b"[" * 101 + b'"]' * n, 300_000),
    "JSON, strings with ends": (ours.decode, lambda n: b"[" * 90 + b"{}," * 50 + b'"]",' * n, 60_000),
    "JSON, backslashes": (ours.decode, lambda n: b"[" * 200 + b'"' + b"\\" * n, 500_000),
    "JSON, half emojis": (ours.decode, lambda n: b'"' + b"\\ud800" * n + b'"', 20_000),
    "JSON, digits": (ours.decode, many(b"1"), 200_000),
    "JSON, a fraction": (ours.decode, lambda n: b"0." + b"1" * n, 50_000),
    "JSON, blanks": (ours.decode, many(b" "), 500_000),
    "JSON, no UTF-8": (ours.decode, lambda n: b'["' + b"\xff" * n, 100_000),
    "error texts, a page": (error_of, many(b"<p> "), 100_000),
    "error texts, braces": (error_of, many(b"{"), 100_000),
    "error texts, a message": (error_of, lambda n: json.dumps({"error": {"message": "{" * n}}).encode(), 100_000),
    "error texts, a code": (error_of, lambda n: json.dumps({"error": {"code": "image_" * n + "."}}).encode(), 20_000),
    "error texts, details": (
        error_of,
        lambda n: json.dumps({"error": {"details": [{"reason": "invalid_x"}] * n}}).encode(),
        500,
    ),
    "error texts, in a success": (lambda text: find_error({"code": text, "message": text}), many(" "), 100_000),
    "error texts, values": (error_of, lambda n: b'{"error":{"message":"x","d":[%b1]}}' % (b"[]," * n), 30_000),
    "errors, without a secret": (hidden_error, lambda n: b'{"error":{"message":"x","d":[%b1]}}' % (b'"",' * n), 30_000),
    "errors, escapes": (hidden_error, lambda n: b'{"error":{"message":"%b"}}' % (b"%41" * n), 30_000),
    "error names": (
        lambda name: [lookup(name, {"*perday*": 1, "*image*": 2}) for _ in range(20)],
        many("perda"),
        20_000,
    ),
    "texts of a reply": (streamed("chat-completions"), many(delta(content="a")), 300),
    "texts of a reply, in single bytes": (streamed("chat-completions", 1), many(delta(content="a")), 60),
    "arguments of a call": (streamed("chat-completions"), many(delta(tool_calls=[call(0, "a")])), 300),
    "halves of emojis": (streamed("chat-completions"), many(delta(content="\ud800")), 300),
    "calls of a whole reply": (
        whole("chat-completions"),
        lambda n: json.dumps(
            {"choices": [{"message": {"tool_calls": [{"id": f"c{at}"} for at in range(n)]}}]}
        ).encode(),
        2_000,
    ),
    "blocks of a whole reply": (whole("messages"), blocks, 2_000),
    "citations": (streamed("messages"), lambda n: BLOCK + CITED * n, 500),
    "blocks": (streamed("messages"), many(BLOCK), 300),
    "items": (streamed("responses"), lambda n: b"".join(item(at, "a") for at in range(n)), 300),
    "frames": (streamed("native"), many(frame("ab") + frame("abc") + frame("x")), 100),
    "lines without an end": (streamed("native"), many(frame("ab")[:-1]), 300),
    "calls, names": (streamed("chat-completions"), many(delta(tool_calls=[call(0, "}")])), 300),
    "calls, ends": (
        streamed("chat-completions"),
        lambda n: delta(tool_calls=[named("{")]) + delta(tool_calls=[named("]")]) * n,
        300,
    ),
    "calls, a name in pieces": (
        streamed("chat-completions"),
        many(delta(tool_calls=[{"index": 0, "function": {"name": "ab"}}])),
        300,
    ),
    "calls, ids": (
        streamed("chat-completions"),
        lambda n: b"".join(delta(tool_calls=[{**call(at, "["), "index": 0}]) for at in range(n)),
        300,
    ),
    "calls, ids of one call": (
        streamed("chat-completions"),
        lambda n: b"".join(delta(tool_calls=[made_up(at)]) for at in range(n)),
        300,
    ),
    "calls, indexes": (
        streamed("chat-completions"),
        lambda n: b"".join(delta(tool_calls=[{**call(0, "["), "index": at}]) for at in range(n)),
        300,
    ),
    "calls, signatures": (
        streamed("chat-completions"),
        lambda n: b"".join(delta(tool_calls=[signed(at)]) for at in range(n)),
        300,
    ),
    "arguments, brackets": (scanned, lambda n: "[" * n + "]" * n, 10_000),
    "arguments, backslashes": (scanned, lambda n: '{"' + "\\" * n, 20_000),
    "reasoning details, pieces": (
        streamed("chat-completions"),
        many(delta(reasoning_details=[{"type": "a", "text": "b"}])),
        300,
    ),
    "reasoning details": (
        streamed("chat-completions"),
        lambda n: b"".join(delta(reasoning_details=[{"index": at}]) for at in range(n)),
        300,
    ),
    "messages in chunks": (streamed("chat-completions"), many(message("ab") + message("abc") + message("x")), 100),
    "other choices": (
        streamed("chat-completions"),
        many(sse({"choices": [{"index": 1, "delta": {"content": "a"}}]})),
        300,
    ),
    "heartbeats": (streamed("chat-completions"), many(b"data: error\n\n:{\n"), 300),
    "events parted by one line feed": (streamed("chat-completions"), many(delta(content="a")[:-1]), 300),
    "JSON that is called a stream": (streamed("chat-completions"), lambda n: b"{" + b"data: x\n\n" * n, 1_000),
    "reasoning told twice": (streamed("responses"), many(thought("text", "ab") + thought("summary_text", "ab")), 300),
    "reasoning told apart": (streamed("responses"), many(thought("text", "ab") + thought("summary_text", "ac")), 300),
    "reasoning in parts": (
        streamed("responses"),
        lambda n: b"".join(thought("text", "a", content_index=at) for at in range(n)),
        300,
    ),
    "reasoning in items": (
        streamed("responses"),
        lambda n: b"".join(thought("text", "a", item_id=f"i{at}") for at in range(n)),
        300,
    ),
    "arguments in items": (streamed("responses"), lambda n: b"".join(arguments(f"i{at}") for at in range(n)), 300),
    "gzip in single bytes": (inflated, lambda n: gzip.compress(delta(content="a") * n), 3_000),
    "secrets, what half a key looks like": (keys_hidden, many("."), 500),
    "secrets, innocent words": (keys_hidden, many("sk-anoth "), 5_000),
    "secrets, cuts": (keys_hidden, many("sk-another…"), 2_000),
    "secrets, nothing but cuts": (keys_hidden, many("…"), 5_000),
    "secrets, escapes in escapes": (keys_hidden, many("%25"), 5_000),
    "secrets, half escapes": (keys_hidden, many("&#1…%2…\\u12…"), 1_000),
    "secrets, backslashes": (keys_hidden, many("\\"), 10_000),
    "terminals, sequences": (shown, many("\x1b["), 20_000),
    "terminals, a sequence": (shown, lambda n: "\x1b]" + "0;" * n, 20_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_as_long_as_its_input_is(name):
    check_linear(*READERS[name])


# -- the patterns ---------------------------------------------------------------------------------------------------------

OURS = "what the program, its environment or its files say; no peer has a word in it"
SHORT = "what a library says of a peer; cut to 300 characters before it is searched"
LONG = vars(addresses) | vars(error_phrases) | vars(escapes)  # private patterns, too long to repeat here
ESCAPE = "b'(' + _HALF + b'|' + _COMPLETE + b')'"
# Module and pattern; OURS, or what would trouble it most as (method, text of n).
PATTERNS = {
    ("config/fields.py", r"^((?:[^:/@]*://)?).*@"): OURS,
    ("core/reply_text.py", r"""charset\s*=\s*["']?([^\s"';,]+)"""): (
        "search",
        lambda n: "charset = " * (n // 10) + '"',
    ),
    (
        "core/reply_text.py",
        "utf[-_]?(8|16([-_]?[lb]e)?)|(us-)?ascii|latin-?1|iso[-_]8859-([1-9]|1[013-6])|(windows-|cp)125[0-8]|koi8-[ru]"
        "|gbk|gb2312|gb18030|big5(-hkscs)?|shift[-_]jis|sjis|windows-31j|euc-jp|euc-kr|cp949",
    ): ("fullmatch", lambda n: "utf-16-le" * (n // 9)),
    ("core/endpoint.py", r"[A-Z]{1,20}"): OURS,
    ("core/endpoint.py", r"[A-Za-z][A-Za-z0-9+.-]*:"): OURS,
    ("core/endpoint.py", r"%(?![0-9A-Fa-f]{2})"): OURS,
    ("core/endpoint.py", "%(?:25)*2e"): OURS,
    ("core/endpoint.py", "/|%(?:25)*(?:2f|5c)"): OURS,
    ("providers/alike.py", r'"(?:content|reasoning|reasoning_content)": ?("(?:[^"\\]|\\.)*+")'): (
        "search",
        lambda n: '"content": "\\' * (n // 13),
    ),
    ("providers/anthropic_params.py", r"claude-(3-|(opus|sonnet)-4(-[01])?(-20\d{6}|-latest|@|$))"): OURS,
    ("providers/hints.py", r"model|deployment"): ("search", lambda n: "mode deploymen" * (n // 14)),
    ("providers/hints.py", r"unexpected endpoint|invalid url|no such (path|route|endpoint)"): (
        "search",
        lambda n: "no such unexpected invalid " * (n // 27),
    ),
    ("providers/hints.py", r"(/v\d+)(?:/chat|/models?|/v\d+)+$"): OURS,
    ("providers/hints.py", r"/v\d+[a-z]*(?=/|$)"): OURS,
    ("providers/structured_output.py", r"[^a-zA-Z0-9_-]+"): OURS,
    ("cli/terminal.py", "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"): ("split", lambda n: "\x1b[" * n),
    ("core/escapes.py", ESCAPE): ("split", lambda n: b"%2&#12345\\u12&aaaaaaaa" * (n // 10)),
    (
        "core/json_schema.py",
        r"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}",
    ): ("findall", lambda n: r"\ud83d" * (n // 6)),
    ("core/preview.py", r"[\x00-\x1f\x7f-\x9f]"): ("split", lambda n: "\x1b[" * n),
    ("core/headers.py", r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"): OURS,
    ("core/headers.py", r"[\t\x20-\x7e\x80-\xff]*"): OURS,
    ("core/request.py", r"[\x00-\x1f\x7f]"): OURS,
    (
        "core/tool_functions.py",
        "^(?:(?:Args|Arguments|Parameters|Params|Other Parameters|Keyword Args|Returns?|Yields?|Raises|Examples?|Notes?|See Also|Todo|Warnings?|Attributes)(?::[ ]*$|[ ]*\\n-{3,}[ ]*$)|:(?:param|parameter|arg|type|returns?|rtype|raises?|yields?)\\b.*:)",
    ): OURS,
    ("core/tool_functions.py", "^(?:Args|Arguments|Parameters|Params):[ ]*\\n((?:[ ]+.*\\n?|[ ]*\\n)+)"): OURS,
    ("core/tool_functions.py", "^Parameters[ ]*\\n-{3,}[ ]*\\n((?:(?!.*\\n-{3,}).*\\n?)+)"): OURS,
    ("core/tool_functions.py", "^:(?:param|parameter|arg)[ ]+(?:[^:\\n]+[ ])?(\\w+):(.*(?:\\n[ ]+.*)*)"): OURS,
    ("core/tool_functions.py", "^(\\w+)[ ]*(?:\\([^\\n]*?\\))?:(.*(?:\\n(?:[ ]+.*|[ ]*$))*)"): OURS,
    ("core/tool_functions.py", "^(\\w+)[ ]*(?::.*)?\\n((?:[ ]+.*\\n?)+)"): OURS,
    ("core/tool_functions.py", "[a-zA-Z0-9_]{1,64}"): OURS,
    ("core/sse.py", r"(?:event: ?+(.++)\n)?+data: ?+(.*+)\n\n|(.*+\n)"): (
        "findall",
        lambda n: "event: a\ndata: x\n" * n,
    ),
    ("core/event_reader.py", rb"(?:\xef\xbb\xbf)?+\s*+(?:data|event|id|retry)?:"): ("match", lambda n: b"\n" * n),
    ("providers/addresses.py", r"(?<=.)/(chat/completions|completions|responses|embeddings|models)$"): OURS,
    ("providers/addresses.py", r"/deployments(?:/([^/]+))?$"): OURS,
    ("providers/addresses.py", r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"): OURS,
    ("providers/anthropic_params.py", r"claude-(3-|(opus|sonnet|haiku)-4(-[015])?(-20\d{6}|-latest|@|$))"): OURS,
    ("providers/anthropic_params.py", r"[^a-zA-Z0-9_-]"): ("split", lambda n: ":" * n),
    ("providers/addresses.py", LONG["_CALLS"].pattern): OURS,
    ("providers/error_phrases.py", LONG["_USED_UP"].pattern): ("search", lambda n: "daily a b c " * (n // 12)),
    ("providers/error_phrases.py", LONG["_QUOTED"].pattern): ("split", lambda n: '"' + "\\\"'a " * (n // 5)),
    ("providers/error_phrases.py", LONG["_MESSAGE_FIELD"].pattern): (
        "search",
        lambda n: "error" + " " * 27,
    ),  # never more
    ("providers/error_phrases.py", LONG["_JSON_MESSAGE"].pattern): ("search", lambda n: '\\"error' * (n // 7)),
    ("providers/error_phrases.py", LONG["_LONG"].pattern): (
        "search",
        lambda n: "exceed input tokens 输入" * (n // 22),
    ),
    ("providers/error_phrases.py", LONG["_SPENT_CHINESE"].pattern): ("search", lambda n: "余额" * (n // 2)),
    ("providers/openai_chat.py", r"/deployments/[^/?]*"): OURS,
    ("providers/error_bodies.py", "[45][0-9]{2}"): ("fullmatch", lambda n: "4" * n),
    ("providers/error_bodies.py", "error|fail|exception|unavailable|overload|^err|^fault|^<html|^<!doctype"): (
        "search",
        lambda n: "erro" * n,
    ),
    ("providers/tool_calls.py", r'\\.?|["\[\]{}]'): ("findall", lambda n: "\\" * n),
    ("providers/reading.py", r"HTTP_STATUS/(\d{3})"): ("search", lambda n: "HTTP_STATUS/12" * n),
    ("telemetry/log.py", r"[\w.:/@+\[\]-]+"): ("fullmatch", lambda n: "a" * n + "!"),
    ("testing/wire_forms/common.py", r"\s*\S{1,16}|\s+"): OURS,
    ("testing/wire_forms/requested.py", r"/deployments/([^/]+)/"): OURS,
    ("testing/wire_forms/requested.py", r".*/models/(.+)"): OURS,
    ("testing/schema.py", r"(?<!\w)-?\d{1,15}(?:\.\d{1,9})?"): OURS,
    ("testing/unscripted.py", r"error-([45]\d\d)"): OURS,
    ("testing/unscripted.py", r"""['"`](\w+)['"`]"""): OURS,
    ("transports/classify.py", r"(failed|ProxyError): (?!50[234])\d{3}|authentication|not allowed"): SHORT,
    ("transports/classify.py", r"StreamReset .*error_code:(?:ErrorCodes\.)?(\w+)"): SHORT,
    ("transports/request_head.py", rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"): OURS,
    ("transports/request_head.py", rb"[\x21-\x7e]+"): OURS,
    ("net/proxy.py", r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?"): OURS,
    ("net/proxy.py", r"[A-Za-z][A-Za-z0-9+.-]*"): OURS,
    (
        "net/proxy.py",
        r"(?:(?P<user>[^/?#\ud800-\udfff]*)@)?"
        r"(?P<host>\[[^\[\]/?#@\ud800-\udfff]+\]|[^\[\]:/?#@\\\s\x00-\x20\x7f\ud800-\udfff]+)"
        r"(?::(?P<port>[0-9]{0,5}))?/?",
    ): OURS,
    ("net/proxy.py", r"[\s,]+"): OURS,
    ("cli/errors.py", "pattern"): OURS,
    ("net/tls.py", r"[0-9a-f]{8}\.[0-9]+"): OURS,
}
COMPILED = {
    ("core/escapes.py", ESCAPE): re.compile(LONG["_ESCAPE"]),
    ("providers/error_phrases.py", LONG["_QUOTED"].pattern): LONG["_QUOTED"],
}
PACKAGE = pathlib.Path(llmnet.__file__).parent


def patterns():
    """Every use of `re` in the package: module, and the pattern that it is given."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        named = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
        for node in ast.walk(tree):
            function = getattr(node, "func", None)
            if isinstance(function, ast.Attribute) and getattr(function.value, "id", "") == "re":
                said = named.get(ast.unparse(node.args[0]), node.args[0])
                try:
                    pattern = ast.literal_eval(said)
                except ValueError:
                    pattern = ast.unparse(said)  # put together of parts that have names
                yield path.relative_to(PACKAGE).as_posix(), pattern


def test_all_patterns_are_known():
    """A new one belongs into the table above, with what foreign input could do to it."""
    found = set(patterns())
    assert found - set(PATTERNS) == set()
    assert set(PATTERNS) - found == set()
    assert not [path for path in PACKAGE.rglob("*.py") if re.search(r"from re import|import re as", path.read_text())]


@pytest.mark.parametrize("key", [key for key, said in PATTERNS.items() if not isinstance(said, str)], ids=str)
def test_a_pattern_never_goes_back(key):
    method, make = PATTERNS[key]
    check_linear(getattr(COMPILED.get(key) or re.compile(key[1]), method), make, 100_000)


# -- the bounds of JSON ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_json_is_bounded_in_depth(opening):
    closing = "".join({"[": "]", "{": "}"}[sign] for sign in reversed(opening) if sign in "[{")
    depth = len(closing)
    fine, deep = ours.MAX_DEPTH // depth, ours.MAX_DEPTH // depth + 1
    for read in (str, str.encode):
        ours.decode(read(opening * fine + "0" + closing * fine))
        with pytest.raises(ValueError, match="nested too deeply"):
            ours.decode(read(opening * deep + "0" + closing * deep))


@pytest.mark.parametrize("text", ['"' + "[" * 500 + '"', '"' + '\\"[' * 500 + '"', '"' + "\\\\" * 9 + '", ' + '"{["'])
def test_signs_within_strings_are_no_depth(text):
    assert ours.decode(f"[{text}]") == json.loads(f"[{text}]")
    assert ours.decode(f"[{'[],' * 200}{text}]")[-len(json.loads(f"[{text}]")) :] == json.loads(f"[{text}]")


def test_what_json_is_measured_by_takes_little_memory():
    """Quotes stand for no values, and there is no end of them."""
    body = b"[" * 101 + b'"' * (8 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError):
            ours.decode(body)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


@given(
    st.recursive(
        st.text('[]{}"\\', max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"', max_size=2), inner, max_size=2),
        max_leaves=12,
    ),
    st.integers(80, 110),
)
def test_depth_is_measured_as_a_parser_does(inner, around):
    text = "[" * around + json.dumps(inner) + "]" * around
    depth = around + max_depth(inner)
    if depth > ours.MAX_DEPTH:
        with pytest.raises(ValueError, match="nested too deeply"):
            ours.decode(text)
    else:
        assert ours.decode(text) == json.loads(text)


def max_depth(value):
    if isinstance(value, dict):
        value = [*value.values()]
    return 1 + max(map(max_depth, value), default=0) if isinstance(value, list) else 0


def test_lists_and_dicts_are_bounded_whatever_came():
    body = b"[" + b",".join([b"[]".ljust(30)] * (ours.MAX_NODES + 1)) + b"]"
    with pytest.raises(ValueError, match="too many values"):
        ours.decode(body, arrived=len(body))


def test_what_json_is_wrong_about_is_not_kept():
    with pytest.raises(ValueError) as caught:
        ours.decode('{"a": tru, "b": "' + "x" * 10_000 + '"}')
    shown = [
        str(vars(one)) + str(one.args)
        for one in (caught.value, caught.value.__cause__, caught.value.__context__)
        if one
    ]
    assert "xxxx" not in "".join(shown)


@pytest.mark.parametrize("unit", ["[]", "{}", '""', "1", '{"a":1}'])
def test_json_is_bounded_in_values(unit):
    def text(n):
        return "[" + ",".join([unit] * n) + "]"

    assert len(ours.decode(text(100_000))) == 100_000
    for read in (str, str.encode):
        with pytest.raises(ValueError, match="too many values"):
            ours.decode(read(text(ours.MAX_NODES + 1)))


def test_a_large_reply_may_hold_as_many_values_as_its_bytes_bring():
    body = b"[" + b",".join([b"0.01234567"] * (ours.MAX_NODES + 50)) + b"]"
    assert len(ours.decode(body, arrived=len(body))) == ours.MAX_NODES + 50


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e999999999", "123e310", '"\\ud800", 1e400'])
def test_a_number_beyond_all_floats_is_refused(number):
    for read in (str, str.encode):
        with pytest.raises(ValueError):
            ours.decode(read(f"[{number}]"))


def test_numbers_that_floats_hold_are_read():
    assert ours.decode("[1e308, -1e-400, 18446744073709551616]") == [1e308, 0.0, 2**64]


def test_arguments_of_a_tool_stay_the_vendors_text():
    reply = whole("chat-completions")(
        json.dumps({"choices": [{"message": {"tool_calls": [call(0, '{"x": 1e400}')]}}]}).encode()
    )
    (made,) = reply.tool_calls
    assert made.arguments == '{"x": 1e400}'
    with pytest.raises(llmnet.InvalidResponseError):
        made.json()


# -- what is kept of a reply ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "piece", "what"),
    [
        ("chat-completions", lambda at: delta(tool_calls=[call(at, "a")]), "1024 tool calls"),
        ("chat-completions", lambda at: delta(content="a" * 100_000), "characters in a text"),
        ("chat-completions", lambda at: delta(tool_calls=[{**call(0, "["), "index": at}]), "places of tool calls"),
        (
            "chat-completions",
            lambda at: delta(tool_calls=[{"index": 0, "function": {"name": f"f{at}"}}]),
            "the name of a tool",
        ),
        ("chat-completions", lambda at: delta(tool_calls=[signed("a" * 100_000 + str(at))]), "bytes of blocks"),
        ("chat-completions", lambda at: delta(reasoning_details=[{"index": at}]), "items in reasoning_details"),
        ("chat-completions", lambda at: sse({"choices": [{"index": 1, "x": "a" * 100_000}]}), "bytes of blocks"),
        ("chat-completions", lambda at: message(f"{at}" * 100_000), "characters in a text"),
        ("responses", lambda at: thought("text", "a", content_index=at), "parts"),
        ("responses", lambda at: thought("text", "a", item_id=f"i{at}"), "ids and places of items"),
        ("responses", lambda at: arguments(f"i{at}"), "1024 tool calls"),
        ("messages", lambda at: BLOCK, "2048 blocks"),
        ("messages", lambda at: BLOCK[:-3] + b', "x": [' + b"[]," * 9_000 + b"0]}\n\n", "bytes of blocks"),
        ("responses", lambda at: item(at, "a"), "2048 items"),
        ("responses", lambda at: sse({"type": "response.output_item.added", "output_index": at}), "2048 open items"),
        ("native", lambda at: sse({}) and b"data: {}\n", "32768 lines"),
    ],
)
def test_what_is_kept_of_a_stream_is_bounded(api, piece, what):
    exchange = exchange_of(api)

    def feed():
        for at in range(40_000):
            exchange.feed(piece(at))
            while exchange.behind:
                exchange.feed(b"")

    with pytest.raises(AttemptError) as caught:
        feed()
    assert isinstance(caught.value.outcome.error, llmnet.InvalidResponseError)
    assert what in str(caught.value.outcome.error)


def read_head(data):
    reader = Http1Reader()
    reader.feed(data)
    assert reader.status == 200


def test_a_head_of_any_kind_is_read_in_linear_time():
    for line in (HEAD, b" x\r\n", b"a:\r\n", b"a" * 60 + b": \r\n", b"x: " + b" " * 60 + b"\r\n"):
        check_linear(read_head, lambda n, line=line: b"HTTP/1.1 200 OK\r\nb: c\r\n" + line * n + b"\r\n", 500)


def test_ids_and_limits_are_read_of_any_head():
    meta = Meta(headers=Headers([("x-ratelimit-limit-tokens", "9" * 5000), ("x-ratelimit-reset-tokens", "1ms" * 5000)]))
    assert meta.rate_limits["tokens"].limit is None
    assert meta.rate_limits["tokens"].reset is None
