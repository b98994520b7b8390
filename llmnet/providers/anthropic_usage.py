"""The usage of a Messages reply: each event replaces the counts that it has (docs/vendors.md, Usage)."""

from typing import Any

from llmnet.core.chat import Usage
from llmnet.providers.reading import Paths, usage_of

USAGE: Paths = {
    "input_tokens": (("input_tokens",),),
    "output_tokens": (("output_tokens",),),
    "cached_tokens": (("cache_read_input_tokens",),),
    "cache_write_tokens": (("cache_creation_input_tokens",),),
    "reasoning_tokens": (("output_tokens_details", "thinking_tokens"),),
}
# Anthropic counts input that it reads from the cache and writes to it apart.
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_COUNTED = {place[0] for places in USAGE.values() for place in places}


class UsageCounts:
    """The counts so far."""

    def __init__(self) -> None:
        self._counts: dict[str, Any] = {}

    def add(self, usage: Any) -> Usage | None:
        """Take cumulative counts: they replace those before, except null ones and an input of 0."""
        if not isinstance(usage, dict):
            return None
        new = {name: usage[name] for name in _COUNTED if usage.get(name) is not None}
        if not any(new.get(name) for name in _INPUT):
            new = {name: value for name, value in new.items() if name not in _INPUT or name not in self._counts}
        self._counts |= new
        inputs = [value for name in _INPUT if isinstance(value := self._counts.get(name), int)]
        known = isinstance(self._counts.get("input_tokens"), int)
        return usage_of(self._counts | ({"input_tokens": sum(inputs)} if known else {}), USAGE)
