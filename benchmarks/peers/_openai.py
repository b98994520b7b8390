"""OpenAI's own library."""

from typing import Any

import openai

from benchmarks.peers._by_hand import Add, fields


def _options(url: str) -> dict[str, Any]:
    return {"base_url": f"{url}/v1", "api_key": "sk-test"}


def _hand(chunk: Any, add: Add) -> None:
    if chunk.choices and (text := chunk.choices[0].delta.content):
        add(text)


class Sync:
    def __init__(self, url: str, at_once: int) -> None:
        self.client = openai.OpenAI(**_options(url))

    def chat(self, prompt: str) -> str:
        return self.client.chat.completions.create(**fields(prompt)).choices[0].message.content

    def stream(self, prompt: str, add: Add) -> None:
        for chunk in self.client.chat.completions.create(**fields(prompt), stream=True):
            _hand(chunk, add)

    def close(self) -> None:
        self.client.close()


class Async:
    def __init__(self, url: str, at_once: int) -> None:
        self.client = openai.AsyncOpenAI(**_options(url))

    async def chat(self, prompt: str) -> str:
        return (await self.client.chat.completions.create(**fields(prompt))).choices[0].message.content

    async def stream(self, prompt: str, add: Add) -> None:
        async for chunk in await self.client.chat.completions.create(**fields(prompt), stream=True):
            _hand(chunk, add)

    async def close(self) -> None:
        await self.client.close()
