"""What httpx and httpx2 have in common: a client, whose pool is large enough, and the rest by hand."""

from typing import Any, ClassVar

from benchmarks.peers._by_hand import HEADERS, Add, content, fields, hand


def _options(library: Any, url: str, at_once: int) -> dict[str, Any]:
    most = max(at_once, 100)
    limits = library.Limits(max_connections=most, max_keepalive_connections=most)
    return {"base_url": f"{url}/v1", "headers": HEADERS, "limits": limits}


class Sync:
    library: ClassVar[Any]

    def __init__(self, url: str, at_once: int) -> None:
        self.client = self.library.Client(**_options(self.library, url, at_once))

    def chat(self, prompt: str) -> str:
        response = self.client.post("/chat/completions", json=fields(prompt))
        response.raise_for_status()
        return content(response.json())

    def stream(self, prompt: str, add: Add) -> None:
        with self.client.stream("POST", "/chat/completions", json=fields(prompt, stream=True)) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                hand(line, add)

    def close(self) -> None:
        self.client.close()


class Async:
    library: ClassVar[Any]

    def __init__(self, url: str, at_once: int) -> None:
        self.client = self.library.AsyncClient(**_options(self.library, url, at_once))

    async def chat(self, prompt: str) -> str:
        response = await self.client.post("/chat/completions", json=fields(prompt))
        response.raise_for_status()
        return content(response.json())

    async def stream(self, prompt: str, add: Add) -> None:
        async with self.client.stream("POST", "/chat/completions", json=fields(prompt, stream=True)) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                hand(line, add)

    async def close(self) -> None:
        await self.client.aclose()
