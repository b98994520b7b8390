"""A loop of tool calls: the model asks for tools, the program runs them, until there is an answer."""

import time
from collections.abc import Callable
from typing import Any

import llmnet

ROUNDS = 5  # a model may ask for tools again and again


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"  # what a real program would look up


def today() -> str:
    """The date."""
    return time.strftime("%Y-%m-%d")


# Described to the model by their names, signatures and docstrings.
TOOLS: list[Callable[..., str]] = [weather, today]


def run(call: llmnet.ToolCall) -> str:
    """The result of a call, as text; the model is told what it did wrong, and may try again."""
    if call.function is None:
        return f"there is no tool {call.name}"
    try:
        return str(call.function(**call.json()))
    except (TypeError, llmnet.InvalidResponseError) as error:
        return f"this call is wrong: {error}"


def ask(client: llmnet.Client, question: str) -> str:
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    for _ in range(ROUNDS):
        reply = client.chat(messages, tools=TOOLS)
        if not reply.tool_calls:
            return reply.content
        messages.append(reply.message)
        for call in reply.tool_calls:
            result = run(call)
            print(f"{call.name}({call.arguments}) → {result}")
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return "too many rounds"


def main() -> None:
    with llmnet.Client("dashscope:qwen-plus") as client:
        print(ask(client, "Weather in Hangzhou?"))


if __name__ == "__main__":
    main()
