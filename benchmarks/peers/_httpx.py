"""httpx: a client, whose pool is large enough, and the rest by hand."""

from typing import Any

import httpx

from benchmarks.peers._by_hand import HEADERS, content, delta, fields


def _options(url: str, at_once: int) -> dict[str, Any]:
    most = max(at_once, 100)
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=most)
    return {"base_url": f"{url}/v1", "headers": HEADERS, "limits": limits}


class Sync:
    def __init__(self, url: str, at_once: int) -> None:
        self.client = httpx.Client(**_options(url, at_once))

    def chat(self, prompt: str) -> str:
        response = self.client.post("/chat/completions", json=fields(prompt))
        response.raise_for_status()
        return content(response.json())

    def stream(self, prompt: str) -> str:
        with self.client.stream("POST", "/chat/completions", json=fields(prompt, stream=True)) as response:
            response.raise_for_status()
            return "".join(delta(line) for line in response.iter_lines())

    def close(self) -> None:
        self.client.close()


class Async:
    def __init__(self, url: str, at_once: int) -> None:
        self.client = httpx.AsyncClient(**_options(url, at_once))

    async def chat(self, prompt: str) -> str:
        response = await self.client.post("/chat/completions", json=fields(prompt))
        response.raise_for_status()
        return content(response.json())

    async def stream(self, prompt: str) -> str:
        async with self.client.stream("POST", "/chat/completions", json=fields(prompt, stream=True)) as response:
            response.raise_for_status()
            return "".join([delta(line) async for line in response.aiter_lines()])

    async def close(self) -> None:
        await self.client.aclose()
