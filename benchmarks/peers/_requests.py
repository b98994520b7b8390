"""requests: a session, and the rest by hand."""

import requests

from benchmarks.peers._by_hand import HEADERS, Add, content, fields, hand


class Sync:
    def __init__(self, url: str, at_once: int) -> None:
        self.url = f"{url}/v1/chat/completions"
        self.session = requests.Session()
        self.session.headers.update(HEADERS)

    def chat(self, prompt: str) -> str:
        response = self.session.post(self.url, json=fields(prompt))
        response.raise_for_status()
        return content(response.json())

    def stream(self, prompt: str, add: Add) -> None:
        with self.session.post(self.url, json=fields(prompt, stream=True), stream=True) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                hand(line.decode(), add)

    def close(self) -> None:
        self.session.close()
