"""What the command line leaves open, the environment says, then the config file, then the built-in defaults.

The file is TOML. `model`, `base_url`, `api`, `system` and `timeout` stand for the options of these names, and the table
`[defaults]` holds parameters of every call. `base_url` and `api` belong to the file's `model`, and are left out where
the model comes from elsewhere: a key must not go to an address that was meant for another provider. `timeout` is left
out for `llmnet batch`: how long somebody waits at a terminal is no bound for a row that waits out a throttle. The file
holds no keys: people show it, copy it and keep it in repositories.
"""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmnet.cli import printing
from llmnet.cli.grammar import MODELS
from llmnet.cli.output_type import output_type
from llmnet.client.sync import Client
from llmnet.config.fields import ClientConfig
from llmnet.core.defaults import checked_defaults, over_defaults
from llmnet.core.errors import ConfigurationError
from llmnet.core.headers import checked_headers
from llmnet.core.params import CLIENT_FIELDS, ELSEWHERE, NOT_HERE, TRANSLATED, check_names
from llmnet.providers.services import NAMED, SERVICES

_NO_KEY = "no key is configured (OPENAI_API_KEY, …)"
MODEL, FILE = "LLMNET_MODEL", "LLMNET_CONFIG"
# Names that are no parameter for `-p` and `[defaults]`, since something else says it, or nothing may.
_NO_PARAMETERS = {
    **dict.fromkeys((*CLIENT_FIELDS, *ELSEWHERE, *NOT_HERE, "body", "custom_id", "self"), "is no parameter of a call"),
    **dict.fromkeys(("messages", "prompt"), "is no parameter, but the prompt"),
    "output_type": "is no parameter: give --output-type",
    **{
        name: f"is no parameter: give --{name}, or {name} at the top of the config file"
        for name in ("model", "system", "timeout", "api")
    },
    **{
        name: f"is no parameter, but an option of llmnet batch: --{name.replace('_', '-')}"
        for name in ("max_concurrent", "ordered", "stop_after_errors")
    },
}
_MAX_BYTES = 2**20
_KINDS: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(("model", "base_url", "api", "system"), (str, "a string")),
    "timeout": (int | float, "a number of seconds"),
    "defaults": (dict, "a table"),
}


def settle(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Fill in the options that were not given, and name in `model_from` what named the model.

    Raises:
        ConfigurationError: the config file cannot be read, or holds what is wrong; the message names file and key.
    """
    path = config_path(environ)
    found = read_file(path)
    options.model_from, options.defaults = None, found.pop("defaults", {})
    if options.model is None and (named := environ.get(MODEL, "").strip()):
        options.model, options.model_from = named, MODEL
    if options.model is None and "model" in found:
        options.model_from = str(path)
    else:
        found = {name: value for name, value in found.items() if name not in ("model", "base_url", "api")}
    if options.command == "batch":
        found.pop("timeout", None)
    for name, value in found.items():
        if getattr(options, name, value) is None:
            setattr(options, name, value)


def config_path(environ: Mapping[str, str]) -> Path | None:
    """Where the config file is; `None` where there is none.

    Raises:
        ConfigurationError: the environment names a file that is not there.
    """
    if named := environ.get(FILE, "").strip():
        path = _expanded(named)
        if not path.exists():
            raise ConfigurationError(f"{FILE} names {path}, which is not there")
        return path
    home = Path(environ.get("XDG_CONFIG_HOME", ""))
    # The specification of XDG has relative paths ignored.
    path = (home if home.is_absolute() else _expanded("~/.config")) / "llmnet" / "config.toml"
    return path if path.exists() else None


def _expanded(path: str) -> Path:
    return Path(os.path.expanduser(path))  # where there is no home, that of `Path` would raise


def read_file(path: Path | None) -> dict[str, Any]:
    """The settings in a config file, each of them checked.

    Raises:
        ConfigurationError: it cannot be read, or a key or value is wrong.
    """
    if path is None:
        return {}
    try:
        found = _parsed(path)
        for name, value in found.items():
            _check(name, value)
        _check_together(found)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    return found


def _parsed(path: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - most have no such file

    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ConfigurationError(f"it is longer than {_MAX_BYTES:,} bytes")
        return tomllib.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"it cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"it is no UTF-8: byte {error.start + 1}") from None
    except (ValueError, RecursionError) as error:  # a ValueError alone: a number of thousands of digits
        raise ConfigurationError(f"it is no TOML: {error}") from None


def _check(name: str, value: Any) -> None:
    """Check one key and the type of its value; a value that may be a key is not shown."""
    if name not in _KINDS:
        raise ConfigurationError(_unknown(name))
    kind, expected = _KINDS[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ConfigurationError(f"{name} must be {expected}, not {type(value).__name__}")


def _unknown(name: str) -> str:
    if name.lower().endswith(("key", "token", "keys")):
        return f"{name} does not belong here: keys are read from the environment alone, as OPENAI_API_KEY"
    if name in TRANSLATED:
        return f"{name} is a parameter of a call: it belongs below [defaults]"
    return f"{name} is no setting; there are {', '.join(_KINDS)}"


def _check_together(found: Mapping[str, Any]) -> None:
    """Check the values as a client and a call do."""
    fields = {name: value for name, value in found.items() if name in ("model", "base_url", "api", "timeout")}
    if "model" not in fields and (alone := fields.keys() & {"base_url", "api"}):
        raise ConfigurationError(f"{min(alone)} needs model beside it, to say what is spoken there")
    ClientConfig().over(fields)
    defaults = dict(found.get("defaults", {}))
    try:
        check_parameters(defaults)
        checked_headers(defaults.pop("extra_headers", None), "extra_headers")
    except ConfigurationError as error:
        raise ConfigurationError(f"defaults: {error}") from None
    checked_defaults(defaults, "defaults")


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Check the names of parameters of every call.

    Raises:
        ConfigurationError: one of them is misspelt, or no parameter.
    """
    for name in parameters:
        if name in _NO_PARAMETERS:
            raise ConfigurationError(f"{name} {_NO_PARAMETERS[name]}")
    check_names(parameters)


def parameters(options: argparse.Namespace) -> dict[str, Any]:
    """The parameters of all calls of a command: those of the config file, and over them those of the command line.

    Raises:
        ConfigurationError: one of them is misspelt or no parameter, or the file of `--output-type` holds no schema.
    """
    given = dict(options.param or ())
    check_parameters(given)
    limits = {"max_tokens": options.max_tokens, "temperature": options.temperature}
    own = over_defaults(given, {name: value for name, value in limits.items() if value is not None})
    found = over_defaults(options.defaults, own)
    return found | ({"output_type": output_type(options.output_type)} if options.output_type is not None else {})


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
