"""llmnet over Anthropic's Messages API."""

from typing import Any

from benchmarks.peers import _llmnet


def config(url: str, at_once: int) -> dict[str, Any]:
    return {**_llmnet.config(url, at_once), "provider": "anthropic"}


class Sync(_llmnet.Sync):
    config = staticmethod(config)


class Async(_llmnet.Async):
    config = staticmethod(config)
