"""Tells the tool calls of a reply apart: by id where a piece has one, else by the place that it names, else by order.

Services break each of the three: one index for all calls, no index, no id, a new id with each piece, a name in pieces
or repeated. What decides then is the text itself: arguments that are a whole JSON text never grow.
"""

from collections.abc import Hashable, Sequence

from llmnet.core.chat import ToolCallDelta
from llmnet.core.draft import MAX_CALLS, Draft, ToolDraft
from llmnet.core.growing_text import Text, check_count
from llmnet.providers.json_scan import Scan, is_whole
from llmnet.providers.tool_rows import LAST, Facts, Places, Row, facts_of, note, rows_of, told


class Calls:
    """The calls of one stream, numbered.

    Args:
        draft: the reply under assembly, which has what was told of each call.
        repeats: the service may tell a call again, so that the same one is no second one.

    Attributes:
        places: what a piece said of its place, and the number of the call last meant by that.
    """

    def __init__(self, draft: Draft, *, repeats: bool = False) -> None:
        self._draft, self._tools, self._repeats = draft, draft.tools, repeats
        self._numbers: set[int] = set()
        self._ids: dict[str, int] = {}
        self.places: dict[Hashable, int] = {}
        self._shared: set[Hashable] = set()  # places that were given to several calls
        self._scans: dict[int, tuple[Text, Scan]] = {}
        self._again: set[int] = set()  # whole calls whose name came once more, without arguments so far

    def take(self, rows: Sequence[Row]) -> list[ToolCallDelta]:
        """Add an event's pieces to the draft; what they say that is new."""
        made = [self._taken(row, facts, places) for row, facts, places in told(rows)]
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
            self.places[LAST] = at
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
        self.places[LAST] = number
        known = self._tools.get(number)
        if call_id and (known is None or not known.id):
            self._ids[call_id] = number
        return number, name

    def knows(self, call_id: str) -> bool:
        """Whether a call of that id was told."""
        return call_id in self._ids

    def _at(self, places: Places, call_id: str) -> int | None:
        """The call that a piece names, by its id or by its place."""
        if call_id and call_id in self._ids:
            found = self._ids[call_id]
            at = (self.places.get(place, found) for place in places)  # servers have given one id to all calls
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
            begins = not arguments.strip() and any(place not in self.places for place in places)
            differs = is_whole(arguments) and not _is_text(known, arguments)
            return bool(name) and (begins or differs) and self._ended(at)
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
            for _, facts, places in told(rows)
            if any(facts)
        ]


def whole_calls(said: Row, draft: Draft) -> list[ToolCallDelta]:
    """The calls of a whole reply: each is one by its place in the list, whatever it says of it."""
    rows = [row for row in rows_of(said) if any(facts_of(row))]
    check_count(len(rows), MAX_CALLS, "tool calls")
    for number, row in enumerate(rows):
        note(row, draft.tools.setdefault(number, ToolDraft()), draft)
    facts = [facts_of(row) for row in rows]
    return [ToolCallDelta(index=i, id=fact[0], name=fact[1], arguments=fact[2]) for i, fact in enumerate(facts)]


def new_name(known: str, piece: str) -> str:
    """What a piece of a name adds: one that is said again, or again and longer, adds nothing twice."""
    return piece.removeprefix(known)


def _is_text(tool: ToolDraft, arguments: str) -> bool:
    """Whether the arguments of a call are exactly these."""
    return len(tool.arguments) == len(arguments) and str(tool.arguments) == arguments
