"""The first rows of a batch: where all are refused for the key or a spent quota, the others would be, too."""

from collections.abc import Iterable, Iterator, Sized
from typing import Any, Protocol

from llmnet.batch.rows import BatchResult
from llmnet.core.errors import AuthenticationError, PermissionDeniedError, QuotaExceededError

ROWS = 20
_REFUSALS = (AuthenticationError, PermissionDeniedError, QuotaExceededError)


class _Rows(Sized, Iterable[dict[str, Any]], Protocol):
    """Rows that can be counted."""


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
        if not isinstance(result.error, _REFUSALS):
            self._over = True
            return
        self._refused, self._said = self._refused + 1, result.error
        self._over = self.failed = self._refused >= ROWS

    @property
    def verdict(self) -> str:
        """What there is to say of a failed trial."""
        return f"the first {ROWS} rows were all refused, so no more were sent; the last of them: {self._said}"
