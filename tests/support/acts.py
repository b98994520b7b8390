"""A client of either front is made, does one thing and is closed; what an async one gives is awaited."""

import asyncio
import inspect

import llmnet

FRONTS = ("sync", "async")


def attempt(front, positional, fields, action=lambda client: None):
    if front == "sync":
        with llmnet.Client(*positional, **fields) as client:
            return action(client)

    async def run():
        async with llmnet.AsyncClient(*positional, **fields) as client:
            value = action(client)
            return await value if inspect.isawaitable(value) else value

    return asyncio.run(run())
