"""Makes a tool of a function: its name, its docstring, and a schema of its parameters; nothing is called.

The schema says what the function takes by name, as a model gives it: `call.function(**call.json())`.
"""

import contextlib
import functools
import inspect
import re
import weakref
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Annotated, Any, get_args, get_origin

import msgspec

from llmnet.core.errors import ConfigurationError
from llmnet.core.json import check_json
from llmnet.core.json_schema import schema_of
from llmnet.core.tool_call import Function

Schema = Mapping[str, Any]

_NAME = re.compile(r"[a-zA-Z0-9_]{1,64}")  # what all vendors take
_UNNAMED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
# Where sections of a docstring begin: what is said of the function itself ends there.
_SECTION = re.compile(
    r"^(?:(?:Args|Arguments|Parameters|Params|Other Parameters|Keyword Args|Returns?|Yields?|Raises|Examples?|Notes?"
    r"|See Also|Todo|Warnings?|Attributes)(?::[ ]*$|[ ]*\n-{3,}[ ]*$)"
    r"|:(?:param|parameter|arg|type|returns?|rtype|raises?|yields?)\b.*:)",
    re.MULTILINE,
)
_GOOGLE = re.compile(r"^(?:Args|Arguments|Parameters|Params):[ ]*\n((?:[ ]+.*\n?|[ ]*\n)+)", re.MULTILINE)
_NUMPY = re.compile(r"^Parameters[ ]*\n-{3,}[ ]*\n((?:(?!.*\n-{3,}).*\n?)+)", re.MULTILINE)
_SPHINX = re.compile(r"^:(?:param|parameter|arg)[ ]+(?:[^:\n]+[ ])?(\w+):(.*(?:\n[ ]+.*)*)", re.MULTILINE)
_GOOGLE_ROW = re.compile(r"^(\w+)[ ]*(?:\([^\n]*?\))?:(.*(?:\n(?:[ ]+.*|[ ]*$))*)", re.MULTILINE)
_NUMPY_ROW = re.compile(r"^(\w+)[ ]*(?::.*)?\n((?:[ ]+.*\n?)+)", re.MULTILINE)
# What was made of functions; of methods by the function that they bind.
_MADE: tuple[MutableMapping[Any, Schema], ...] = (weakref.WeakKeyDictionary(), weakref.WeakKeyDictionary())


def split_tools(tools: Sequence[Any]) -> tuple[list[Any], dict[str, Function]]:
    """Tools with a schema in the place of each function, and the functions by their names.

    Raises:
        ConfigurationError: no tool can be made of a function, or two tools have one name.
    """
    made = [tool if isinstance(tool, Mapping) else tool_of(tool, f"tools[{i}]") for i, tool in enumerate(tools)]
    names = [_name_in(tool) for tool in made]
    functions: dict[str, Function] = {}
    for i, tool in enumerate(tools):
        if isinstance(tool, Mapping):
            continue
        if names.count(names[i]) > 1:
            raise ConfigurationError(f"tools[{i}]: two tools have the name {names[i]!r}; rename one of them")
        functions[names[i]] = tool
    return made, functions


def _name_in(tool: Schema) -> str:
    inner = tool.get("function")
    return str((inner if isinstance(inner, Mapping) else tool).get("name"))


def tool_of(function: Any, path: str) -> Schema:
    """The tool of a function in OpenAI's form; made once, so that nobody may change it.

    Raises:
        ConfigurationError: it is no function, or one that no model can call; the message says what to write instead.
    """
    if not callable(function) or isinstance(function, type):
        said = f"the class {function.__name__}" if isinstance(function, type) else type(function).__name__
        raise ConfigurationError(f"{path} must be a function, or a dict that describes a tool, not {said}")
    made = _MADE[inspect.ismethod(function)]
    kept = getattr(function, "__func__", function)  # a bound method itself is gone at once
    with contextlib.suppress(TypeError):  # of what has no hash
        if (tool := made.get(kept)) is not None:
            return tool
    tool = _made(function, path)
    with contextlib.suppress(TypeError):  # of what has no weak references either
        made[kept] = tool
    return tool


def _made(function: Function, path: str) -> Schema:
    name, documented = _named(function, path)
    where = f"{path}: {name}"
    parameters = _parameters(function, where)
    summary, descriptions = described(inspect.getdoc(documented) or "")
    schema = _schema(name, parameters, where)
    for parameter in parameters:
        said = _said_of(parameter.annotation) or descriptions.get(parameter.name)
        _complete(schema["properties"][parameter.name], parameter.default, said)
    about = {"description": summary} if summary else {}
    return {"type": "function", "function": {"name": name, **about, "parameters": schema}}


def _named(function: Function, path: str) -> tuple[str, Any]:
    """The name of a function, and whose docstring speaks of it."""
    while isinstance(function, functools.partial):
        function = function.func
    documented = function if hasattr(function, "__name__") else type(function).__call__
    name = getattr(function, "__name__", type(function).__name__)
    if not _NAME.fullmatch(name):
        why = "a lambda has no name" if name == "<lambda>" else f"{name!r} is no name that vendors take"
        raise ConfigurationError(f"{path}: {why}; write a function with def, named by letters, digits and _")
    return name, documented


def _parameters(function: Function, where: str) -> list[inspect.Parameter]:
    """The parameters that a model gives; what a partial has set is not among them."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except Exception as error:
        # An annotation that is a text may be any expression.
        raise ConfigurationError(f"{where} has a signature that cannot be read: {error}") from error
    fixed = function.keywords if isinstance(function, functools.partial) else {}
    parameters = [one for one in signature.parameters.values() if one.name not in fixed]
    if unnamed := next((one for one in parameters if one.kind in _UNNAMED), None):
        raise ConfigurationError(
            f"{where} takes {unnamed} ({unnamed.kind.description}); a model gives arguments by name"
        )
    return parameters


def _schema(name: str, parameters: list[inspect.Parameter], where: str) -> dict[str, Any]:
    """The schema of an object that has the parameters as its fields; those without a default are required."""
    fields = [(one.name, Any if one.annotation is one.empty else one.annotation) for one in parameters]
    schema = schema_of(msgspec.defstruct(name, fields), where, keep=False)
    properties = {one.name: {**schema["properties"][one.name]} for one in parameters}
    required = [one.name for one in parameters if one.default is one.empty]
    kept = {key: value for key, value in schema.items() if key not in ("title", "properties", "required")}
    return {**kept, "properties": properties, **({"required": required} if required else {})}


def described(docstring: str) -> tuple[str, dict[str, str]]:
    """What a docstring in the style of Google, NumPy or Sphinx says of the function, and of its parameters by name."""
    text = inspect.cleandoc(docstring)
    first = _SECTION.search(text)
    rows = [
        *(row for block in _GOOGLE.findall(text) for row in _GOOGLE_ROW.findall(inspect.cleandoc(f"\n{block}"))),
        *(row for block in _NUMPY.findall(text) for row in _NUMPY_ROW.findall(block)),
        *_SPHINX.findall(text),
    ]
    return text[: first.start() if first else None].strip(), {name: " ".join(said.split()) for name, said in rows}


def _said_of(annotation: Any) -> str | None:
    """What an `Annotated` says of a parameter: a text, or what describes it, as pydantic's `Field` does."""
    if get_origin(annotation) is not Annotated:
        return None
    texts = (getattr(one, "description", one) for one in get_args(annotation)[1:])
    return next((text for text in texts if isinstance(text, str)), None)


def _complete(schema: dict[str, Any], default: Any, said: str | None) -> None:
    """Add to the schema of a parameter its default, where JSON has it, and what is said of it."""
    if said:
        schema["description"] = said
    if default is inspect.Parameter.empty or default is None:
        return
    with contextlib.suppress(TypeError, ValueError, ConfigurationError):
        value = msgspec.to_builtins(default, str_keys=True)
        check_json(value, "default")
        schema["default"] = value
