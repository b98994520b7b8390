"""Tells the tool calls of a reply apart: by id where a row has one, else by the place that it names, else by order.

Services break each of the three: one index for all calls, no index, no id, a new id with each piece, a name in pieces
or repeated. Then the text itself decides: arguments that are complete JSON never grow.
"""

import re
from collections.abc import Hashable, Sequence

from llmnet.core.draft import MAX_CALLS, Draft
from llmnet.core.reply_text import Text, check_count
from llmnet.core.tool_call import ToolCallDelta, ToolDraft
from llmnet.providers.tool_rows import LAST, Parts, Places, Row, note, parts_of, placed, rows_of

_SIGNS = re.compile(r'\\.?|["\[\]{}]', re.DOTALL).finditer


class Calls:
    """The calls of one stream, numbered.

    Args:
        draft: the reply under assembly, with what is known of each call.
        repeats: whether the service may send a call again, so that an equal one is no second call.

    Attributes:
        places: each place that a row named, and the number of the call that it meant last.
    """

    def __init__(self, draft: Draft, *, repeats: bool = False) -> None:
        self._draft, self._tools, self._repeats = draft, draft.tools, repeats
        self._numbers: set[int] = set()
        self._next = 0  # higher than all of them
        self._ids: dict[str, int] = {}
        self.places: dict[Hashable, int] = {}
        self._shared: set[Hashable] = set()  # places that several calls were sent under
        self._scans: dict[int, tuple[Text, Scan, int]] = {}
        self._name_repeated: set[int] = set()  # complete calls whose name came again, still without arguments

    def take(self, rows: Sequence[Row]) -> list[ToolCallDelta]:
        """Add an event's rows to the draft; what is new in them."""
        deltas = [self._take(row, parts, places) for row, parts, places in placed(rows)]
        return [delta for delta in deltas if delta.id or delta.name or delta.arguments]

    def _take(self, row: Row, parts: Parts, places: Places) -> ToolCallDelta:
        call_id, name, arguments = parts
        if not any(parts):
            at = self._find(places, "")
            note(row, self._tools.get(-1 if at is None else at, ToolDraft()), self._draft)
            return ToolCallDelta(index=0)
        number, name = self.number(call_id, name, arguments, places)
        tool = self._tools.setdefault(number, ToolDraft())
        note(row, tool, self._draft)
        repeated = call_id == tool.id and is_complete(arguments) and _has_arguments(tool, arguments)
        delta = ToolCallDelta(
            index=number,
            id="" if tool.id else call_id,
            name=new_name(tool.name, name),
            arguments="" if repeated else arguments,
        )
        tool.add(delta)
        return delta

    def number(
        self, call_id: str, name: str, arguments: str, places: Places, names: Places | None = None
    ) -> tuple[int, str]:
        """The number of the call that a row belongs to, and the name of that call if the row brings or implies it.

        The call is searched by its `places`; a new one is remembered by its `names`, too.
        """
        at = self._find(places, call_id)
        if at is not None and not (call_id or name or self._name_repeated):
            self.places[LAST] = at
            return at, ""
        number = at if at is not None and not self._is_another(at, call_id, name, arguments, places) else None
        if number is None:
            name = name or (self._tools[at].name if at in self._name_repeated else "")
            number = self._free_number(names or places)
            self._numbers.add(number)
            self._next = max(self._next, number + 1)
            check_count(len(self._numbers), MAX_CALLS, "tool calls")
            self._bind((*places, *(names or ())), number)
        else:
            # Ids that a server makes up for each event need not be remembered.
            self._bind(names or [place for place in places if not isinstance(place, str)], number)
        self.places[LAST] = number
        known = self._tools.get(number)
        if call_id and (known is None or not known.id):
            self._ids[call_id] = number
        return number, name

    def has_id(self, call_id: str) -> bool:
        """Whether there is a call of that id."""
        return call_id in self._ids

    def _find(self, places: Places, call_id: str) -> int | None:
        """The call that a row names, by its id or by its place."""
        if call_id and call_id in self._ids:
            found = self._ids[call_id]
            at = (self.places.get(place, found) for place in places)  # some servers send one id for all calls
            return next((n for n in at if n in self._tools and self._tools[n].id == call_id), found)
        if len(places) == 1:
            return self.places.get(places[0])
        known = [place for place in places if place in self.places]
        place = next((place for place in known if place not in self._shared), known[0] if known else None)
        return None if place is None else self.places[place]

    def _bind(self, places: Places, number: int) -> None:
        for place in places:
            if self.places.setdefault(place, number) != number:
                self._shared.add(place)
                self.places[place] = number
        check_count(len(self.places), 8 * MAX_CALLS, "places of tool calls")

    def _is_complete(self, at: int) -> bool:
        """Whether the arguments of a call are complete; each character of them is scanned once."""
        tool = self._tools.get(at)
        if tool is None:
            return False
        text, scan, scanned = self._scans.get(at, (None, None, 0))
        if scan is None or text is not tool.arguments:
            scan, scanned = Scan(), 0
        scan.feed(tool.arguments.since(scanned))
        self._scans[at] = (tool.arguments, scan, tool.arguments.position)
        return scan.ended

    def _is_another(self, at: int, call_id: str, name: str, arguments: str, places: Places) -> bool:
        """Whether a row begins a new call, although its id or place is that of an earlier one."""
        known = self._tools.get(at) or ToolDraft()
        if call_id in self._ids:
            begins = not arguments.strip() and any(place not in self.places for place in places)
            differs = is_complete(arguments) and not _has_arguments(known, arguments)
            return bool(name) and (begins or differs) and self._is_complete(at)
        if call_id and known.id:
            # Servers that make up an id for each piece send the name only once.
            has_index = any(not isinstance(place, tuple) for place in places)
            return bool(not has_index or name or (arguments.strip() and self._is_complete(at)))
        if not name:
            return at in self._name_repeated and bool(arguments.strip())
        if call_id and known.name and not (self._repeats and name == known.name):
            return True
        return bool(known.name) and self._is_complete(at) and self._name_begins(at, known, name, arguments)

    def _name_begins(self, at: int, known: ToolDraft, name: str, arguments: str) -> bool:
        """Whether a name begins a new call, where the one at its place is complete."""
        if name != known.name:
            return True
        if not arguments.strip():
            self._name_repeated |= set() if self._repeats else {at}
            return False
        if self._repeats:
            return is_complete(arguments) and not _has_arguments(known, arguments)
        return is_complete(arguments) or not _has_arguments(known, "{}")

    def _free_number(self, places: Places) -> int:
        """A number for a new call: its index, if no other call has that."""
        index = next((place for place in places if isinstance(place, int) and place >= 0), None)
        if index is not None and index not in self._numbers and index not in self._tools:
            return index
        while self._next in self._tools:  # from a complete message, which numbers its calls by itself
            self._next += 1
        return self._next


class RepeatedCalls(Calls):
    """The calls of a stream whose events may send all of them again, so that an equal call is no second one."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft, repeats=True)

    def take(self, rows: Sequence[Row]) -> list[ToolCallDelta]:
        """The calls of an event as it has them, with their numbers; the draft stays as it is."""
        return [
            ToolCallDelta(index=self.number(*parts, places)[0], id=parts[0], name=parts[1], arguments=parts[2])
            for _, parts, places in placed(rows)
            if any(parts)
        ]


def complete_calls(message: Row, draft: Draft) -> list[ToolCallDelta]:
    """The calls of a complete reply, numbered by their order in the list, whatever their ids and indexes."""
    rows = rows_of(message)
    if not rows:
        return []
    found = [(row, parts) for row in rows if any(parts := parts_of(row))]
    check_count(len(found), MAX_CALLS, "tool calls")
    for number, (row, _) in enumerate(found):
        note(row, draft.tools.setdefault(number, ToolDraft()), draft)
    return [
        ToolCallDelta(index=number, id=call_id, name=name, arguments=arguments)
        for number, (_, (call_id, name, arguments)) in enumerate(found)
    ]


def new_name(known: str, piece: str) -> str:
    """What a piece adds to a name; the part of it that repeats the name is left out."""
    return piece.removeprefix(known)


def _has_arguments(tool: ToolDraft, arguments: str) -> bool:
    """Whether the arguments of a call are exactly these."""
    return len(tool.arguments) == len(arguments) and str(tool.arguments) == arguments


class Scan:
    """A scan of a JSON text that grows, which reads each character once and builds no value.

    Attributes:
        ended: whether the text is complete, so that nothing can be appended to it.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._escapes = self.ended = False

    def feed(self, text: str) -> None:
        """Scan the next piece."""
        piece = "\\" + text if self._escapes else text
        self._escapes = False
        if piece.strip():
            self.ended = False
        for match in _SIGNS(piece):
            self._sign(match[0])
        if piece.rstrip()[-1:] in ("}", "]"):
            self.ended = self._depth == 0 and not self._in_string

    def _sign(self, sign: str) -> None:
        if sign[0] == "\\":
            self._escapes = len(sign) == 1
        elif sign == '"':
            self._in_string = not self._in_string
        elif not self._in_string:
            self._depth += 1 if sign in "[{" else -1


def is_complete(arguments: str) -> bool:
    """Whether arguments are a complete JSON object or list, to which nothing can be appended."""
    if arguments.lstrip()[:1] not in ("{", "["):
        return False
    scan = Scan()
    scan.feed(arguments)
    return scan.ended
