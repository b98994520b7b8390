"""Refuses names of parameters that belong in no body: options of the client, of `batch`, and misspelt names.

A misspelt name would be sent all the same; a misspelt `api_key=` would send the key as a part of the body.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from llmnet.core.errors import ConfigurationError

_OPTION = "give it to the client, or for some calls to client.with_options({name}=…)"
_SHARED = "give it to the client when it is made"
# The fields of a client that no call takes, and what to do instead.
CLIENT_FIELDS = {
    "provider": "a client talks to one provider; what the vendor calls so goes into extra_body={{'provider': …}}",
    "system": "give it to the client, to client.with_options(system=…), or as a message with the role 'system'",
    "headers": "give extra_headers= to the call, or headers= to the client or to client.with_options",
    **dict.fromkeys(
        ("api", "api_key", "api_version", "base_url", "defaults", "max_retries", "on_event", "retry"), _OPTION
    ),
    **dict.fromkeys(("http2", "proxy", "rate_limit", "transport", "verify"), _SHARED),
    "max_concurrent": "give it to the client when it is made, or to batch",
}
# What the clients decide by the method that is called.
NOT_HERE = {
    "stream": "call stream_chat, or give callbacks= to chat",
    "callbacks": "chat takes them, a stream is iterated",
    **dict.fromkeys(("ordered", "progress", "stop_after_errors"), "it is an argument of batch, for all its rows"),
    "checkpoint": "a batch keeps none; give it the rows that have no answer yet, as `llmnet batch --resume` does",
}
# Names of a client's fields in other libraries, and others for a key, which would be sent in the body.
ELSEWHERE = {
    **dict.fromkeys(
        (
            "access_token", "auth_token", "authorization", "azure_ad_token", "azure_ad_token_provider", "bearer",
            "bearer_token", "key", "password", "secret", "token",
        ),
        "api_key",
    ),
    **dict.fromkeys(("api_base", "azure_endpoint"), "base_url"),
    "default_headers": "headers",
    "default_query": "extra_query",
    **dict.fromkeys(("concurrency", "max_concurrency", "max_workers"), "max_concurrent"),
    **dict.fromkeys(("max_retry", "num_retries"), "max_retries"),
}  # fmt: skip
# What a misspelt name may stand for: arguments of our own, and what docs/vendors.md, Translation, names.
ARGUMENTS = frozenset({
    "callbacks", "extra_body", "extra_headers", "extra_query", "messages", "model", "output_type", "stream",
    "timeout",
})  # fmt: skip
TRANSLATED = frozenset({
    "enable_thinking", "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens",
    "max_output_tokens", "max_tokens", "metadata", "n", "output_config", "parallel_tool_calls",
    "presence_penalty", "reasoning", "reasoning_effort", "repetition_penalty", "response_format",
    "safety_identifier", "seed", "stop", "stop_sequences", "store", "stream_options", "temperature",
    "thinking", "thinking_budget", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
})  # fmt: skip
# Parameters of the vendors that are near to one of those above, and right.
VENDORS = frozenset({
    "fallbacks", "min_tokens", "mode", "models", "output_dtype", "speed", "top_a", "top_k", "top_n", "typ_p",
})  # fmt: skip

_SHORTEST = 4  # everything of three letters is near to something
_LONG = 10  # letters from which on a name may be wrong in two places
_INTENDED = sorted(
    name for name in ARGUMENTS | TRANSLATED | CLIENT_FIELDS.keys() | NOT_HERE.keys() if len(name) >= _SHORTEST
)
_KNOWN = ARGUMENTS | TRANSLATED | VENDORS
_RIGHT = _KNOWN - NOT_HERE.keys() - CLIENT_FIELDS.keys()


class _NotGiven:
    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Any = _NotGiven()
"""What an argument is that was left out, where `None` is a value that the caller may give."""


def given_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a call but for those that were left out."""
    return {name: value for name, value in params.items() if value is not NOT_GIVEN}


def check_names(names: Iterable[str]) -> None:
    """Check the names of parameters that go into a body.

    Raises:
        ConfigurationError: one of them is an option of the client, of another method, or misspelt; it says what to
            write.
    """
    for name in names:
        if name in _RIGHT:
            continue
        if name in NOT_HERE:
            raise ConfigurationError(f"{name}= is no parameter here: {NOT_HERE[name]}")
        if name in CLIENT_FIELDS:
            raise ConfigurationError(f"{name}= is no parameter of a call: {CLIENT_FIELDS[name].format(name=name)}")
        if intended := intended_name(name):
            raise ConfigurationError(
                f"{name}= looks like a misspelt {intended}=; if the vendor has a parameter of that name, give it in "
                f"extra_body={{{name!r}: …}}"
            )


@functools.lru_cache(maxsize=1024)
def intended_name(name: str) -> str | None:
    """The parameter of which a name is a misspelling, or `None`; case and dashes make no difference."""
    if name in _KNOWN:
        return None
    near = (meant for known, meant in _NEAR.items() if is_misspelt(name.lower(), known))
    return _PLAIN.get(_plain(name)) or next(near, None)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


_NEAR = {name: name for name in _INTENDED} | {
    name: intended for name, intended in ELSEWHERE.items() if len(name) >= _LONG
}
_PLAIN = {
    **{_plain(name): name for name in _INTENDED},
    **{_plain(name): intended for name, intended in ELSEWHERE.items()},
}


def is_misspelt(typed: str, name: str) -> bool:
    """Whether a typed word is one edit from a name, or two from a long one."""
    return typed != name and _within(typed, name, 2 if len(name) >= _LONG else 1)


def _within(typed: str, name: str, edits: int) -> bool:
    """Whether so many edits suffice: a letter too many, too few or wrong, or two that changed places."""
    if abs(len(typed) - len(name)) > edits:
        return False
    while typed and name and typed[0] == name[0]:
        typed, name = typed[1:], name[1:]
    if not (typed and name and edits):
        return typed == name or len(typed or name) <= edits
    rests = [(typed[1:], name), (typed, name[1:]), (typed[1:], name[1:])]
    if typed[:2] == name[1::-1]:
        rests.append((typed[2:], name[2:]))
    return any(_within(*rest, edits - 1) for rest in rests)
