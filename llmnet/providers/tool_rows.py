"""Reads the tool calls of a delta or message: what each row says, and by which place it names its call."""

import json
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from llmnet.core.draft import Draft, ToolDraft, label_of
from llmnet.core.json import readable
from llmnet.providers.reading import dicts_of, text_of

Places = Sequence[Hashable]
Row = dict[str, Any]
# Id, name and arguments.
Facts = tuple[str, str, str]

# What services put beside a call and want back with it: Gemini its signature, LiteLLM that of whoever is behind it.
RETURNED = ("extra_content", "provider_specific_fields", "thought_signature")
# The place of a piece that names none: it goes on with the call that was meant last.
LAST = ("last",)


def rows_of(said: Row) -> list[Row]:
    """The tool calls in a delta or message, or pieces of them; the legacy `function_call` is one."""
    calls, legacy = said.get("tool_calls"), said.get("function_call")
    calls = readable(calls) if isinstance(calls, str) else calls
    if not calls and isinstance(legacy, dict):
        return [{"index": 0, "function": legacy}]
    return [calls] if isinstance(calls, dict) else dicts_of(calls)


def facts_of(row: Row) -> Facts:
    """Id, name and arguments of a call or a piece of one; some servers leave out the object around the latter two."""
    body = row.get("function") or row.get("custom")
    body = body if isinstance(body, dict) else row
    said = (body.get(name) for name in ("arguments", "input", "parameters"))
    arguments = next((value for value in said if value is not None), None)
    return label_of(row.get("id")), text_of(body.get("name")), arguments_text(arguments)


def note(row: Row, tool: ToolDraft, draft: Draft) -> None:
    """Note what kind of call it is, and what goes back beside it."""
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


def told(rows: Sequence[Row]) -> Iterator[tuple[Row, Facts, Places]]:
    """What each row says, and by which places: its index, or its order in the list; and of several, which one."""
    seen: dict[Hashable, int] = {}
    for position, row in enumerate(rows):
        facts, index = facts_of(row), index_of(row.get("index"))
        place: Hashable = index if index is not None else ("order", position)
        begins, among = bool(facts[0] or facts[1]), seen.get(place, 0)
        seen[place] = among + 1
        own: Places = ((place, among),) if among else (place,)
        if index is not None:
            yield row, facts, own if begins or not among else (*own, place)
        else:
            yield row, facts, (LAST,) if len(rows) == 1 else own if begins else (*own, LAST)


def index_of(said: Any) -> int | None:
    """A place as a number, if it is one; some servers write it as a text."""
    if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) < 10:
        return int(said)
    return said if isinstance(said, int) and not isinstance(said, bool) else None


def arguments_text(arguments: Any) -> str:
    """Arguments as JSON text; some servers send the value itself."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return json.dumps(arguments, ensure_ascii=False)
