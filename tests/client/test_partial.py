"""`partial` of a stream is asked for by other threads while it grows: what they see is a reply that has come so far."""

import threading

import httpx
import pytest
from support.inside import form_of
from support.live import Sync, Work, at

from llmnet.core.growing_text import Text
from llmnet.core.http import Headers
from llmnet.core.reply_reader import ReplyReader
from llmnet.testing import Reply

CALLS = [{"name": f"f{number}", "arguments": '{"a": "%s"}' % ("x" * 40)} for number in range(20)]
REPLY = Reply(text="word " * 30, reasoning="think " * 30, tool_calls=CALLS)
TOOL = {"type": "function", "function": {"name": "f0", "parameters": {}}}
FORMS = ["chat-completions", "responses", "messages", "native"]


@pytest.mark.threads
@pytest.mark.parametrize("form", FORMS)
def test_a_reply_can_be_looked_at_while_it_grows(front, server, form):
    server.script(REPLY)
    with front.client(**at(server, form)) as client, client.stream_chat("hi", tools=[TOOL]) as stream:
        over = threading.Event()

        def look():
            while not over.is_set():
                seen = stream.partial
                assert seen is None or REPLY.text.startswith(seen.content)

        lookers = [Work(look) for _ in range(2)]
        try:
            list(stream)
        finally:
            over.set()
        for looker in lookers:
            looker.result()
        assert len(stream.response.tool_calls) == len(CALLS)


@pytest.mark.parametrize("form", FORMS)
def test_it_may_grow_at_any_step_of_a_look(server, form, monkeypatch):
    """Each text that is read gives the stream a turn, as another thread may have one there."""
    server.script(REPLY, REPLY)
    with Sync().client(**at(server, form)) as client:
        list(client.stream_chat("hi", tools=[TOOL]))
        asked = server.requests[0]
        again = httpx.post(server.url + asked.path, content=asked.body, headers=asked.headers)
        events = [event + b"\n\n" for event in again.content.split(b"\n\n") if event]
        reader = ReplyReader(form_of(client), stream=True)
        reader.open(200, Headers(again.headers))
    read, grown, looking = Text.__str__, len(events), False

    def turn(text):
        nonlocal looking
        if looking and events:
            looking = False  # what the stream itself reads of the text gives it no turn
            reader.feed(events.pop(0))
            looking = True
        return read(text)

    reader.feed(events.pop(0))
    monkeypatch.setattr(Text, "__str__", turn)
    while events:
        looking = True
        reader.partial()
        looking = False
        if events:
            reader.feed(events.pop(0))
    assert grown > 40
    assert len(reader.partial().tool_calls) == len(CALLS)
