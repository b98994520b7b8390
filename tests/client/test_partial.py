"""`partial` of a stream is asked for by other threads while it grows: what they see is a reply that has come so far."""

import threading

import pytest
from support.live import Work, at
from support.wire_forms import FORMS

from llmnet.core.reply_text import Text
from llmnet.providers.anthropic_reply import Block
from llmnet.providers.reply_extras import Extras
from llmnet.testing import Reply

CALLS = [{"name": f"f{number}", "arguments": '{"a": "%s"}' % ("x" * 40)} for number in range(20)]
REPLY = Reply(text="word " * 30, reasoning="think " * 30, tool_calls=CALLS)
TOOL = {"type": "function", "function": {"name": "f0", "parameters": {}}}


@pytest.mark.threads
@pytest.mark.parametrize("form", FORMS)
def test_a_reply_can_be_looked_at_while_it_grows(front, server, form):
    server.script(REPLY)
    with front.client(**at(server, form)) as client, client.stream_chat("hi", tools=[TOOL]) as stream:
        over = threading.Event()

        def look():
            while not over.wait(0.0005):  # else the lookers would leave the stream no turn
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


@pytest.mark.parametrize("made", ["block", "extras"])
def test_what_grows_while_it_is_read_breaks_no_look(monkeypatch, made):
    """Each text that is read lets the reply grow, as another thread may just then."""
    read = Text.__str__
    texts = {"thinking": Text()}
    if made == "block":
        thing = Block({"type": "thinking"})
        thing._grown = texts  # private: what its deltas fill
        look = thing.complete
    else:
        thing = Extras()
        thing._items = {"reasoning_details": [({}, texts)]}  # private: what its pieces fill
        look = thing.fields

    def grows(text):
        texts.setdefault(f"more {len(texts)}", Text())
        return read(text)

    monkeypatch.setattr(Text, "__str__", grows)
    assert look()
    assert len(texts) == 2
