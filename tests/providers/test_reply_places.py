"""Every fact of a reply in every place where a service or a known server puts it, whole and streamed: what is read."""

import pytest
from support.replies import (
    DONE,
    block,
    chunk,
    completed,
    completion,
    form,
    message,
    output,
    response,
    started,
    stopped,
    streamed,
    text_item,
    whole,
)

from llmnet import FinishReason
from llmnet.core.chat import ToolCall, Usage

CHAT, RESPONSES, MESSAGES, NATIVE = "chat-completions", "responses", "messages", "native"
USAGE = {"prompt_tokens": 19, "completion_tokens": 21, "total_tokens": 40}
NEWER = {"input_tokens": 19, "output_tokens": 21, "total_tokens": 40}
COUNTED = Usage(input_tokens=19, output_tokens=21, total_tokens=40)
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
CALLED = [ToolCall(id="a", name="f", arguments='{"x":1}')]
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
ITEM = {"type": "function_call", "id": "fc", "call_id": "a", "name": "f", "arguments": '{"x":1}'}
SUMMARY = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}]}
END = chunk(finish="stop")
HI, LO = chunk({"content": "Hel"}), chunk({"content": "lo"})


def delta(kind, piece, **more):
    return {"type": f"response.{kind}.delta", "delta": piece, **more}


def both(said, **more):
    """A row of the chat form whose message and delta are the same."""
    return completion(said, **more), [chunk(said, **more), END, DONE]


# fact: place → (wire form, whole reply or None, events of a stream or None, value)
TEXT = {
    "OpenAI": (CHAT, *both({"content": "Hello"}), "Hello"),
    "a list of parts, as Mistral": (CHAT, *both({"content": [{"type": "text", "text": "Hello"}]}), "Hello"),
    "a list of texts": (CHAT, *both({"content": ["Hel", "lo"]}), "Hello"),
    "a lone part": (CHAT, *both({"content": {"type": "text", "text": "Hello"}}), "Hello"),
    "legacy text, as TGI and vLLM below /completions": (
        CHAT, {"choices": [{"text": "Hello", "index": 0, "finish_reason": "stop"}]},
        [{"choices": [{"text": "Hel"}]}, {"choices": [{"text": "lo", "finish_reason": "stop"}]}, DONE], "Hello",
    ),
    "a bare message": (
        CHAT, {"choices": [{"message": "Hello"}]}, [{"choices": [{"delta": "Hel"}]}, {"choices": [{"delta": "lo"}]}, END, DONE], "Hello",
    ),
    "the choice itself": (CHAT, {"choices": [{"role": "assistant", "content": "Hello"}]}, [{"choices": [{"content": "Hello"}]}, DONE], "Hello"),
    "delta and message the other way round": (CHAT, {"choices": [{"delta": {"content": "Hello"}}]}, [completion({"content": "Hello"}), DONE], "Hello"),
    "pieces in messages": (CHAT, None, [completion({"content": "Hel"}, None), completion({"content": "lo"}, None), END, DONE], "Hello"),
    "messages that grow": (CHAT, None, [completion({"content": "Hel"}, None), completion({"content": "Hello"}), DONE], "Hello"),
    "messages that grow, no finish": (CHAT, None, [completion({"content": "ha"}, None), completion({"content": "ha"}, None), DONE], "haha"),
    "deltas, and all of it at the end, as MiniMax": (CHAT, None, [HI, LO, completion({"content": "Hello"}), DONE], "Hello"),
    "delta and message at once, as Perplexity": (
        CHAT, None,
        [chunk({"content": "Hel"}, choice={"message": {"content": "Hel"}}), chunk({"content": "lo"}, "stop", {"message": {"content": "Hello"}}), DONE], "Hello",
    ),
    "an end that tells more than the deltas": (CHAT, None, [HI, completion({"content": "Hello"}), DONE], "Hello"),
    "a lone choice of another index": (
        CHAT, completion({"content": "Hello"}, choice={"index": 1}),
        [chunk({"content": "Hel"}, choice={"index": 1}), chunk({"content": "lo"}, "stop", {"index": 1}), DONE], "Hello",
    ),
    "a lone choice of another index, no [DONE]": (CHAT, None, [chunk({"content": "Hello"}, "stop", {"index": 1})], "Hello"),
    "a choice before the first one": (
        CHAT, {"choices": [{"index": 1, "message": {"content": "no"}}, {"index": 0, "message": {"content": "Hello"}}]},
        [chunk({"content": "no"}, choice={"index": 1}), HI, chunk({"content": "no"}, choice={"index": 1}), LO, END, DONE], "Hello",
    ),
    "behind an empty choice": (CHAT, {"choices": [{"index": 0}, {"index": 1, "message": {"content": "Hello"}}]}, None, "Hello"),
    "beside a hollow error": (CHAT, *both({"content": "Hello"}, error={"message": "", "code": None}), "Hello"),
    "beside an error that is none": (CHAT, *both({"content": "Hello"}, error={"code": 0, "message": "success"}), "Hello"),
    "items": (RESPONSES, response(text_item("Hello")), [delta("output_text", "Hel"), delta("output_text", "lo"), completed()], "Hello"),
    "items whole": (RESPONSES, None, [{"type": "response.output_item.done", "output_index": 0, "item": text_item("Hello")}, completed()], "Hello"),
    "items at the end": (RESPONSES, None, [completed(text_item("Hello"))], "Hello"),
    "a text that is done": (RESPONSES, None, [{"type": "response.output_text.done", "text": "Hello", "content_index": 0}, completed()], "Hello"),
    "pieces, then a text that is done": (RESPONSES, None, [delta("output_text", "Hello"), {"type": "response.output_text.done", "text": "Hello"}, completed()], "Hello"),
    "a message of one text": (RESPONSES, response({"type": "message", "content": "Hello"}), [completed({"type": "message", "content": "Hello"})], "Hello"),
    "a message without type": (RESPONSES, response({"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}), None, "Hello"),
    "output_text of the SDKs": (RESPONSES, response(output_text="Hello"), [completed(output_text="Hello")], "Hello"),
    "a terminal event without its reply": (RESPONSES, None, [delta("output_text", "Hello"), {"type": "response.completed"}], "Hello"),
    "a reply in the terminal event itself": (RESPONSES, None, [{**response(text_item("Hello")), "type": "response.completed"}], "Hello"),
    "beside a hollow error of items": (RESPONSES, response(text_item("Hello"), error={"code": None, "message": ""}), None, "Hello"),
    "blocks": (MESSAGES, message({"type": "text", "text": "Hello"}), [started(), *block(0, {"type": "text_delta", "text": "Hello"}, type="text", text=""), *stopped()], "Hello"),
    "blocks without index": (MESSAGES, None, [started(), *block(None, {"type": "text_delta", "text": "Hello"}, type="text", text=""), *stopped()], "Hello"),
    "a block without type": (MESSAGES, message({"text": "Hello"}), [started(), *block(0, text="Hello"), *stopped()], "Hello"),
    "one text for all blocks": (MESSAGES, {**message(), "content": "Hello"}, None, "Hello"),
    "a lone block": (MESSAGES, {**message(), "content": {"type": "text", "text": "Hello"}}, None, "Hello"),
    "native": (NATIVE, output({"content": "Hello"}), [output({"content": "Hel"}, "null"), output({"content": "lo"})], "Hello"),
    "native parts": (NATIVE, output({"content": [{"text": "Hello"}]}), [output({"content": [{"text": "Hel"}]}, "null"), output({"content": [{"text": "lo"}]})], "Hello"),
    "native text": (NATIVE, {"output": {"text": "Hello", "finish_reason": "stop"}}, [{"output": {"text": "Hello", "finish_reason": "stop"}}], "Hello"),
    "native message": (NATIVE, {"output": {"message": {"content": "Hello"}}}, None, "Hello"),
    "native bare message": (NATIVE, output("Hello"), [output("Hel", "null"), output("lo")], "Hello"),
    "native delta": (NATIVE, output(choice={"delta": {"content": "Hello"}}), [output(choice={"delta": {"content": "Hello"}})], "Hello"),
    "native lone choice": (NATIVE, output({"content": "Hello"}, choice={"index": 1}), [output({"content": "Hello"}, choice={"index": 1})], "Hello"),
}  # fmt: skip
DETAIL = {"type": "reasoning.text", "text": "hm", "index": 0}
REASONING = {
    "reasoning_content, as DeepSeek, vLLM, SGLang and llama.cpp": (CHAT, *both({"reasoning_content": "hm"}), "hm"),
    "reasoning, as OpenRouter, Ollama and Groq": (CHAT, *both({"reasoning": "hm"}), "hm"),
    "thinking": (CHAT, *both({"thinking": "hm"}), "hm"),
    "an empty one beside": (CHAT, *both({"reasoning_content": "", "reasoning": "hm"}), "hm"),
    "two spellings at once": (CHAT, *both({"reasoning_content": "hm", "reasoning": "hm", "reasoning_details": [DETAIL]}), "hm"),
    "reasoning_details alone": (CHAT, *both({"reasoning_details": [DETAIL]}), "hm"),
    "a summary in reasoning_details": (CHAT, *both({"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]}), "hm"),
    "encrypted reasoning_details": (CHAT, *both({"content": "a", "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}), None),
    "several reasoning_details": (
        CHAT, completion({"reasoning_details": [DETAIL, {**DETAIL, "text": "so", "index": 1}]}),
        [chunk({"reasoning_details": [{**DETAIL, "text": piece, "index": at}]}) for at, piece in ((0, "h"), (0, "m"), (1, "s"), (1, "o"))] + [END, DONE], "hm\n\nso",
    ),
    "thinking_blocks of LiteLLM": (CHAT, *both({"thinking_blocks": [{"type": "thinking", "thinking": "hm"}]}), "hm"),
    "parts of the content, as Mistral": (CHAT, *both({"content": [THINKING]}), "hm"),
    "a part of type reasoning": (CHAT, *both({"content": [{"type": "reasoning", "text": "hm"}]}), "hm"),
    "in messages of a stream": (CHAT, None, [completion({"reasoning_content": "hm"}, None), completion({"content": "a"}), DONE], "hm"),
    "a summary": (RESPONSES, response(SUMMARY), [delta("reasoning_summary_text", "h"), delta("reasoning_summary_text", "m"), completed()], "hm"),
    "a text": (RESPONSES, response({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]}), [delta("reasoning_text", "hm"), completed()], "hm"),
    "older names": (RESPONSES, None, [delta("reasoning", "h"), delta("reasoning", {"text": "m"}), completed()], "hm"),
    "a text that is done": (RESPONSES, None, [{"type": "response.reasoning_text.done", "text": "hm"}, completed()], "hm"),
    "summary and text that are one": (
        RESPONSES, response({**SUMMARY, "content": [{"type": "reasoning_text", "text": "hm"}]}),
        [delta("reasoning_text", "h"), delta("reasoning_summary_text", "h"), delta("reasoning_text", "m"), delta("reasoning_summary_text", "m"), completed()], "hm",
    ),
    "blocks": (MESSAGES, message({"type": "thinking", "thinking": "hm"}), [started(), *block(0, {"type": "thinking_delta", "thinking": "hm"}, type="thinking", thinking=""), *stopped()], "hm"),
    "two blocks": (
        MESSAGES, message({"type": "thinking", "thinking": "hm"}, {"type": "thinking", "thinking": "so"}),
        [started(), *block(0, {"type": "thinking_delta", "thinking": "hm"}, type="thinking", thinking=""), *block(1, type="thinking", thinking="so"), *stopped()], "hm\n\nso",
    ),
    "native": (NATIVE, output({"content": "", "reasoning_content": "hm"}), [output({"content": "", "reasoning_content": "hm"})], "hm"),
}  # fmt: skip
REFUSAL = {
    "OpenAI": (CHAT, *both({"content": None, "refusal": "no"}), "no"),
    "a part": (CHAT, *both({"content": [{"type": "refusal", "refusal": "no"}]}), "no"),
    "a part of an item": (RESPONSES, response({"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}), [delta("refusal", "no"), completed()], "no"),
    "a refusal that is done": (RESPONSES, None, [{"type": "response.refusal.done", "refusal": "no"}, completed()], "no"),
    "stop_details": (
        MESSAGES, message(stop_reason="refusal", stop_details={"explanation": "no"}),
        [started(), {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": {"explanation": "no"}}}, {"type": "message_stop"}], "no",
    ),
}  # fmt: skip
TOOLS = {
    "OpenAI": (CHAT, *both({"tool_calls": [{"index": 0, **CALL}]}), CALLED),
    "no list": (CHAT, *both({"tool_calls": CALL}), CALLED),
    "no object around name and arguments": (CHAT, *both({"tool_calls": [{"id": "a", "name": "f", "arguments": '{"x":1}'}]}), CALLED),
    "arguments as an object, as Ollama": (
        CHAT, *both({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]}), [ToolCall(id="a", name="f", arguments='{"x": 1}')],
    ),
    "legacy function_call": (CHAT, *both({"function_call": {"name": "f", "arguments": '{"x":1}'}}), [ToolCall(id="", name="f", arguments='{"x":1}')]),
    "in a message of a stream": (CHAT, None, [completion({"content": None, "tool_calls": [CALL]}, "tool_calls"), DONE], CALLED),
    "deltas, and all of it at the end": (CHAT, None, [chunk({"tool_calls": [{"index": 0, **CALL}]}), completion({"tool_calls": [CALL]}, "tool_calls"), DONE], CALLED),
    "items": (RESPONSES, response(ITEM), [{"type": "response.output_item.added", "item": ITEM}, completed(ITEM)], CALLED),
    "arguments that are done": (
        RESPONSES, None,
        [{"type": "response.output_item.added", "item": {**ITEM, "arguments": ""}}, {"type": "response.function_call_arguments.done", "item_id": "fc", "arguments": '{"x":1}'}, completed()],
        CALLED,
    ),
    "blocks": (
        MESSAGES, message({"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}),
        [started(), *block(0, type="tool_use", id="a", name="f", input={"x": 1}), *stopped()], [ToolCall(id="a", name="f", arguments='{"x": 1}')],
    ),
    "native": (NATIVE, output({"content": "", "tool_calls": [CALL]}), [output({"content": "", "tool_calls": [{"index": 0, **CALL}]})], CALLED),
    "native without ids, one index for all": (
        NATIVE, output({"tool_calls": [{"index": 0, "function": {"name": n, "arguments": "{}"}} for n in "fg"]}), None,
        [ToolCall(id="", name=n, arguments="{}") for n in "fg"],
    ),
}  # fmt: skip
COUNTS = {
    "OpenAI": (CHAT, completion({"content": "a"}, usage=USAGE), [HI, END, {"choices": [], "usage": USAGE}, DONE], COUNTED),
    "with the finish": (CHAT, None, [HI, chunk(finish="stop", usage=USAGE), DONE], COUNTED),
    "running totals": (CHAT, None, [chunk({"content": "a"}, usage={**USAGE, "completion_tokens": 1}), chunk(finish="stop", usage=USAGE), DONE], COUNTED),
    "in the choice, as Moonshot": (CHAT, completion({"content": "a"}, choice={"usage": USAGE}), [HI, chunk(finish="stop", choice={"usage": USAGE}), DONE], COUNTED),
    "in the choice beside an empty one": (CHAT, completion({"content": "a"}, choice={"usage": USAGE}, usage={"total_tokens": 0}), None, COUNTED),
    "x_groq": (CHAT, completion({"content": "a"}, x_groq={"usage": USAGE}), [HI, chunk(finish="stop", x_groq={"usage": USAGE}), DONE], COUNTED),
    "newer names": (CHAT, *both({"content": "a"}, usage=NEWER), COUNTED),
    "numbers with a point": (CHAT, *both({"content": "a"}, usage={name: float(n) for name, n in USAGE.items()}), COUNTED),
    "cached tokens beside": (
        CHAT, *both({"content": "a"}, usage={**USAGE, "cached_tokens": 4}), Usage(input_tokens=19, output_tokens=21, total_tokens=40, cached_tokens=4),
    ),
    "reasoning tokens beside": (
        CHAT, *both({"content": "a"}, usage={**USAGE, "reasoning_tokens": 4}), Usage(input_tokens=19, output_tokens=21, total_tokens=40, reasoning_tokens=4),
    ),
    "the cache in Anthropic's words, as LiteLLM": (
        CHAT, *both({"content": "a"}, usage={**USAGE, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2}),
        Usage(input_tokens=19, output_tokens=21, total_tokens=40, cached_tokens=4, cache_write_tokens=2),
    ),
    "items": (RESPONSES, response(text_item("a"), usage=NEWER), [completed(text_item("a"), usage=NEWER)], COUNTED),
    "beside the reply": (RESPONSES, None, [{**completed(text_item("a")), "usage": NEWER}], COUNTED),
    "blocks": (
        MESSAGES, message({"type": "text", "text": "a"}, usage=NEWER),
        [started(usage={"input_tokens": 19}), *block(0, type="text", text="a"), *stopped(usage={"output_tokens": 21})], COUNTED,
    ),
    "in the delta": (
        MESSAGES, None, [started(), *block(0, type="text", text="a"), {"type": "message_delta", "delta": {"stop_reason": "end_turn", "usage": NEWER}}, {"type": "message_stop"}], COUNTED,
    ),
    "in the last event": (MESSAGES, None, [started(), *block(0, type="text", text="a"), stopped()[0], {"type": "message_stop", "usage": NEWER}], COUNTED),
    "native": (NATIVE, output({"content": "a"}, usage=NEWER), [output({"content": "a"}, usage=NEWER)], COUNTED),
    "native, in the output": (NATIVE, {"output": {"text": "a", "finish_reason": "stop", "usage": NEWER}}, None, COUNTED),
}  # fmt: skip
STOP, LENGTH, FILTERED = FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTENT_FILTER
FINISH = {
    "OpenAI": (CHAT, completion({"content": "a"}, "length"), [HI, chunk(finish="length"), DONE], LENGTH),
    "in the delta or message": (CHAT, completion({"content": "a", "finish_reason": "length"}, None), [HI, chunk({"finish_reason": "length"}), DONE], LENGTH),
    "finish_details, as GPT-4V": (CHAT, completion({"content": "a"}, None, {"finish_details": {"type": "stop"}}), [HI, chunk(choice={"finish_details": {"type": "stop"}}), DONE], STOP),
    "the word null": (CHAT, completion({"content": "a"}, "null"), [chunk({"content": "a"}, "null"), DONE], None),
    "eos, as Together": (CHAT, completion({"content": "a"}, "eos"), [HI, chunk(finish="eos"), DONE], STOP),
    "eos_token, as TGI": (CHAT, completion({"content": "a"}, "eos_token"), [HI, chunk(finish="eos_token"), DONE], STOP),
    "no message, but a reason": (CHAT, {"choices": [{"finish_reason": "content_filter"}]}, [{"choices": [{"finish_reason": "content_filter"}]}, DONE], FILTERED),
    "items": (RESPONSES, response(text_item("a")), [completed(text_item("a"))], STOP),
    "blocks": (MESSAGES, message({"type": "text", "text": "a"}, stop_reason="max_tokens"), [started(), *stopped("max_tokens")], LENGTH),
    "native": (NATIVE, output({"content": "a"}, "length"), [output({"content": "a"}, "length")], LENGTH),
    "native, in the output": (NATIVE, {"output": {"text": "a", "finish_reason": "length"}}, [{"output": {"text": "a", "finish_reason": "length"}}], LENGTH),
}  # fmt: skip
STUB = {"id": "stub", "model": "stub"}
NAMES = {
    "OpenAI": (CHAT, completion({"content": "a"}), [HI, END, DONE], ("c-1", "m-1")),
    "empty at first, as Azure": (CHAT, None, [{"choices": [], "id": "", "model": ""}, HI, END, DONE], ("c-1", "m-1")),
    "a stub at the end": (CHAT, None, [HI, {**END, **STUB}, {"choices": [], **STUB}, DONE], ("c-1", "m-1")),
    "items": (RESPONSES, response(text_item("a")), [{"type": "response.created", "response": response()}, completed(text_item("a"), **STUB)], ("c-1", "m-1")),
    "blocks": (MESSAGES, message({"type": "text", "text": "a"}), [started(), *stopped()], ("c-1", "m-1")),
    "native": (NATIVE, output({"content": "a"}), [output({"content": "a"}, "null"), {**output({"content": "b"}), "request_id": "stub"}], ("c-1", "m-1")),
}  # fmt: skip

FACTS = {
    "content": TEXT, "reasoning": REASONING, "refusal": REFUSAL, "tool_calls": TOOLS, "usage": COUNTS,
    "finish_reason": FINISH, "names": NAMES,
}  # fmt: skip
MATRIX = [
    pytest.param(fact, row, how, id=f"{fact}-{row[0]}-{place}-{how}")
    for fact, places in FACTS.items()
    for place, row in places.items()
    for how in ("whole", "streamed")
    if row[1 if how == "whole" else 2] is not None
]


def value_of(reply, fact):
    return (reply.id, reply.model) if fact == "names" else getattr(reply, fact)


@pytest.mark.parametrize(("fact", "row", "how"), MATRIX)
def test_what_is_read_from_where(fact, row, how):
    name, payload, said, expected = row
    reply = whole(form(name), payload) if how == "whole" else streamed(form(name), *said)
    assert value_of(reply, fact) == expected


@pytest.mark.parametrize("fact", FACTS)
def test_every_form_is_in_the_matrix(fact):
    forms = {row[0] for row in FACTS[fact].values()}
    assert forms == {CHAT, RESPONSES, MESSAGES, NATIVE} - ({NATIVE} if fact == "refusal" else set())


LISTS = [
    ("openai", CHAT, {"data": None}, []),
    ("openai", CHAT, {"object": "list", "data": []}, []),
    ("openai", CHAT, [{"id": "a"}], ["a"]),
    ("openai", CHAT, {"data": ["a", {"name": "b"}, None, {"x": 1}]}, ["a", "b"]),
    ("anthropic", MESSAGES, {"data": None, "has_more": False}, []),
    ("dashscope", NATIVE, {"output": {"models": None, "page_no": 1}}, []),
    ("dashscope", NATIVE, {"output": {"models": [{"model": "a"}]}}, ["a"]),
]


@pytest.mark.parametrize(("provider", "name", "payload", "ids"), LISTS)
def test_lists_of_models(provider, name, payload, ids):
    models, _ = form(name, provider).parse_models(payload)
    assert [model.id for model in models] == ids
