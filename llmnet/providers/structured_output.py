"""How a request asks for a value of a type, in OpenAI's chat form, which each wire form translates.

Three ways, the first that there is: a schema that the vendor holds its model to; JSON mode, with the schema as an
instruction; a tool that the model must call, whose arguments are read as the text of the reply.
The facts: docs/vendors.md, Structured output.
"""

import re
from typing import Any

import msgspec

from llmnet.core.output import Output
from llmnet.core.request import ChatRequest
from llmnet.providers.strict_schema import OPENAI, strict_schema_of
from llmnet.providers.tool_rows import ANSWER_TOOL

INSTRUCTION = "Answer with a JSON object alone, without any other text. It must fit this JSON schema:"

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]+")
_LONGEST_NAME = 64


def by_schema(chat: ChatRequest, output: Output) -> ChatRequest:
    """Ask by `json_schema`: strict, unless the type takes what a strict schema cannot say."""
    strict = strict_schema_of(output, OPENAI)
    name = _NOT_IN_NAMES.sub("_", output.name)[:_LONGEST_NAME]
    wanted = {"name": name, "schema": strict or output.schema, "strict": strict is not None}
    return with_params(chat, response_format={"type": "json_schema", "json_schema": wanted})


def by_json_mode(chat: ChatRequest, output: Output) -> ChatRequest:
    """Ask by `json_object`, which vendors refuse where no message mentions JSON, and by an instruction."""
    messages = _instructed(chat.messages, output.schema)
    first = chat.first - (len(messages) - len(chat.messages))  # errors count as the caller does
    instructed = msgspec.structs.replace(chat, messages=messages, first=first)
    return with_params(instructed, response_format={"type": "json_object"})


def by_tool(chat: ChatRequest, output: Output, *, force: bool) -> ChatRequest:
    """Ask by a tool, beside the caller's own; a choice of the caller's holds.

    Args:
        chat: the request.
        output: what is asked for.
        force: whether the vendor takes a choice that forces a call; otherwise the model is told to call it.
    """
    own = chat.params.get("tools", ())
    words = "Gives the answer. Call it once, at the end."
    tool = {"name": ANSWER_TOOL, "description": words, "parameters": output.schema}
    choice: Any = "required" if own else {"type": "function", "function": {"name": ANSWER_TOOL}}
    added: dict[str, Any] = {"tools": [*own, {"type": "function", "function": tool}]}
    if "tool_choice" not in chat.params:
        added["tool_choice"] = choice if force else "auto"
    return with_params(chat, **added)


def with_params(chat: ChatRequest, **params: Any) -> ChatRequest:
    """The chat with more parameters."""
    return msgspec.structs.replace(chat, params={**chat.params, **params})


def _instructed(messages: list[dict[str, Any]], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The conversation with the schema in its first message, which is the system's: some vendors take no other one."""
    text = f"{INSTRUCTION}\n{msgspec.json.encode(schema).decode()}"
    first = messages[0]
    if first["role"] not in ("system", "developer"):
        return [{"role": "system", "content": text}, *messages]
    content = first.get("content")
    joined = f"{content}\n\n{text}" if isinstance(content, str) else [*(content or ()), {"type": "text", "text": text}]
    return [{**first, "content": joined}, *messages[1:]]
