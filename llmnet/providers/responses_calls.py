"""The calls of a Responses reply: each item is one call, and the same one however often and by whatever id it comes.

Some servers make up a new `call_id`, or a new id of the item, each time that they send a call: in its opening event,
in its closing one, and in the output of the last event.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from llmnet.core.draft import Draft
from llmnet.core.tool_call import ToolCallDelta, ToolDraft
from llmnet.providers.reading import Object, remainder, text_of
from llmnet.providers.responses_request import CALL, CUSTOM_CALL
from llmnet.providers.tool_calls import new_name
from llmnet.providers.tool_rows import arguments_text

# Whether an item, by its order among the calls and its fields, is the call of some number.
Same = Callable[[int, Object, int], bool]

ARGUMENTS = {CALL: "arguments", CUSTOM_CALL: "input"}


def is_call(item: Object) -> bool:
    """Whether an item calls a tool of the caller's; hosted tools are called by the vendor itself."""
    return text_of(item.get("type")) in ARGUMENTS


def arguments_in(item: Object) -> str:
    """The arguments of a call's item, as text."""
    return arguments_text(item.get(ARGUMENTS.get(text_of(item.get("type")), "arguments")))


def call_increment(draft: Draft, number: int, item: Object) -> list[ToolCallDelta]:
    """What a call's item adds to the draft."""
    known = draft.tools.get(number) or ToolDraft()
    delta = ToolCallDelta(
        index=number,
        id="" if known.id else text_of(item.get("call_id")),
        name=new_name(known.name, text_of(item.get("name"))),
        arguments=remainder(item["arguments"], known.arguments),
    )
    draft.tools.setdefault(number, known).custom |= item.get("type") == CUSTOM_CALL
    return [delta] if delta.id or delta.name or delta.arguments else []


def numbers_of(calls: Sequence[Object], draft: Draft, items: Mapping[Any, int]) -> list[int]:
    """The number of each call of a complete output: that of the same call in the stream, or a new one.

    Args:
        calls: the items, of which no two are one call.
        draft: the reply under assembly, with the calls of the stream.
        items: the numbers of the calls by the ids of their items.
    """
    left, found = sorted(draft.tools), dict[int, int]()
    new = count(max(left, default=-1) + 1)
    for same in _tests(draft, items):
        for order, item in enumerate(calls):
            number = None if order in found else next((n for n in left if same(order, item, n)), None)
            if number is not None:
                found[order] = number
                left.remove(number)
    return [found[order] if order in found else next(new) for order in range(len(calls))]


def _tests(draft: Draft, items: Mapping[Any, int]) -> Sequence[Same]:
    """How an item is recognised as a call of the stream: the most reliable test first."""
    known = sorted(draft.tools)
    texts = {number: str(draft.tools[number].arguments) for number in known}

    def has_id(_: int, item: Object, number: int) -> bool:
        return bool(item.get("call_id")) and item["call_id"] == draft.tools[number].id

    def continues(item: Object, number: int) -> bool:
        return arguments_in(item).startswith(texts[number])

    return (
        lambda order, item, number: has_id(order, item, number) and continues(item, number),
        has_id,
        lambda _, item, number: items.get(text_of(item.get("id"))) == number,
        lambda _, item, number: item.get("name") == draft.tools[number].name and continues(item, number),
        # One without any id is recognised by its order.
        lambda order, item, number: (
            not (item.get("call_id") or item.get("id")) and known[order : order + 1] == [number]
        ),
    )
