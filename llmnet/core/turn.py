"""Which one of many is at work on something: nobody ever waits for it, and no interrupt can leave it taken for good.

A lock that is tried and then kept by `try … finally` is lost to a Ctrl-C that comes between the two. Here the owner
brings a token of its own: to take the turn twice with it is no error, to give back what it has not is none either.
"""


class Turn:
    """Held by one token at a time."""

    __slots__ = ("_holder",)

    def __init__(self) -> None:
        self._holder: dict[None, object] = {}

    def take(self, mine: object) -> bool:
        """Take the turn, if nobody has it; whether the token has it now."""
        return self._holder.setdefault(None, mine) is mine

    @property
    def holder(self) -> object | None:
        """The token that has it."""
        return self._holder.get(None)

    @property
    def taken(self) -> bool:
        """Whether somebody has it."""
        return bool(self._holder)

    def has(self, mine: object) -> bool:
        """Whether the token has the turn."""
        return self._holder.get(None) is mine

    def give(self, mine: object) -> None:
        """Give the turn back, if the token has it."""
        if self._holder.get(None) is mine:
            self._holder.clear()
