"""Shell completion, by argcomplete: a shell that wants it runs the command with `_ARGCOMPLETE` set."""

import argparse
from collections.abc import Callable
from typing import Any

from llmnet.cli.grammar import MODELS
from llmnet.core.params import TRANSLATED, VENDORS
from llmnet.providers.model_names import split
from llmnet.providers.services import SERVICES


def complete(parser: argparse.ArgumentParser) -> None:
    """Write what may stand at the cursor and end the process, if argcomplete is there."""
    try:
        from argcomplete import autocomplete, completers  # noqa: PLC0415 - an extra, loaded on use
    except ImportError:
        return
    files: Any = completers.FilesCompleter()

    def values(action: Any, **where: Any) -> Any:
        known = _VALUES.get(action.dest)
        return known(where["parsed_args"]) if known else files(action=action, **where)

    completer: Any = values  # a function serves where a class of theirs is asked for
    autocomplete(parser, default_completer=completer)


def _apis(options: argparse.Namespace) -> list[str]:
    """The APIs of the provider that is named, else all."""
    named, _ = split(options.model or "")
    return sorted(named.apis if named else {api for service in SERVICES.values() for api in service.apis})


# What an option or argument can be, by its destination; all others take files. Of most models only the vendor knows.
_VALUES: dict[str, Callable[[argparse.Namespace], Any]] = {
    "model": lambda _: [*(f"{name}:{model}" for name, model in MODELS.items()), *(f"{name}:" for name in SERVICES)],
    "api": _apis,
    "param": lambda _: sorted(f"{name}=" for name in TRANSLATED | VENDORS),
    **dict.fromkeys(
        ("prompt", "system", "base_url", "timeout", "max_tokens", "temperature", "max_concurrent", "stop_after_errors"),
        lambda _: (),
    ),
}
