"""The grammar of the command line; a wrong value is refused with the name of its option."""

import math
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from functools import partial
from typing import Any

from llmnet import __version__
from llmnet.core.json import decode

_BATCH = """\
Ask a model once for each line of INPUT, many at once, and write a line for each answer as soon as it is there.

A line of INPUT is a JSON object: {"prompt": "…"} or {"messages": […]}, with further parameters beside it, or a line of
an OpenAI Batch file; "custom_id" names it. What a line says goes before what the options say. All lines are checked
before the first one is sent. A line of the output has the form of OpenAI's Batch output; a request that fails is a line
with an error. Throttles are waited out for up to an hour. An OUTPUT that is not empty is not written over, unless by
--overwrite. With --resume it is gone on with: rows that have an answer there are left out; those that failed are asked
again, and their lines are removed. Rows without a custom_id are known by their line, so INPUT must be as it was.

Where the first 20 rows, or 100 in a row later on, are all refused for the key or a spent quota, no more are sent. A
summary goes to standard error at the end, and a progress bar while it runs, if that is a terminal.
"""
_BATCH_END = """
Ctrl-C ends the requests under way, and what had finished is in the output; once more, and nothing is waited for. The
same command with --resume goes on from there.

exit codes: 0 all rows are ok, 1 some failed or are not finished, 2 usage or wrong input (nothing was sent);
  3 authentication, 4 quota or rate limit, 5 network: all rows failed with that; 129, 130, 143: ended by a signal

examples:
  llmnet batch prompts.jsonl -o results.jsonl -m openai:gpt-5.4-mini --max-concurrent 50
  llmnet batch prompts.jsonl -o results.jsonl -m openai:gpt-5.4-mini --resume
  generate | llmnet batch - -m anthropic:claude-haiku-5-5 --max-tokens 200 | jq -r '.response.body.choices[0].message.content'
"""  # noqa: E501 - a command is one line


# The model where none is named, by provider; the first one with a key is used.
MODELS = {
    "openai": "gpt-5.4-mini",
    "anthropic": "claude-haiku-5-5",
    "dashscope": "qwen-plus",
    "deepseek": "deepseek-chat",
}
_ENVIRONMENT = f"""\
default model: that of LLMNET_MODEL, else of the config file, else of the first of these that has a key:
  {", ".join(f"{provider}:{model}" for provider, model in MODELS.items())}

variables:
  LLMNET_MODEL     the model where -m names none
  LLMNET_CONFIG    the config file, if not ~/.config/llmnet/config.toml, with any of
                   model, base_url, api, system, timeout (not for batch), [defaults]
  LLMNET_LOG       info or debug: log lines on standard error
  OPENAI_API_KEY, ANTHROPIC_API_KEY, DASHSCOPE_API_KEY, …: the keys, each named after its provider

completion (extra "completion"): eval "$(register-python-argcomplete llmnet)" in bash or zsh
"""
_CODES = """\
exit codes: 0 ok, 1 failed, 2 usage (nothing was sent), 3 authentication, 4 quota or rate limit, 5 network;
  129, 130, 143: ended by a signal
"""
_FORM: Any = {"epilog": f"{_ENVIRONMENT}\n{_CODES}", "formatter_class": RawDescriptionHelpFormatter}


def _text(argument: str) -> str:
    """An argument as UTF-8, also where Python decoded it by an ASCII locale, as with `LC_ALL=C`."""
    try:
        return argument.encode(errors="surrogateescape").decode()
    except UnicodeError:
        raise ArgumentTypeError("is no UTF-8") from None


def _number(kind: type[float], expected: str, low: float, high: float, argument: str) -> float:
    """A number in a range, which *expected* describes."""
    try:
        number = kind(argument)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise ArgumentTypeError(f"must be {expected}, not {argument!r}")
    return number


_TOKENS = partial(_number, int, "a whole number of tokens", 0, math.inf)
_COUNT = partial(_number, int, "a whole number, at least 1", 1, math.inf)
_SECONDS = partial(_number, float, "a positive number of seconds", sys.float_info.min, math.inf)
_FINITE = partial(_number, float, "a number", -sys.float_info.max, sys.float_info.max)


# What Python calls values of JSON: as texts they are hardly ever meant, and no vendor refuses all of them.
_PYTHON = {"True": "true", "False": "false", "None": "null"}


def _parameter(argument: str) -> tuple[str, Any]:
    """A parameter, as in `top_p=0.9`: the value is JSON where it is JSON, else text."""
    name, mark, text = _text(argument).partition("=")
    if not (mark and name.strip()):
        raise ArgumentTypeError(f"must be NAME=VALUE, as in top_p=0.9, not {argument!r}")
    if text in _PYTHON:
        raise ArgumentTypeError(f"is JSON: write {name}={_PYTHON[text]}, or {name}='\"{text}\"' for that text")
    try:
        return name.strip(), decode(text)
    except ValueError:
        return name.strip(), text


def parser() -> ArgumentParser:
    """The grammar of the command line."""
    top = ArgumentParser(prog="llmnet", description="Talk to language models over HTTP.", **_FORM)
    top.add_argument("--version", action="version", version=f"llmnet {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chat = commands.add_parser("chat", help="ask, and stream the reply to the terminal", **_FORM)
    chat.add_argument(
        "prompt",
        nargs="?",
        type=_text,
        help='what to say; text on standard input, unless that is a terminal, follows it; "-" is that alone; '
        "none on a terminal begins a conversation",
    )
    chat.add_argument(
        "-a",
        "--attachment",
        action="append",
        default=[],
        metavar="FILE",
        help="a png, jpeg, gif, webp, pdf, wav or mp3, or the address of an image; may be repeated",
    )
    chat.add_argument("--no-stream", action="store_true", help="wait for the whole reply")
    batch = commands.add_parser("batch", help="ask once for each line of a file", description=_BATCH, **_FORM)
    batch.epilog = f"{_ENVIRONMENT}{_BATCH_END}"
    batch.add_argument("input", metavar="INPUT", help='a file of JSON lines; "-" reads standard input')
    batch.add_argument("-o", "--output", default="-", help='where results go; "-", standard output')
    kept = batch.add_mutually_exclusive_group()
    kept.add_argument(
        "--resume", action="store_true", help="go on with an OUTPUT: ask only for what has no answer there"
    )
    kept.add_argument("--overwrite", action="store_true", help="write over an OUTPUT that is not empty")
    batch.add_argument("--max-concurrent", type=_COUNT, metavar="N", help="requests under way at once (100)")
    batch.add_argument("--ordered", action="store_true", help="write results in the order of the input")
    batch.add_argument("--stop-after-errors", type=_COUNT, metavar="N", help="send no more after so many failed rows")
    batch.add_argument("--no-progress", action="store_true", help="show no bar")
    models = commands.add_parser("models", help="list the models of a provider", **_FORM)
    _add_parameters(chat, "a system message to go before it")
    _add_parameters(batch, "a system message for rows that have none")
    _add_connection(chat, "the whole call", "print JSON for machines")
    _add_connection(batch, "each request, throttles included", "write the summary as JSON")
    _add_connection(models, "the whole call", "print JSON for machines")
    return top


def _add_parameters(command: ArgumentParser, system_help: str) -> None:
    """Add what each of its requests says."""
    command.add_argument("-s", "--system", type=_text, metavar="TEXT", help=system_help)
    command.add_argument(
        "-p",
        "--param",
        type=_parameter,
        action="append",
        metavar="NAME=VALUE",
        help="a parameter, as in top_p=0.9; VALUE is JSON where it is JSON, else text; may be repeated",
    )
    command.add_argument(
        "--output-type", metavar="SCHEMA", help="a file with the JSON schema that each reply is asked for, and fits"
    )
    command.add_argument("--max-tokens", type=_TOKENS, metavar="N", help="limit of a reply in tokens")
    command.add_argument("--temperature", type=_FINITE, metavar="T", help="sampling temperature")


def _add_connection(command: ArgumentParser, call: str, json_help: str) -> None:
    """Add where its requests go, and how they are reported."""
    command.add_argument(
        "-m", "--model", type=_text, metavar="PROVIDER:MODEL", help="which model, as in openai:gpt-5.4-mini"
    )
    command.add_argument("--api", help="which of the provider's APIs, as responses for openai")
    command.add_argument("--base-url", metavar="URL", help="where to send, if not to the provider's own address")
    command.add_argument("--timeout", type=_SECONDS, metavar="SECONDS", help=f"seconds for {call}")
    command.add_argument("--json", action="store_true", help=json_help)
