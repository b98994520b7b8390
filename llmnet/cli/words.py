"""What the library says of arguments in Python, said of what was typed: options, variables, and the fields of a row."""

import re

from llmnet.core.errors import APIConnectionError, ConfigurationError

# Each as the library says it, and as the command line does. What a server says is in none of these errors.
_WORDS = tuple(
    (re.compile(said), meant)
    for said, meant in (
        (r"(\w+)= is no parameter (?:of a call|here): .*", r"\1 is no parameter of a row"),
        (r"(\w+)= looks like a misspelt (\w+)=", r"\1 looks like a misspelt \2"),
        (r"give it in extra_body=", 'give it in "extra_body": '),
        (r"no model: .*", "no model: give -m PROVIDER:MODEL"),
        (r"make a client for (\w+);", r"run another command for \1;"),
        (r"a client talks to", "a command talks to"),
        (r"provider= or base_url=", "--base-url"),
        (r"^base_url |check base_url,|base_url=", lambda found: found[0].replace("base_url", "--base-url").rstrip("=")),
        (r"give (?:it as )?api_(?:key|version)= or set ", "set "),
        (r"give the key as api_key=", "set the variable of the provider's key"),
        (r"as verify= or in the", "in the"),
    )
)


def on_command_line(error: BaseException) -> str:
    """The text of an error, in the words of the command line."""
    text = str(error)
    for said, meant in _WORDS if isinstance(error, ConfigurationError | APIConnectionError) else ():
        text = said.sub(meant, text)
    return text
