"""Reads the tool calls of a delta or message: the parts of each row, and the places by which it names its call."""

import json
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from llmnet.core.draft import Draft, label_of
from llmnet.core.json import readable
from llmnet.core.tool_call import ToolDraft
from llmnet.providers.reading import dicts_of, text_of

Places = Sequence[Hashable]
Row = dict[str, Any]
# Id, name and arguments.
Parts = tuple[str, str, str]

# Fields of a call that must be sent back with it: Gemini's signature, and those that LiteLLM passes on.
RETURNED = ("extra_content", "provider_specific_fields", "thought_signature")
# The tool that a model must call where its vendor has no other way to ask for a value; its arguments are the reply.
# No tool of a caller's has this name.
ANSWER_TOOL = "llmnet_answer"
# The place of a row that names none: it continues the latest call.
LAST = ("last",)


def rows_of(message: Row) -> list[Row]:
    """The tool calls in a delta or message, or pieces of them; the legacy `function_call` is one."""
    calls, legacy = message.get("tool_calls"), message.get("function_call")
    calls = readable(calls) if isinstance(calls, str) else calls
    if not calls and isinstance(legacy, dict):
        return [{"index": 0, "function": legacy}]
    if not calls:
        return []
    return [calls] if isinstance(calls, dict) else dicts_of(calls)


def parts_of(row: Row) -> Parts:
    """Id, name and arguments of a row; some servers leave out the object around name and arguments."""
    body = row.get("function") or row.get("custom")
    body = body if isinstance(body, dict) else row
    arguments = body.get("arguments")
    if arguments is None:
        arguments = body.get("parameters") if body.get("input") is None else body["input"]
    return label_of(row.get("id")), text_of(body.get("name")), arguments_text(arguments)


def note(row: Row, tool: ToolDraft, draft: Draft) -> None:
    """Remember whether it is a custom call, and the fields that are to be sent back with it."""
    if "custom" in row:
        tool.custom |= isinstance(row["custom"], dict)
    for name in RETURNED:
        value = row.get(name)
        if value and value != tool.beside.get(name):
            draft.keep(json.dumps(value))
            if isinstance(value, dict):
                tool.beside.setdefault(name, {}).update(value)
            else:
                tool.beside[name] = value


def placed(rows: Sequence[Row]) -> Iterator[tuple[Row, Parts, Places]]:
    """Each row with its parts and its places.

    The place is the row's index, or its position in the list; rows of one place are numbered.
    """
    seen: dict[Hashable, int] = {}
    for position, row in enumerate(rows):
        parts, index = parts_of(row), index_of(row.get("index"))
        place: Hashable = index if index is not None else ("order", position)
        begins, among = bool(parts[0] or parts[1]), seen.get(place, 0)
        seen[place] = among + 1
        own: Places = ((place, among),) if among else (place,)
        if index is not None:
            yield row, parts, own if begins or not among else (*own, place)
        else:
            yield row, parts, (LAST,) if len(rows) == 1 else own if begins else (*own, LAST)


def index_of(value: Any) -> int | None:
    """An index as a number, which some servers write as text; `None` for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def arguments_text(arguments: Any) -> str:
    """Arguments as JSON text; some servers send the value itself."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return json.dumps(arguments, ensure_ascii=False)
