"""The client of a command: for the model on the command line, or the first provider with a key."""

import argparse
import os
from collections.abc import Mapping
from typing import Any

from llmnet.cli import printing
from llmnet.cli.grammar import MODELS
from llmnet.client.sync import Client
from llmnet.core.errors import ConfigurationError
from llmnet.providers.services import NAMED, SERVICES

_NO_KEY = "no key is configured (OPENAI_API_KEY, …)"


def connect(options: argparse.Namespace, **more: Any) -> Client:
    """Make a client from the options of a command, and further fields."""
    model = options.model or default_model(os.environ, options.command, has_base=options.base_url is not None)
    if options.command == "models" and model.strip().lower() in NAMED:
        model += ":"
    fields = {"base_url": options.base_url, "api": options.api, "timeout": options.timeout, **more}
    try:
        return Client(model, **{name: value for name, value in fields.items() if value is not None})
    except ConfigurationError as error:
        if options.model_from is None:
            raise
        raise ConfigurationError(f"{error} (the model is that of {options.model_from})") from None


def default_model(environ: Mapping[str, str], command: str, *, has_base: bool) -> str:
    """The model of the first provider that has a key, else the embedded server's.

    Raises:
        ConfigurationError: the environment names services without a known model, which the message lists; or it names
            none, and a batch would get echoes.
    """
    if has_base:
        raise ConfigurationError("--base-url needs --model, to say what is spoken there")
    keys = _set(environ, {name: [key for key, _ in service.key_vars] for name, service in SERVICES.items()})
    if known := next((f"{provider}:{model}" for provider, model in MODELS.items() if provider in keys), None):
        return known
    bases = {name: [base.name for base in service.base_vars] for name, service in SERVICES.items()}
    named = keys or _set(environ, bases)
    if command == "models" and named:
        return f"{next(iter(named))}:"
    if named:
        options = ", ".join(f"{variable} is set: -m {name}:MODEL" for name, variable in named.items())
        raise ConfigurationError(
            f'no model was named, and {options}; "llmnet models -m {next(iter(named))}:" lists what MODEL may be'
        )
    if command == "batch":  # a job without the key would write echoes that look like answers
        raise ConfigurationError(f'{_NO_KEY}; nothing was sent: "-m fake:echo" asks the embedded server, which echoes')
    printing.notify(f"llmnet: {_NO_KEY}: talking to the embedded server, which echoes what it hears")
    return "fake:echo"


def _set(environ: Mapping[str, str], variables: Mapping[str, list[str]]) -> dict[str, str]:
    """The first variable that is set, by name; names without one are left out."""
    found = {name: [one for one in ones if environ.get(one, "").strip()] for name, ones in variables.items()}
    return {name: ones[0] for name, ones in found.items() if ones}
