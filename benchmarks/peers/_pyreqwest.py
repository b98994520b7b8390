"""pyreqwest, the client of Rust's reqwest; of a stream its bytes, each as it comes, which is not its default."""

from typing import Any

import pyreqwest.client

from benchmarks.peers._by_hand import HEADERS, Add, Events, content, fields

_AT_ONCE = 0  # bytes that it may hold back


class _Common:
    def __init__(self, url: str, at_once: int) -> None:
        self.url = f"{url}/v1/chat/completions"
        self.client = self.made().default_headers(HEADERS).error_for_status(enable=True).build()

    def request(self, prompt: str, **more: Any) -> Any:
        return self.client.post(self.url).body_json(fields(prompt, **more))

    def streamed(self, prompt: str) -> Any:
        return self.request(prompt, stream=True).streamed_read_buffer_limit(_AT_ONCE).build_streamed()


class Sync(_Common):
    def made(self) -> Any:
        return pyreqwest.client.SyncClientBuilder()

    def chat(self, prompt: str) -> str:
        return content(self.request(prompt).build().send().json())

    def stream(self, prompt: str, add: Add) -> None:
        feed = Events(add).feed
        with self.streamed(prompt) as response:
            while (data := response.body_reader.read_chunk()) is not None:
                feed(bytes(data))

    def close(self) -> None:
        self.client.close()


class Async(_Common):
    def made(self) -> Any:
        return pyreqwest.client.ClientBuilder()

    async def chat(self, prompt: str) -> str:
        response = await self.request(prompt).build().send()
        return content(await response.json())

    async def stream(self, prompt: str, add: Add) -> None:
        feed = Events(add).feed
        async with self.streamed(prompt) as response:
            while (data := await response.body_reader.read_chunk()) is not None:
                feed(bytes(data))

    async def close(self) -> None:
        await self.client.close()
