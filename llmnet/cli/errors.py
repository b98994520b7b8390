"""An error on the command line: its text, and the exit code of the command; `__init__.py` lists what the codes mean."""

import re

from llmnet.core.errors import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    IncompleteStreamError,
    PermissionDeniedError,
    RateLimitError,
)


class TerminatedError(KeyboardInterrupt):
    """SIGTERM asked the program to end."""


class HungUpError(KeyboardInterrupt):
    """SIGHUP: the terminal is gone."""


# The first class that matches decides.
_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (ConfigurationError, 2),
    (AuthenticationError, 3),
    (PermissionDeniedError, 3),
    (RateLimitError, 4),
    (APIConnectionError, 5),
    (IncompleteStreamError, 5),
    (TerminatedError, 143),
    (HungUpError, 129),
    (KeyboardInterrupt, 130),
)


def code_of(error: BaseException) -> int:
    """The exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), 1)


# Errors of the library name Python arguments; here they name options, variables and fields of a row: a pattern of the
# library's text, and its replacement. None of these errors contains text of a server.
_REPLACEMENTS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(\w+)= is no parameter (?:of a call|here): .*", r"\1 is no parameter of a row"),
        (r"(\w+)= looks like a misspelt (\w+)=", r"\1 looks like a misspelt \2"),
        (r"give it in extra_body=\{'(\w+)': …\}", r'give it in extra_body, as {"\1": …}'),
        (r"no model: .*", "no model: give -m PROVIDER:MODEL"),
        (r"make a client for (\w+);", r"run another command for \1;"),
        (r"a client talks to", "a command talks to"),
        (r"provider= or base_url=", "--base-url"),
        (r"^base_url |check base_url,|base_url=", lambda found: found[0].replace("base_url", "--base-url").rstrip("=")),
        (r"give (?:it as )?api_(?:key|version)= or set ", "set "),
        (r"give the key as api_key=", "set the variable of the provider's key"),
        (r"^api must be", "--api must be"),
        (r"^output_type and", "--output-type and"),
        (r"as verify= or in the", "in the"),
    )
)


def for_command_line(error: BaseException) -> str:
    """The text of an error, with the names of the command line."""
    text = str(error)
    for pattern, replacement in _REPLACEMENTS if isinstance(error, ConfigurationError | APIConnectionError) else ():
        text = pattern.sub(replacement, text)
    return text
