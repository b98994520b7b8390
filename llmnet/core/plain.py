"""What is public: by its name it is `llmnet`'s, and as plain JSON without `raw` and secrets."""

import json
import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from operator import methodcaller
from typing import Any, TypeVar

T = TypeVar("T")

_PLAIN = (str, int, bool, type(None))
_to_dict = methodcaller("to_dict")


def public(thing: T) -> T:
    """Decorate what `llmnet` exports: wherever it is defined, tracebacks and pickles name it as its users do."""
    thing.__module__ = "llmnet"
    return thing


class Plain:
    """A struct, a dataclass, or what defines `to_dict` itself."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types, without `raw`: dicts, lists, texts, numbers, `True`, `False` and `None`."""
        return fields_of(self)

    def to_json(self) -> str:
        """The text of `to_dict()` as JSON."""
        text = json.dumps(value := self.to_dict(), ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:  # half a surrogate pair has an escape, no UTF-8
            return json.dumps(value)
        return text


class Returnable(Plain):
    """What FastAPI may return and a pydantic model may hold: it is written as its `to_dict()`."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        written = {"type": "function-plain", "function": _to_dict, "return_schema": {"type": "dict"}}
        return {"type": "is-instance", "cls": cls, "serialization": written}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "object", "title": cls.__name__}


class Value(Returnable):
    """A struct that FastAPI may return without a return type, too, where it asks for `vars()`."""

    __slots__ = ()

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return self.to_dict()


def plain(value: Any) -> Any:
    """A value as JSON types; a number that JSON lacks is `None`, a function its name."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return next(write(value) for kinds, write in _WRITERS if isinstance(value, kinds))


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a struct or dataclass; ours without `raw`, which is large."""
    names = value.__struct_fields__ if hasattr(value, "__struct_fields__") else value.__dataclass_fields__
    return {name: plain(getattr(value, name)) for name in names if name != "raw" or not isinstance(value, Plain)}


def _other(value: Any) -> Any:
    """What a type of the caller's holds; anything else by its name."""
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    if not isinstance(value, type) and (hasattr(value, "__struct_fields__") or hasattr(value, "__dataclass_fields__")):
        return fields_of(value)
    import msgspec  # noqa: PLC0415 - loaded on use

    try:
        return plain(msgspec.to_builtins(value, str_keys=True))  # a date, a UUID, an enumeration
    except TypeError:
        return getattr(value, "__qualname__", type(value).__name__)


# The first row that a value belongs to says how it is written.
_WRITERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Plain, _to_dict),
    (str, str.__str__),
    (int, int),
    (Mapping, lambda value: {str(key): plain(item) for key, item in value.items()}),
    (list | tuple, lambda value: [*map(plain, value)]),
    (AbstractSet, lambda value: sorted(map(plain, value), key=repr)),
    (bytes | bytearray, methodcaller("decode", "utf-8", "replace")),
    (BaseException, lambda value: {"class": type(value).__name__, "message": str(value)}),
    (object, _other),
)
