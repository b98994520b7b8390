"""Ends a batch whose first rows are all refused for the key or a spent quota: the others would be, too."""

from collections.abc import Iterator
from typing import Any

from llmnet.batch.rows import BatchResult
from llmnet.cli.batch_input import Rows
from llmnet.core.errors import AuthenticationError, PermissionDeniedError, QuotaExceededError, RateLimitError

ROWS = 20
_REFUSALS = (AuthenticationError, PermissionDeniedError, QuotaExceededError)
# Seconds: a batch does not wait longer for a limit to end, which is then like a spent quota.
_MAX_WAIT = 3600.0


def _refused(error: Exception | None) -> bool:
    limited = isinstance(error, RateLimitError) and (error.retry_after or 0.0) > _MAX_WAIT
    return limited or isinstance(error, _REFUSALS)


class FirstRows:
    """The rows of a batch, which end as soon as the first ones have all been refused.

    Attributes:
        refused: whether the first results were all such refusals.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows, self._count, self._decided = rows, 0, len(rows) <= ROWS
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
        """Count a result; only the first ones decide."""
        if not self._decided:
            refused, self._last = _refused(result.error), result.error
            self._count += refused
            self.refused = self._count >= ROWS
            self._decided = self.refused or not refused

    @property
    def reason(self) -> str:
        """Why no more rows were sent."""
        return f"the first {ROWS} rows were all refused, so no more were sent; the last of them: {self._last}"
