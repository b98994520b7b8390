"""Every fact of a reply in every place where a service or a known server puts it, complete and streamed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.replies import (
    DONE,
    block,
    chunk,
    completed,
    completion,
    events,
    form,
    message,
    output,
    read_json,
    receive,
    response,
    started,
    stopped,
    streamed,
    text_item,
)

from llmnet import FinishReason
from llmnet.core.chat import Usage
from llmnet.core.tool_call import ToolCall
from llmnet.providers.target import CHAT, MESSAGES, NATIVE, RESPONSES

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


def done_part(text):
    part = {"type": "output_text", "text": text}
    return {"type": "response.content_part.done", "item_id": "i", "output_index": 0, "content_index": 0, "part": part}


def both(body, **more):
    """A row of the chat form whose message and delta are the same."""
    return completion(body, **more), [chunk(body, **more), END, DONE]


# fact: place → (wire form, complete reply or None, events of a stream or None, value)
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
    "an end that has more than the deltas": (CHAT, None, [HI, completion({"content": "Hello"}), DONE], "Hello"),
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
    "behind an empty choice of a stream": (CHAT, None, [{"choices": [{}, {"delta": {"content": "Hello"}}]}, END, DONE], "Hello"),
    "an object with a value, as in Assistants": (CHAT, *both({"content": [{"type": "text", "text": {"value": "Hello", "annotations": []}}]}), "Hello"),
    "[DONE] as JSON": (CHAT, None, [HI, LO, '"[DONE]"'], "Hello"),
    "items": (RESPONSES, response(text_item("Hello")), [delta("output_text", "Hel"), delta("output_text", "lo"), completed()], "Hello"),
    "complete items": (RESPONSES, None, [{"type": "response.output_item.done", "output_index": 0, "item": text_item("Hello")}, completed()], "Hello"),
    "items at the end": (RESPONSES, None, [completed(text_item("Hello"))], "Hello"),
    "a text that is done": (RESPONSES, None, [{"type": "response.output_text.done", "text": "Hello", "content_index": 0}, completed()], "Hello"),
    "pieces, then a text that is done": (RESPONSES, None, [delta("output_text", "Hello"), {"type": "response.output_text.done", "text": "Hello"}, completed()], "Hello"),
    "a part that is done": (RESPONSES, None, [done_part("Hello"), completed()], "Hello"),
    "a part that is done, after deltas without its place": (RESPONSES, None, [delta("output_text", "Hello"), done_part("Hello"), completed()], "Hello"),
    "an item that opens complete": (RESPONSES, None, [{"type": "response.output_item.added", "output_index": 0, "item": text_item("Hello")}, completed()], "Hello"),
    "an item that opens with the text of its deltas": (
        RESPONSES, None, [{"type": "response.output_item.added", "output_index": 0, "item": text_item("Hello")}, delta("output_text", "Hello"), completed()], "Hello",
    ),
    "a part without its message": (RESPONSES, response({"type": "output_text", "text": "Hello"}), [completed({"type": "output_text", "text": "Hello"})], "Hello"),
    "a message of one text": (RESPONSES, response({"type": "message", "content": "Hello"}), [completed({"type": "message", "content": "Hello"})], "Hello"),
    "a message without type": (RESPONSES, response({"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}), None, "Hello"),
    "output_text of the SDKs": (RESPONSES, response(output_text="Hello"), [completed(output_text="Hello")], "Hello"),
    "a terminal event without its reply": (RESPONSES, None, [delta("output_text", "Hello"), {"type": "response.completed"}], "Hello"),
    "a reply in the terminal event itself": (RESPONSES, None, [{**response(text_item("Hello")), "type": "response.completed"}], "Hello"),
    "beside a hollow error of items": (RESPONSES, response(text_item("Hello"), error={"code": None, "message": ""}), None, "Hello"),
    "blocks": (MESSAGES, message({"type": "text", "text": "Hello"}), [started(), *block(0, {"type": "text_delta", "text": "Hello"}, type="text", text=""), *stopped()], "Hello"),
    "blocks without index": (MESSAGES, None, [started(), *block(None, {"type": "text_delta", "text": "Hello"}, type="text", text=""), *stopped()], "Hello"),
    "a block without type": (MESSAGES, message({"text": "Hello"}), [started(), *block(0, text="Hello"), *stopped()], "Hello"),
    "deltas without type": (MESSAGES, None, [started(), *block(0, {"text": "Hel"}, {"type": "text", "text": "lo"}, type="text", text=""), *stopped()], "Hello"),
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
    "reasoning_text, as Copilot": (CHAT, *both({"reasoning_text": "hm"}), "hm"),
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
    "a text of the item itself": (RESPONSES, response({"type": "reasoning", "text": "hm"}), [completed({"type": "reasoning", "text": "hm"})], "hm"),
    "summary and text that are one": (
        RESPONSES, response({**SUMMARY, "content": [{"type": "reasoning_text", "text": "hm"}]}),
        [delta("reasoning_text", "h"), delta("reasoning_summary_text", "h"), delta("reasoning_text", "m"), delta("reasoning_summary_text", "m"), completed()], "hm",
    ),
    "blocks": (MESSAGES, message({"type": "thinking", "thinking": "hm"}), [started(), *block(0, {"type": "thinking_delta", "thinking": "hm"}, type="thinking", thinking=""), *stopped()], "hm"),
    "a block whose thinking is its text": (MESSAGES, message({"type": "thinking", "text": "hm"}), [started(), *block(0, type="thinking", text="hm"), *stopped()], "hm"),
    "deltas without type": (MESSAGES, None, [started(), *block(0, {"thinking": "hm"}, type="thinking", thinking=""), *stopped()], "hm"),
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
    "a number for an id, as TGI": (CHAT, *both({"tool_calls": [{"index": 0, **CALL, "id": 0}]}), [ToolCall(id="0", name="f", arguments='{"x":1}')]),
    "parameters": (CHAT, *both({"tool_calls": [{"id": "a", "function": {"name": "f", "parameters": {"x": 1}}}]}), [ToolCall(id="a", name="f", arguments='{"x": 1}')]),
    "the list as a text": (CHAT, *both({"tool_calls": json.dumps([CALL])}), CALLED),
    "a number for arguments": (CHAT, *both({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": 5}}]}), [ToolCall(id="a", name="f", arguments="5")]),
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
    "a block without type": (
        MESSAGES, message({"id": "a", "name": "f", "input": {"x": 1}}), [started(), *block(0, id="a", name="f", input={"x": 1}), *stopped()],
        [ToolCall(id="a", name="f", arguments='{"x": 1}')],
    ),
    "deltas without type": (
        MESSAGES, None, [started(), *block(0, {"partial_json": '{"x":1}'}, type="tool_use", id="a", name="f", input={}), *stopped()], CALLED,
    ),
    "an object in a delta": (
        MESSAGES, None, [started(), *block(0, {"type": "input_json_delta", "partial_json": {"x": 1}}, type="tool_use", id="a", name="f", input={}), *stopped()],
        [ToolCall(id="a", name="f", arguments='{"x": 1}')],
    ),
    "an object in a delta of items": (
        RESPONSES, None,
        [{"type": "response.output_item.added", "item": {**ITEM, "arguments": ""}}, {"type": "response.function_call_arguments.delta", "item_id": "fc", "delta": {"x": 1}}, completed()],
        [ToolCall(id="a", name="f", arguments='{"x": 1}')],
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
    "in the message": (CHAT, *both({"content": "a", "usage": USAGE}), COUNTED),
    "numbers as texts": (CHAT, *both({"content": "a"}, usage={name: str(n) for name, n in USAGE.items()}), COUNTED),
    "in parts": (CHAT, None, [chunk({"content": "a"}, usage={"prompt_tokens": 19}), chunk(finish="stop", usage={"completion_tokens": 21}), DONE], COUNTED),
    "zeros at the end": (CHAT, None, [chunk({"content": "a"}, usage=USAGE), chunk(finish="stop", usage=dict.fromkeys(USAGE, 0)), DONE], COUNTED),
    "zeros at first": (CHAT, None, [chunk({"content": "a"}, usage=dict.fromkeys(USAGE, 0)), chunk(finish="stop", usage=USAGE), DONE], COUNTED),
    "a prompt of 0 at the end": (
        CHAT, None, [chunk({"content": "a"}, usage={**USAGE, "completion_tokens": 1}), chunk(finish="stop", usage={**USAGE, "prompt_tokens": 0}), DONE], COUNTED,
    ),
    "x_groq": (CHAT, completion({"content": "a"}, x_groq={"usage": USAGE}), [HI, chunk(finish="stop", x_groq={"usage": USAGE}), DONE], COUNTED),
    "newer names": (CHAT, *both({"content": "a"}, usage=NEWER), COUNTED),
    "numbers with a point": (CHAT, *both({"content": "a"}, usage={name: float(n) for name, n in USAGE.items()}), COUNTED),
    "cached tokens beside": (
        CHAT, *both({"content": "a"}, usage={**USAGE, "cached_tokens": 4}), Usage(input_tokens=19, output_tokens=21, total_tokens=40, cached_tokens=4),
    ),
    "reasoning tokens beside": (
        CHAT, *both({"content": "a"}, usage={**USAGE, "reasoning_tokens": 4}), Usage(input_tokens=19, output_tokens=21, total_tokens=40, reasoning_tokens=4),
    ),
    "the cache under Anthropic's names, as LiteLLM": (
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
    "an input of 0 in the last delta": (
        MESSAGES, None, [started(usage={"input_tokens": 19}), *block(0, type="text", text="a"), *stopped(usage={"input_tokens": 0, "output_tokens": 21})], COUNTED,
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
    "an object, as SGLang": (CHAT, completion({"content": "a"}, {"type": "length", "length": 9}), [HI, chunk(finish={"type": "length", "length": 9}), DONE], LENGTH),
    "values of Google": (CHAT, completion({"content": "a"}, "MAX_TOKENS"), [HI, chunk(finish="MAX_TOKENS"), DONE], LENGTH),
    "values of Anthropic": (CHAT, completion({"content": "a"}, "end_turn"), [HI, chunk(finish="end_turn"), DONE], STOP),
    "an ordinary end behind a special one": (CHAT, None, [HI, chunk(finish="length"), END, DONE], LENGTH),
    "a special end behind an ordinary one": (CHAT, None, [chunk({"content": "a"}, "stop"), chunk(finish="length"), DONE], LENGTH),
    "a value in each chunk": (CHAT, None, [chunk({"content": "a"}, "incomplete"), END, DONE], STOP),
    "the string null": (CHAT, completion({"content": "a"}, "null"), [chunk({"content": "a"}, "null"), DONE], None),
    "eos, as Together": (CHAT, completion({"content": "a"}, "eos"), [HI, chunk(finish="eos"), DONE], STOP),
    "eos_token, as TGI": (CHAT, completion({"content": "a"}, "eos_token"), [HI, chunk(finish="eos_token"), DONE], STOP),
    "no message, but a reason": (CHAT, {"choices": [{"finish_reason": "content_filter"}]}, [{"choices": [{"finish_reason": "content_filter"}]}, DONE], FILTERED),
    "items": (RESPONSES, response(text_item("a")), [completed(text_item("a"))], STOP),
    "blocks": (MESSAGES, message({"type": "text", "text": "a"}, stop_reason="max_tokens"), [started(), *stopped("max_tokens")], LENGTH),
    "the head of the message": (MESSAGES, None, [started(stop_reason="max_tokens"), *block(0, type="text", text="a"), {"type": "message_stop"}], LENGTH),
    "native": (NATIVE, output({"content": "a"}, "length"), [output({"content": "a"}, "length")], LENGTH),
    "native, in the output": (NATIVE, {"output": {"text": "a", "finish_reason": "length"}}, [{"output": {"text": "a", "finish_reason": "length"}}], LENGTH),
}  # fmt: skip
STUB = {"id": "stub", "model": "stub"}
NAMES = {
    "OpenAI": (CHAT, completion({"content": "a"}), [HI, END, DONE], ("c-1", "m-1")),
    "a number": (CHAT, completion({"content": "a"}, id=7), [{**HI, "id": 7}, {**END, "id": 7}, DONE], ("7", "m-1")),
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
    for how in ("complete", "streamed")
    if row[1 if how == "complete" else 2] is not None
]


def value_of(reply, fact):
    return (reply.id, reply.model) if fact == "names" else getattr(reply, fact)


@pytest.mark.parametrize(("fact", "row", "how"), MATRIX)
def test_what_is_read_from_where(fact, row, how):
    name, payload, stream, expected = row
    reply = read_json(form(name), payload) if how == "complete" else streamed(form(name), *stream)
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


@pytest.mark.parametrize("part", [{"type": "image_url", "image_url": {"url": "x"}}, {"image": "x"}])
def test_a_part_that_is_no_text_is_handed_out_in_raw(part):
    stream = chunk({"content": [part]})
    chunks, reply = receive(form(), events(stream, END, DONE), stream=True, kind="text/event-stream")
    assert (chunks[0].raw, len(chunks), reply.content) == (stream, 2, "")
    texts = ({"type": "text", "text": ""}, {"type": "text", "text": "", "annotations": [1]}, {"text": ""}, {})
    stream = [chunk({"content": [text]}) for text in texts]
    chunks, _ = receive(form(), events(*stream, END, DONE), stream=True, kind="text/event-stream")
    assert len(chunks) == 1


# -- a reply is the same complete and in pieces -------------------------------------------------------------------

WORDS = st.text("ab \n{}\u00e9\U0001f600", min_size=1, max_size=12)
REPLIES = st.fixed_dictionaries(
    {
        "content": st.none() | WORDS,
        "reasoning": st.none() | WORDS,
        "calls": st.lists(st.tuples(st.sampled_from("fg"), st.dictionaries(WORDS, WORDS, max_size=2)), max_size=3),
        "by_index": st.booleans(),
    }
)


def in_pieces(text, size=5):
    return [text[at : at + size] for at in range(0, len(text or ""), size)]


def sent_by_chat(content, reasoning, calls, by_index):
    rows = [
        {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": text}}
        for i, (name, text) in enumerate(calls)
    ]
    deltas = [{"reasoning_content": piece} for piece in in_pieces(reasoning)]
    deltas += [{"content": piece} for piece in in_pieces(content)]
    for i, row in enumerate(rows):
        at = {"index": i if by_index else 0}
        deltas.append({"tool_calls": [{**at, **row, "function": {**row["function"], "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{**at, "function": {"arguments": piece}}]}
            for piece in in_pieces(row["function"]["arguments"])
        ]
    body = {"role": "assistant", "content": content, "reasoning_content": reasoning, "tool_calls": rows}
    end = [chunk(finish="stop"), {"choices": [], "usage": USAGE}, DONE]
    return completion(body, usage=USAGE), [*map(chunk, deltas), *end]


def sent_by_items(content, reasoning, calls, by_index):
    items = [{"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": reasoning}]}] * bool(
        reasoning
    )
    items += [{**text_item(content), "id": "t"}] * bool(content)
    items += [
        {"type": "function_call", "id": f"i{i}", "call_id": f"c{i}", "name": name, "arguments": text}
        for i, (name, text) in enumerate(calls)
    ]
    sent = []
    for at, item in enumerate(items):
        place = {"output_index": at if by_index else 0, "item_id": item["id"]}
        name = {"reasoning": "reasoning_summary_text", "message": "output_text"}.get(
            item["type"], "function_call_arguments"
        )
        text = {"reasoning": reasoning, "message": content}.get(item["type"], item.get("arguments"))
        opened = {"type": item["type"], "id": item["id"]} | ({**item, "arguments": ""} if "call_id" in item else {})
        sent.append({"type": "response.output_item.added", "output_index": place["output_index"], "item": opened})
        sent += [delta(name, piece, **place) for piece in in_pieces(text)]
        sent.append({"type": "response.output_item.done", "output_index": place["output_index"], "item": item})
    return response(*items, usage=NEWER), [*sent, completed(*items, usage=NEWER)]


def sent_by_blocks(content, reasoning, calls, by_index):
    blocks = [{"type": "thinking", "thinking": reasoning}] * bool(reasoning)
    blocks += [{"type": "text", "text": content}] * bool(content)
    blocks += [
        {"type": "tool_use", "id": f"c{i}", "name": name, "input": json.loads(text)}
        for i, (name, text) in enumerate(calls)
    ]
    sent = []
    for at, one in enumerate(blocks):
        kind = {"thinking": "thinking_delta", "text": "text_delta"}.get(one["type"], "input_json_delta")
        field = {"input_json_delta": "partial_json"}.get(kind, one["type"])
        text = json.dumps(one["input"], ensure_ascii=False) if "input" in one else one[field]
        empty = {name: {} if name == "input" else "" for name in ("thinking", "text", "input") if name in one}
        deltas = [{"type": kind, field: piece} for piece in in_pieces(text)]
        sent += block(at if by_index else None, *deltas, **{**one, **empty})
    return message(*blocks, usage=NEWER), [started(), *sent, *stopped(usage=NEWER)]


def sent_by_frames(content, reasoning, calls, by_index):
    rows = [
        {"id": f"c{i}", "index": i, "type": "function", "function": {"name": name, "arguments": text}}
        for i, (name, text) in enumerate(calls)
    ]
    body = {"content": content or "", "reasoning_content": reasoning or "", "tool_calls": rows}
    frames, sent = [], {"content": "", "reasoning_content": ""}
    for name in ("reasoning_content", "content"):
        for piece in in_pieces(body[name]):
            sent = {**sent, name: sent[name] + piece}
            frames.append(output(sent, "null", usage=NEWER))
    return output(body, usage=NEWER), [*frames, output(body, usage=NEWER)]


SENDERS = {CHAT: sent_by_chat, RESPONSES: sent_by_items, MESSAGES: sent_by_blocks, NATIVE: sent_by_frames}
ALIKE = ("content", "reasoning", "tool_calls", "finish_reason", "native_finish_reason", "usage", "id", "model")


@settings(max_examples=60)
@given(name=st.sampled_from([*SENDERS]), drawn=REPLIES)
def test_a_reply_is_the_same_complete_and_streamed(name, drawn):
    calls = [(tool, json.dumps(value, ensure_ascii=False)) for tool, value in drawn["calls"]]
    payload, sent = SENDERS[name](**{**drawn, "calls": calls})
    once, pieces = read_json(form(name), payload), streamed(form(name), *sent)
    assert {fact: getattr(once, fact) for fact in ALIKE} == {fact: getattr(pieces, fact) for fact in ALIKE}
    assert (once.content, once.reasoning) == (drawn["content"] or "", drawn["reasoning"])
    assert [(call.id, call.name, call.arguments) for call in once.tool_calls] == [
        (f"c{i}", *call) for i, call in enumerate(calls)
    ]
