"""Shell completion, by argcomplete: a shell that wants it runs the command with `_ARGCOMPLETE` in the environment."""

import argparse
from collections.abc import Callable, Iterable
from typing import Any

from llmnet.cli.grammar import MODELS
from llmnet.core.params import TRANSLATED, VENDORS


def complete(parser: argparse.ArgumentParser) -> None:
    """Write what may stand where the cursor is, and end the process; without argcomplete nothing is done."""
    try:
        from argcomplete import autocomplete, completers  # noqa: PLC0415 - an extra, loaded on use
    except ImportError:
        return
    files = completers.FilesCompleter()

    def values(action: argparse.Action, **where: Any) -> Iterable[str]:
        """What an option or argument can be: a file where nothing else is known."""
        known = _VALUES.get(action.dest)
        found: Iterable[str] = files(action=action, **where) if known is None else known(where["parsed_args"])
        return found

    completer: Any = values  # a function serves where a class of argcomplete's is asked for
    autocomplete(parser, default_completer=completer)


def _models(_: argparse.Namespace) -> list[str]:
    """Default models, and services, of which only the vendor knows the models."""
    from llmnet.providers.services import SERVICES  # noqa: PLC0415 - loaded on use

    return [*(f"{provider}:{model}" for provider, model in MODELS.items()), *(f"{name}:" for name in SERVICES)]


def _apis(options: argparse.Namespace) -> list[str]:
    """The APIs of the provider that is named, else all."""
    from llmnet.providers.model_names import split  # noqa: PLC0415 - loaded on use
    from llmnet.providers.services import SERVICES  # noqa: PLC0415

    named, _ = split(options.model or "")
    return sorted({api for service in ([named] if named else SERVICES.values()) for api in service.apis})


def _parameters(_: argparse.Namespace) -> list[str]:
    return sorted(f"{name}=" for name in TRANSLATED | VENDORS)


def _nothing(_: argparse.Namespace) -> list[str]:
    return []


# By the destination of an option or argument; all others take files.
_VALUES: dict[str, Callable[[argparse.Namespace], list[str]]] = {
    "model": _models,
    "api": _apis,
    "param": _parameters,
    **dict.fromkeys(
        ("prompt", "system", "base_url", "timeout", "max_tokens", "temperature", "max_concurrent", "stop_after_errors"),
        _nothing,
    ),
}
