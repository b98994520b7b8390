"""`--output-type`: a reply is asked for by a JSON schema, and what is printed fits it.

Checked are the keywords by which schemas of replies are written (`_CHECKS`); all others are the vendor's business.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from llmnet.batch.rows import BatchResult
from llmnet.core.chat import ChatResponse
from llmnet.core.errors import ConfigurationError, InvalidResponseError
from llmnet.core.json import decode

_MAX_BYTES = 2**20
_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]+")


class OutputType:
    """The JSON schema in a file.

    Raises:
        ConfigurationError: the file cannot be read, or holds no schema.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            with open(path, "rb") as file:
                self._schema = decode(file.read(_MAX_BYTES).decode("utf-8-sig"))
        except OSError as error:
            raise ConfigurationError(f"cannot read {path}: {error.strerror or error}") from None
        except ValueError as error:
            raise ConfigurationError(f"{path} is no JSON: {getattr(error, 'msg', None) or error}") from None
        if not isinstance(self._schema, dict) or self._schema.get("type") != "object":
            raise ConfigurationError(f'{path} is no JSON schema of an object, as {{"type": "object", …}}')

    def parameters(self) -> dict[str, Any]:
        """What asks for it; `strict` where the schema is what vendors call so."""
        title = self._schema.get("title")
        name = _NO_NAME.sub("_", title if isinstance(title, str) else PurePath(self._path).stem)[:64] or "output"
        wanted = {"name": name, "schema": self._schema, "strict": _is_strict(self._schema)}
        return {"response_format": {"type": "json_schema", "json_schema": wanted}}

    def value_of(self, reply: ChatResponse) -> Any:
        """The value in a reply.

        Raises:
            InvalidResponseError: the model refused, the reply is not whole, is no JSON, or does not fit the schema.
        """
        if reply.refusal or reply.finish_reason == "refusal":
            raise self._error(reply, f"the model refused: {reply.refusal or reply.content}")
        if reply.finish_reason == "length":
            raise self._error(reply, "the reply ended at its limit of tokens")
        try:
            value = decode(_unfenced(reply.content))
        except ValueError:
            raise self._error(reply, "the reply is no JSON") from None
        if problem := problem_of(value, self._schema):
            raise self._error(reply, f"the reply does not fit {self._path}: {problem}")
        return value

    def checked(self, result: BatchResult) -> BatchResult:
        """The result of a row: a reply that does not fit is a failure."""
        try:
            if result.response is not None:
                self.value_of(result.response)
        except InvalidResponseError as error:
            return BatchResult(index=result.index, custom_id=result.custom_id, error=error)
        return result

    @staticmethod
    def _error(reply: ChatResponse, text: str) -> InvalidResponseError:
        return InvalidResponseError(text, provider=reply.provider, partial=reply, meta=reply.meta)


def _unfenced(text: str) -> str:
    """A text without the code fence that some models put around their JSON."""
    found = re.fullmatch(r"\s*```\w*\n(.*)```\s*", text, re.DOTALL)
    return found[1] if found else text


def _is_strict(schema: Any) -> bool:
    """Whether all objects have all their properties and no others, which vendors demand for `strict`."""
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict) or schema.get("type") == "object":
        names = set(properties or ())
        if schema.get("additionalProperties") is not False or names - set(_list(schema.get("required"))):
            return False
    return all(map(_is_strict, schema.values()))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# -- whether a value fits ---------------------------------------------------------------------------------------------


def problem_of(value: Any, schema: dict[str, Any]) -> str | None:
    """What keeps a value from fitting a schema, with the path to it; `None` where it fits."""
    return next(_problems(value, schema, schema, "$"), None)


_Problems = Iterator[str]
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "null": (type(None),),
    "integer": (int,), "number": (int, float),
}  # fmt: skip


def _problems(value: Any, schema: Any, root: Mapping[str, Any], path: str) -> _Problems:
    """What keeps a value from fitting a schema."""
    if schema is False:
        yield f"{path} must not be there"
    if isinstance(schema, dict):
        for check in dict.fromkeys(check for keyword, check in _CHECKS.items() if keyword in schema):
            yield from check(value, schema, root, path)


def _type(value: Any, schema: Any, _: Any, path: str) -> _Problems:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(value, kind) for kind in kinds):
        yield f"{path} must be {' or '.join(map(str, kinds))}"


def _is(value: Any, kind: Any) -> bool:
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    types = _TYPES.get(kind, (object,)) if isinstance(kind, str) else (object,)
    return isinstance(value, types) and (bool in types or object in types or not isinstance(value, bool))


def _enum(value: Any, schema: Any, _: Any, path: str) -> _Problems:
    yield from _other_than(_list(schema["enum"]), value, path)


def _const(value: Any, schema: Any, _: Any, path: str) -> _Problems:
    yield from _other_than([schema["const"]], value, path)


def _other_than(wanted: list[Any], value: Any, path: str) -> _Problems:
    if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in wanted):
        yield f"{path} must be one of {', '.join(map(repr, wanted))}"


def _object(value: Any, schema: Any, root: Any, path: str) -> _Problems:
    if not isinstance(value, dict):
        return
    yield from (f"{path}.{name} is missing" for name in _list(schema.get("required")) if name not in value)
    known, others = schema.get("properties") or {}, schema.get("additionalProperties", True)
    for name, item in value.items():
        yield from _problems(item, known.get(name, others), root, f"{path}.{name}")


def _items(value: Any, schema: Any, root: Any, path: str) -> _Problems:
    for i, item in enumerate(value if isinstance(value, list) else ()):
        yield from _problems(item, schema["items"], root, f"{path}[{i}]")


def _any_of(value: Any, schema: Any, root: Any, path: str) -> _Problems:
    """One choice at least; of `oneOf`, too, whose choices exclude each other where a model is to understand them."""
    for choices in (_list(schema[keyword]) for keyword in ("anyOf", "oneOf") if keyword in schema):
        if not any(next(_problems(value, choice, root, path), None) is None for choice in choices):
            yield f"{path} fits none of its alternatives"


def _all_of(value: Any, schema: Any, root: Any, path: str) -> _Problems:
    for part in _list(schema["allOf"]):
        yield from _problems(value, part, root, path)


def _ref(value: Any, schema: Any, root: Any, path: str) -> _Problems:
    found: Any = root
    for step in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    yield from _problems(value, found, root, path)


_CHECKS: dict[str, Callable[[Any, Any, Any, str], _Problems]] = {
    "type": _type, "enum": _enum, "const": _const, "$ref": _ref, "items": _items,
    **dict.fromkeys(("required", "properties", "additionalProperties"), _object),
    **dict.fromkeys(("anyOf", "oneOf"), _any_of), "allOf": _all_of,
}  # fmt: skip
