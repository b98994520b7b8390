"""llmnet."""

from typing import Any

import llmnet
from benchmarks.content import COUNTS, Add


def config(url: str, at_once: int) -> dict[str, Any]:
    return {"model": "m", "base_url": f"{url}/v1", "api_key": "sk-test", "max_concurrent": max(at_once, 100)}


class Sync:
    config = staticmethod(config)

    def __init__(self, url: str, at_once: int) -> None:
        self.client = llmnet.Client(**self.config(url, at_once))

    def chat(self, prompt: str) -> str:
        return self.client.chat(prompt).content

    def stream(self, prompt: str, add: Add) -> None:
        with self.client.stream_chat(prompt) as stream:
            for chunk in stream:
                if chunk.content:
                    add(chunk.content)

    def count(self, prompt: str) -> str:
        """Count so many finished calls, as `client.stats` does; gives how many it has counted."""
        from llmnet.core.chat import Usage
        from llmnet.core.events import CallFinished
        from llmnet.core.http import Attempt, Meta
        from llmnet.telemetry.stats import Counters

        event = CallFinished(
            call=1, provider="openai", host="api.openai.com", model="m", stream=False, at=0.8, outcome="ok",
            meta=Meta(status=200, elapsed=0.8), attempts=[Attempt(status=200, sent=True, elapsed=0.8)],
            usage=Usage(input_tokens=53, output_tokens=200),
        )  # fmt: skip
        counters = Counters()
        for _ in range(COUNTS):
            counters.count(event)
        return str(counters.snapshot().calls)

    def close(self) -> None:
        self.client.close()


class Async:
    config = staticmethod(config)

    def __init__(self, url: str, at_once: int) -> None:
        self.client = llmnet.AsyncClient(**self.config(url, at_once))

    async def chat(self, prompt: str) -> str:
        return (await self.client.chat(prompt)).content

    async def stream(self, prompt: str, add: Add) -> None:
        async with self.client.stream_chat(prompt) as stream:
            async for chunk in stream:
                if chunk.content:
                    add(chunk.content)

    async def close(self) -> None:
        await self.client.aclose()
