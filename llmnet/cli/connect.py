"""Which client a command talks through: the model that was asked for, or the first one that there is a key for."""

import argparse
import os
import sys
from collections.abc import Mapping
from typing import Any

from llmnet.client import Client
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


def connect(options: argparse.Namespace, **more: Any) -> Client:
    """The client that the options of a command, and more fields, ask for."""
    model = options.model or default_model(os.environ, has_base=options.base_url is not None)
    fields = {"base_url": options.base_url, "timeout": options.timeout, **more}
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
