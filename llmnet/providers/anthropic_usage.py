"""The usage of a Messages reply, counted in several events; each replaces what it names (docs/vendors.md, Usage)."""

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
# Anthropic counts what it read from and wrote to the cache apart.
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_COUNTED = {place[0] for places in USAGE.values() for place in places}


class Counts:
    """What was counted so far."""

    def __init__(self) -> None:
        self._said: dict[str, Any] = {}

    def add(self, usage: Any) -> Usage | None:
        """Take a count: it is cumulative and replaces the one before, but null says nothing, nor does an input of 0."""
        if not isinstance(usage, dict):
            return None
        said = {name: usage[name] for name in _COUNTED if usage.get(name) is not None}
        if not any(said.get(name) for name in _INPUT):
            said = {name: value for name, value in said.items() if name not in _INPUT or name not in self._said}
        self._said |= said
        counts = [value for name in _INPUT if isinstance(value := self._said.get(name), int)]
        known = isinstance(self._said.get("input_tokens"), int)
        return usage_of(self._said | ({"input_tokens": sum(counts)} if known else {}), USAGE)
