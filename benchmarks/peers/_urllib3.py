"""urllib3: a pool, and the rest by hand."""

import json

import urllib3

from benchmarks.peers._by_hand import HEADERS, Add, content, fields, hand


class Sync:
    def __init__(self, url: str, at_once: int) -> None:
        self.url = f"{url}/v1/chat/completions"
        self.pool = urllib3.PoolManager(headers=HEADERS)

    def chat(self, prompt: str) -> str:
        response = self.pool.request("POST", self.url, json=fields(prompt))
        return content(_checked(response).json())

    def stream(self, prompt: str, add: Add) -> None:
        body = json.dumps(fields(prompt, stream=True))
        response = _checked(self.pool.request("POST", self.url, body=body, headers=HEADERS, preload_content=False))
        rest = b""
        for data in response.stream(65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                hand(line.decode(), add)
        response.release_conn()

    def close(self) -> None:
        self.pool.clear()


def _checked(response: urllib3.BaseHTTPResponse) -> urllib3.BaseHTTPResponse:
    if response.status != 200:
        raise ValueError(f"HTTP {response.status}")
    return response
