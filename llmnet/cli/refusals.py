"""Ends a batch whose rows are all refused for the key or a spent quota: those that are left would be, too.

At its beginning few rows decide. Later on, where the key was right, it takes more: neighbours may name another model.
"""

from collections.abc import Iterator
from typing import Any

from llmnet.batch.rows import BatchResult
from llmnet.cli.batch_input import Rows
from llmnet.core.errors import AuthenticationError, PermissionDeniedError, QuotaExceededError, RateLimitError

FIRST, LATER = 20, 100  # refusals in a row
_REFUSALS = (AuthenticationError, PermissionDeniedError, QuotaExceededError)
# Seconds: a batch does not wait longer for a limit to end, which is then like a spent quota.
_MAX_WAIT = 3600.0


def _refused(error: Exception | None) -> bool:
    limited = isinstance(error, RateLimitError) and (error.retry_after or 0.0) > _MAX_WAIT
    return limited or isinstance(error, _REFUSALS)


class UntilRefused:
    """The rows of a batch, which end as soon as so many in a row were refused.

    Attributes:
        refused: whether they were, before all rows were done.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows, self._done, self._in_a_row = rows, 0, 0
        self._most = FIRST
        self.refused = False
        self._last: Exception | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            if self.refused:
                return
            yield row

    def add(self, result: BatchResult) -> None:
        """Count a result."""
        self._done += 1
        if self.refused:  # what was under way by then changes nothing
            return
        if not _refused(result.error):
            self._most, self._in_a_row = LATER, 0
            return
        self._in_a_row, self._last = self._in_a_row + 1, result.error
        self.refused = self._in_a_row >= self._most and self._done < len(self._rows)

    @property
    def reason(self) -> str:
        """Why no more rows were sent."""
        rows = f"the first {FIRST} rows were all" if self._most == FIRST else f"{LATER} rows in a row were"
        return f"{rows} refused, so no more were sent; the last of them: {self._last}"
