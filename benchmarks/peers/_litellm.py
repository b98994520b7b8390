"""litellm, which keeps its clients itself."""

from typing import Any

import litellm

from benchmarks.peers._by_hand import fields


class _Common:
    def __init__(self, url: str, at_once: int) -> None:
        self.options = {"api_base": f"{url}/v1", "api_key": "sk-test"}

    def fields(self, prompt: str, **more: Any) -> dict[str, Any]:
        return {**fields(prompt, **more), **self.options, "model": "openai/m"}


class Sync(_Common):
    def chat(self, prompt: str) -> str:
        return litellm.completion(**self.fields(prompt)).choices[0].message.content

    def stream(self, prompt: str) -> str:
        chunks = litellm.completion(**self.fields(prompt, stream=True))
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    def close(self) -> None: ...


class Async(_Common):
    async def chat(self, prompt: str) -> str:
        return (await litellm.acompletion(**self.fields(prompt))).choices[0].message.content

    async def stream(self, prompt: str) -> str:
        chunks = await litellm.acompletion(**self.fields(prompt, stream=True))
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    async def close(self) -> None: ...
