"""The first rows of a batch: where all are refused for the key or a spent quota, the others would be, too."""

from collections.abc import Iterable, Iterator, Sized
from typing import Any, Protocol

from llmnet.batch.rows import BatchResult
from llmnet.core.errors import AuthenticationError, PermissionDeniedError, QuotaExceededError, RateLimitError

ROWS = 20
_REFUSALS = (AuthenticationError, PermissionDeniedError, QuotaExceededError)
# A limit that ends so many seconds from now is longer than a batch waits, and as good as a spent quota.
_HOURS = 3600.0


class _Rows(Sized, Iterable[dict[str, Any]], Protocol):
    """Rows that can be counted."""


def _refused(error: Exception | None) -> bool:
    capped = isinstance(error, RateLimitError) and (error.retry_after or 0.0) > _HOURS
    return capped or isinstance(error, _REFUSALS)


class Trial:
    """The rows of a batch, which end as soon as the trial has failed.

    Args:
        rows: all of them.

    Attributes:
        failed: whether the first results were all such refusals.
    """

    def __init__(self, rows: _Rows) -> None:
        self._rows, self._refused, self._over = rows, 0, len(rows) <= ROWS
        self.failed = False
        self._said: Exception | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            if self.failed:
                return
            yield row

    def hear(self, result: BatchResult) -> None:
        """Note a result, of which there are more before it than those of the trial."""
        if self._over:
            return
        if not _refused(result.error):
            self._over = True
            return
        self._refused, self._said = self._refused + 1, result.error
        self._over = self.failed = self._refused >= ROWS

    @property
    def verdict(self) -> str:
        """What there is to say of a failed trial."""
        return f"the first {ROWS} rows were all refused, so no more were sent; the last of them: {self._said}"
