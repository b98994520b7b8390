"""Which client a command talks through: the model that was asked for, or the first one that there is a key for."""

import argparse
import os
from collections.abc import Mapping
from typing import Any

from llmnet.cli import printing
from llmnet.client.sync import Client
from llmnet.core.errors import ConfigurationError
from llmnet.providers.services import SERVICES, Service

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
    model = options.model or default_model(os.environ, options.command, has_base=options.base_url is not None)
    fields = {"base_url": options.base_url, "timeout": options.timeout, **more}
    return Client(model, **{name: value for name, value in fields.items() if value is not None})


def default_model(environ: Mapping[str, str], command: str, *, has_base: bool) -> str:
    """The model of the first provider that has a key, else the embedded server's.

    Raises:
        ConfigurationError: there are keys, but of none of them is it known which model to ask; it names them.
    """
    if has_base:
        raise ConfigurationError("--base-url needs --model, to say what is spoken there")
    keys = {name: key for name, service in SERVICES.items() if (key := _key_in(environ, service))}
    if known := next((f"{provider}:{model}" for provider, model in _MODELS.items() if provider in keys), None):
        return known
    if command == "models" and keys:
        return f"{next(iter(keys))}:"
    if keys:
        ways = ", ".join(f"{key} is set: -m {name}:MODEL" for name, key in keys.items())
        raise ConfigurationError(
            f'no model was named, and {ways}; "llmnet models -m {next(iter(keys))}:" lists what MODEL may be'
        )
    printing.tell(f"llmnet: {_NO_KEY}")
    return "fake:echo"


def _key_in(environ: Mapping[str, str], service: Service) -> str | None:
    """The first variable of a service's key that is set."""
    return next((variable for variable, _ in service.key_vars if environ.get(variable, "").strip()), None)
