"""What the commands do: results go to standard output, everything else to standard error."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from llmnet.client import Client
from llmnet.core.chat import ChatResponse
from llmnet.core.errors import ConfigurationError
from llmnet.providers.services import SERVICES

# What is asked where the caller names no model, by provider; the first one with a key is taken.
_MODELS = {
    "openai": "gpt-5.4-mini",
    "anthropic": "claude-haiku-5-5",
    "dashscope": "qwen-plus",
    "deepseek": "deepseek-chat",
}
_NO_KEY = "no key is configured (OPENAI_API_KEY, …): talking to the embedded server, which echoes what it hears"


def chat(options: argparse.Namespace) -> None:
    """`llmnet chat`."""
    prompt = sys.stdin.read() if options.prompt == "-" else options.prompt
    if not prompt.strip():
        raise ConfigurationError("the prompt is empty")
    system = [{"role": "system", "content": options.system}] if options.system else []
    messages = [*system, {"role": "user", "content": prompt}]
    limits = {"max_tokens": options.max_tokens, "temperature": options.temperature}
    with _client(options) as client:
        whole = options.no_stream or options.json
        reply = client.chat(messages, **limits) if whole else _streamed(client, messages, limits)
    if options.json:
        print(as_json(reply))
    elif options.no_stream:
        print(reply.content)


def _streamed(client: Client, messages: list[dict[str, Any]], limits: dict[str, Any]) -> ChatResponse:
    with client.stream_chat(messages, **limits) as stream:
        for chunk in stream:
            print(chunk.content, end="", flush=True)
    print()
    return stream.response


def models(options: argparse.Namespace) -> None:
    """`llmnet models`."""
    with _client(options) as client:
        found = client.list_models()
    if options.json:
        print(msgspec.json.encode(found).decode())
        return
    for model in found:
        print(model.id if model.retires_at is None else f"{model.id}\tretires {model.retires_at}")


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {"chat": chat, "models": models}


def as_json(reply: ChatResponse) -> str:
    """A reply for machines."""
    shown = {name: getattr(reply, name) for name in reply.__struct_fields__ if name not in ("raw", "meta")}
    meta = reply.meta
    shown["meta"] = {
        "status": meta.status,
        "request_id": meta.request_id,
        "attempts": meta.attempts,
        "elapsed": meta.elapsed,
        "time_to_first_token": meta.time_to_first_token,
    }
    return msgspec.json.encode(shown).decode()


def _client(options: argparse.Namespace) -> Client:
    model = options.model or default_model(os.environ, has_base=options.base_url is not None)
    fields: dict[str, Any] = {"base_url": options.base_url, "timeout": options.timeout}
    return Client(model, **{name: value for name, value in fields.items() if value is not None})


def default_model(environ: Mapping[str, str], *, has_base: bool) -> str:
    """The model of the first provider that has a key, else the embedded server's."""
    if has_base:
        raise ConfigurationError("--base-url needs --model, to say what is spoken there")
    for provider, model in _MODELS.items():
        if any(environ.get(variable, "").strip() for variable, _ in SERVICES[provider].key_vars):
            return f"{provider}:{model}"
    print(f"llmnet: {_NO_KEY}", file=sys.stderr)
    return "fake:echo"
