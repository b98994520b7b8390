"""Anthropic's own library, over its Messages API."""

from typing import Any

import anthropic

from benchmarks.peers._by_hand import Add, fields


def _options(url: str) -> dict[str, Any]:
    return {"base_url": url, "api_key": "sk-test"}


def _fields(prompt: str, **more: Any) -> dict[str, Any]:
    return fields(prompt, max_tokens=4096, **more)


class Sync:
    def __init__(self, url: str, at_once: int) -> None:
        self.client = anthropic.Anthropic(**_options(url))

    def chat(self, prompt: str) -> str:
        return self.client.messages.create(**_fields(prompt)).content[0].text

    def stream(self, prompt: str, add: Add) -> None:
        for event in self.client.messages.create(**_fields(prompt, stream=True)):
            if event.type == "content_block_delta":
                add(event.delta.text)

    def close(self) -> None:
        self.client.close()


class Async:
    def __init__(self, url: str, at_once: int) -> None:
        self.client = anthropic.AsyncAnthropic(**_options(url))

    async def chat(self, prompt: str) -> str:
        return (await self.client.messages.create(**_fields(prompt))).content[0].text

    async def stream(self, prompt: str, add: Add) -> None:
        async for event in await self.client.messages.create(**_fields(prompt, stream=True)):
            if event.type == "content_block_delta":
                add(event.delta.text)

    async def close(self) -> None:
        await self.client.close()
