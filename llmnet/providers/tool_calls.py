"""Tells the tool calls of a reply apart: by id where a piece has one, else by the place that it names, else by order.

Services break each of the three: one index for all calls, no index, no id, a new id with each piece, a name in pieces
or repeated. What decides then is the text itself: arguments that are a whole JSON text never grow.
"""

import json
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from llmnet.core.chat import ToolCallDelta
from llmnet.core.draft import MAX_CALLS, Draft, ToolDraft
from llmnet.core.growing_text import Text, check_count
from llmnet.providers.json_scan import Scan, is_whole
from llmnet.providers.reading import dicts_of, text_of

Places = Sequence[Hashable]
Row = dict[str, Any]
# Id, name and arguments.
Facts = tuple[str, str, str]

# What services put beside a call and want back with it: Gemini its signature, LiteLLM that of whoever is behind it.
RETURNED = ("extra_content", "provider_specific_fields", "thought_signature")
# The place of a piece that names none: it goes on with the call that was meant last.
LAST = ("last",)


class Calls:
    """The calls of one stream, numbered.

    Args:
        draft: the reply under assembly, which has what was told of each call.
        repeats: the service may tell a call again, so that the same one is no second one.
    """

    def __init__(self, draft: Draft, *, repeats: bool = False) -> None:
        self._draft, self._tools, self._repeats = draft, draft.tools, repeats
        self._numbers: set[int] = set()
        self._ids: dict[str, int] = {}
        self._places: dict[Hashable, int] = {}  # what a piece said of its place → the call last meant by that
        self._shared: set[Hashable] = set()  # places that were given to several calls
        self._scans: dict[int, tuple[Text, Scan]] = {}
        self._again: set[int] = set()  # whole calls whose name came once more, without arguments so far

    def take(self, rows: Sequence[Row]) -> list[ToolCallDelta]:
        """Add an event's pieces to the draft; what they say that is new."""
        made = [self._taken(row, facts, places) for row, facts, places in _told(rows)]
        return [piece for piece in made if piece.id or piece.name or piece.arguments]

    def _taken(self, row: Row, facts: Facts, places: Places) -> ToolCallDelta:
        call_id, name, arguments = facts
        if not (call_id or name or arguments):
            at = self._at(places, "")
            note(row, self._tools.get(-1 if at is None else at, ToolDraft()), self._draft)
            return ToolCallDelta(index=0)
        number, name = self.number(call_id, name, arguments, places)
        tool = self._tools.setdefault(number, ToolDraft())
        note(row, tool, self._draft)
        told_again = call_id == tool.id and is_whole(arguments) and _is_text(tool, arguments)
        piece = ToolCallDelta(
            index=number,
            id="" if tool.id else call_id,
            name=new_name(tool.name, name),
            arguments="" if told_again else arguments,
        )
        tool.add(piece)
        return piece

    def number(
        self, call_id: str, name: str, arguments: str, places: Places, names: Places | None = None
    ) -> tuple[int, str]:
        """The number of the call that a piece belongs to, and the name that it is then known to have.

        It is looked for by its `places`; a new one is known by its `names`, too.
        """
        at = self._at(places, call_id)
        if at is not None and not (call_id or name or self._again):
            self._places[LAST] = at
            return at, ""
        number = at if at is not None and not self._is_another(at, call_id, name, arguments, places) else None
        if number is None:
            name = name or (self._tools[at].name if at in self._again else "")
            number = self._free(names or places)
            self._numbers.add(number)
            check_count(len(self._numbers), MAX_CALLS, "tool calls")
            self._bind((*places, *(names or ())), number)
        else:
            # Ids that are made up for each event need not be remembered.
            self._bind(names or [place for place in places if not isinstance(place, str)], number)
        self._places[LAST] = number
        known = self._tools.get(number)
        if call_id and (known is None or not known.id):
            self._ids[call_id] = number
        return number, name

    def _at(self, places: Places, call_id: str) -> int | None:
        """The call that a piece names, by its id or by its place."""
        if call_id and call_id in self._ids:
            return self._ids[call_id]
        if len(places) == 1:
            return self._places.get(places[0])
        known = [place for place in places if place in self._places]
        place = next((place for place in known if place not in self._shared), known[0] if known else None)
        return None if place is None else self._places[place]

    def _bind(self, places: Places, number: int) -> None:
        for place in places:
            if self._places.setdefault(place, number) != number:
                self._shared.add(place)
                self._places[place] = number
        check_count(len(self._places), 8 * MAX_CALLS, "places of tool calls")

    def _ended(self, at: int) -> bool:
        """Whether the arguments of a call are whole; each character of them is looked at once."""
        tool = self._tools.get(at)
        if tool is None:
            return False
        text, scan = self._scans.get(at, (None, None))
        if scan is None or text is not tool.arguments:
            scan = Scan()
            self._scans[at] = (tool.arguments, scan)
        scan.feed(tool.arguments.since(scan.seen))
        return scan.ended

    def _is_another(self, at: int, call_id: str, name: str, arguments: str, places: Places) -> bool:
        """Whether a piece begins a call of its own, whatever it says of its place."""
        known = self._tools.get(at) or ToolDraft()
        if call_id in self._ids:
            return bool(name) and is_whole(arguments) and self._ended(at) and not _is_text(known, arguments)
        if call_id and known.id:
            # Servers that make up an id for each piece give the name only once.
            placed = any(not isinstance(place, tuple) for place in places)
            return bool(not placed or name or (arguments.strip() and self._ended(at)))
        if not name:
            return at in self._again and bool(arguments.strip())
        if call_id and known.name and not (self._repeats and name == known.name):
            return True
        return bool(known.name) and self._ended(at) and self._begins(at, known, name, arguments)

    def _begins(self, at: int, known: ToolDraft, name: str, arguments: str) -> bool:
        """Whether a name begins a call, where the one at its place is whole."""
        if name != known.name:
            return True
        if not arguments.strip():
            self._again |= set() if self._repeats else {at}
            return False
        if self._repeats:
            return is_whole(arguments) and not _is_text(known, arguments)
        return is_whole(arguments) or not _is_text(known, "{}")

    def _free(self, places: Places) -> int:
        """A number for a new call: that of its place, if no other call has it."""
        said = next((place for place in places if isinstance(place, int) and place >= 0), None)
        taken = self._numbers | self._tools.keys()
        return max(taken, default=-1) + 1 if said is None or said in taken else said


class Frames(Calls):
    """The calls of a stream whose events may tell all of them again, so that a call told again is no second one."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft, repeats=True)

    def take(self, rows: Sequence[Row]) -> list[ToolCallDelta]:
        """The calls of an event, as it tells them, under their numbers; nothing is added to the draft."""
        return [
            ToolCallDelta(index=self.number(*facts, places)[0], id=facts[0], name=facts[1], arguments=facts[2])
            for _, facts, places in _told(rows)
            if any(facts)
        ]


def rows_of(said: Row) -> list[Row]:
    """The tool calls in a delta or message, or pieces of them; the legacy `function_call` is one."""
    calls, legacy = said.get("tool_calls"), said.get("function_call")
    if not calls and isinstance(legacy, dict):
        return [{"index": 0, "function": legacy}]
    return [calls] if isinstance(calls, dict) else dicts_of(calls)


def whole_calls(said: Row, draft: Draft) -> list[ToolCallDelta]:
    """The calls of a whole reply: each is one by its place in the list, whatever it says of it."""
    rows = [row for row in rows_of(said) if any(facts_of(row))]
    check_count(len(rows), MAX_CALLS, "tool calls")
    for number, row in enumerate(rows):
        note(row, draft.tools.setdefault(number, ToolDraft()), draft)
    facts = [facts_of(row) for row in rows]
    return [ToolCallDelta(index=i, id=fact[0], name=fact[1], arguments=fact[2]) for i, fact in enumerate(facts)]


def facts_of(row: Row) -> Facts:
    """Id, name and arguments of a call or a piece of one; some servers leave out the object around the latter two."""
    body = row.get("function") or row.get("custom")
    body = body if isinstance(body, dict) else row
    return text_of(row.get("id")), text_of(body.get("name")), arguments_text(body.get("arguments", body.get("input")))


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


def _told(rows: Sequence[Row]) -> Iterator[tuple[Row, Facts, Places]]:
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


def new_name(known: str, piece: str) -> str:
    """What a piece of a name adds: one that is said again, or again and longer, adds nothing twice."""
    return piece.removeprefix(known)


def _is_text(tool: ToolDraft, arguments: str) -> bool:
    """Whether the arguments of a call are exactly these."""
    return len(tool.arguments) == len(arguments) and str(tool.arguments) == arguments


def arguments_text(arguments: Any) -> str:
    """Arguments as JSON text; some servers send the value itself."""
    return json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, dict | list) else text_of(arguments)
