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
            said = action(client)
            return await said if inspect.isawaitable(said) else said

    return asyncio.run(run())
