"""litellm, which keeps its clients itself."""

from typing import Any

import litellm

from benchmarks.peers._by_hand import Add, fields


def _hand(chunk: Any, add: Add) -> None:
    if text := chunk.choices[0].delta.content:
        add(text)


class _Common:
    def __init__(self, url: str, at_once: int) -> None:
        self.options = {"api_base": f"{url}/v1", "api_key": "sk-test"}

    def fields(self, prompt: str, **more: Any) -> dict[str, Any]:
        return {**fields(prompt, **more), **self.options, "model": "openai/m"}


class Sync(_Common):
    def chat(self, prompt: str) -> str:
        return litellm.completion(**self.fields(prompt)).choices[0].message.content

    def stream(self, prompt: str, add: Add) -> None:
        for chunk in litellm.completion(**self.fields(prompt, stream=True)):
            _hand(chunk, add)

    def close(self) -> None: ...


class Async(_Common):
    async def chat(self, prompt: str) -> str:
        return (await litellm.acompletion(**self.fields(prompt))).choices[0].message.content

    async def stream(self, prompt: str, add: Add) -> None:
        async for chunk in await litellm.acompletion(**self.fields(prompt, stream=True)):
            _hand(chunk, add)

    async def close(self) -> None: ...
