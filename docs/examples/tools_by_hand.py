"""A loop of tool calls: the model asks for tools, the program runs them, until there is an answer."""

import time
from collections.abc import Callable
from typing import Any

import llmnet

ROUNDS = 5  # a model may ask for tools again and again


def weather(city: str) -> str:
    """What a real program would look up."""
    return f"sunny in {city}"


def today() -> str:
    """The date."""
    return time.strftime("%Y-%m-%d")


FUNCTIONS: dict[str, Callable[..., str]] = {"weather": weather, "today": today}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "The weather in a city.", "parameters": CITY}},
    {"type": "function", "function": {"name": "today", "description": "The date.", "parameters": {"type": "object"}}},
]


def run(call: llmnet.ToolCall) -> str:
    """The result of a call, as text; the model is told what it did wrong, and may try again."""
    try:
        return FUNCTIONS[call.name](**call.json())
    except (KeyError, TypeError, llmnet.InvalidResponseError) as error:
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
