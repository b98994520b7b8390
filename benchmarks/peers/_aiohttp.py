"""aiohttp: a session, whose pool is large enough, and the rest by hand; of a stream its bytes, as quickly as may be."""

import aiohttp

from benchmarks.peers._by_hand import HEADERS, Add, Events, content, fields


class Async:
    def __init__(self, url: str, at_once: int) -> None:
        self.url = f"{url}/v1/chat/completions"
        connector = aiohttp.TCPConnector(limit=max(at_once, 100))
        self.session = aiohttp.ClientSession(connector=connector, headers=HEADERS, raise_for_status=True)

    async def chat(self, prompt: str) -> str:
        async with self.session.post(self.url, json=fields(prompt)) as response:
            return content(await response.json())

    async def stream(self, prompt: str, add: Add) -> None:
        feed = Events(add).feed
        async with self.session.post(self.url, json=fields(prompt, stream=True)) as response:
            async for data in response.content.iter_any():
                feed(data)

    async def close(self) -> None:
        await self.session.close()
