"""The input of a batch: JSON lines, read once to check them all, and then once more to send them.

Both times they are read as a stream, never all into memory. A pipe, which cannot be read twice, is first copied to a
temporary file.
"""

import codecs
import os
import stat
import tempfile
from array import array
from bisect import insort
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from typing import Any, BinaryIO

from llmnet.batch.rows import read_row
from llmnet.cli.reading import CURE, pieces
from llmnet.core.errors import ConfigurationError, LLMNetError
from llmnet.core.json import decode

_MAX_REPORTED = 20  # wrong lines that the error lists
_NO_UTF_8 = "is no UTF-8"
_EVERY = 256  # lines from one report of the progress to the next
MAX_LINE = 64 * 2**20
"""Bytes of a line at most: input without line ends would be read into memory."""


def open_input(path: str) -> BinaryIO:
    """Open the input for reading, in a form that can be read twice.

    Raises:
        ConfigurationError: it cannot be read.
    """
    name = "standard input" if path == "-" else path
    try:
        file = open(0 if path == "-" else path, "rb", closefd=path != "-")  # noqa: SIM115 - the caller closes it
    except OSError as error:
        raise ConfigurationError(f"cannot read {name}: {error.strerror or error}") from None
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    try:
        return _copied(file)
    except OSError as error:
        raise ConfigurationError(f"cannot copy {name} to a temporary file: {error.strerror or error}") from None


def _copied(file: BinaryIO) -> BinaryIO:
    with file, ExitStack() as ours:
        copy = ours.enter_context(tempfile.TemporaryFile())
        for piece in pieces(file):
            copy.write(piece)
        copy.seek(0)
        ours.pop_all()  # the caller closes the copy
        return copy


class Rows:
    """The rows of an input, as a batch takes them, each with a custom_id.

    Args:
        file: the lines, from its present position on; it must be seekable.
        common: parameters of all rows; a row's own override them.
        system: a system message for rows that have none.

    Attributes:
        left_out: how many rows are left out.
    """

    def __init__(self, file: BinaryIO, common: Mapping[str, Any], system: str | None = None) -> None:
        self._file, self._start = file, file.tell()
        self._common, self._system = common, system
        self._count = self.left_out = 0
        self._answered: Container[str] = ()

    def __len__(self) -> int:
        return self._count - self.left_out

    def leave_out(self, answered: Container[str]) -> None:
        """Leave out the rows with these custom_ids, which have their answers."""
        self._answered = answered
        self.left_out = self._count - sum(1 for _ in self)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows that were checked and not left out, without any appended to the file since.

        Raises:
            LLMNetError: one of them has changed or is gone.
        """
        found = 0
        for number, line in islice(self._lines(), self._count):
            try:
                row = self._row(number, line)
            except ConfigurationError as error:
                raise LLMNetError(f"the input has changed: line {number}: {error}") from None
            found += 1
            if row["custom_id"] not in self._answered:
                yield row
        if found < self._count:
            raise LLMNetError(f"the input has changed: of {self._count:,} rows {found:,} are left")

    def check(
        self,
        check_row: Callable[[dict[str, Any]], object],
        progress: Callable[[int, float], object] = lambda *_: None,
    ) -> None:
        """Check all lines before any of them is sent, and count them.

        Args:
            check_row: raises what is wrong with a row.
            progress: called now and then with how many lines are checked, and which share of the input that is.

        Raises:
            ConfigurationError: there are no lines, or wrong ones, which the message lists.
        """
        count, names, wrong = 0, _Names(), _Report()
        size = self._file.seek(0, os.SEEK_END) - self._start
        for number, line in self._lines():
            count += 1
            if count % _EVERY == 0:
                progress(count, (self._file.tell() - self._start) / size)
            try:
                row = self._row(number, line)
                check_row(row)
                names.add(row["custom_id"])
            except ConfigurationError as error:
                wrong.add(number, str(error))
        if duplicates := names.duplicates():
            self._report_duplicates(duplicates, wrong)
        if wrong.count:
            raise ConfigurationError(f"nothing was sent, for lines of the input are wrong:\n{wrong}")
        if not count:
            raise ConfigurationError("the input has no lines")
        self._count = count

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """All lines that are not blank, with their numbers."""
        self._file.seek(self._start)
        for number, line in enumerate(iter(lambda: self._file.readline(MAX_LINE), b""), 1):
            if len(line) == MAX_LINE:
                raise ConfigurationError(f"line {number} of the input is longer than {MAX_LINE:,} bytes")
            text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if text and not text.isspace():
                yield number, text

    def _row(self, number: int, line: bytes) -> dict[str, Any]:
        row = read_row(_object(line), self._common)
        name = f"request-{number}" if row.custom_id is None else row.custom_id
        return {"custom_id": name, "messages": self._with_system(row.messages), **row.params}

    def _with_system(self, messages: Any) -> Any:
        if self._system is None or not isinstance(messages, str | list):
            return messages
        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        if any(isinstance(turn, dict) and turn.get("role") in ("system", "developer") for turn in turns):
            return turns
        return [{"role": "system", "content": self._system}, *turns]

    def _report_duplicates(self, hashes: set[int], wrong: "_Report") -> None:
        """Add the lines whose custom_id is that of an earlier line, of those with one of these hashes."""
        first: dict[str, int] = {}
        for number, line in self._lines():
            try:
                name = self._row(number, line)["custom_id"]
            except ConfigurationError:
                continue
            if hash(name) in hashes and (earlier := first.setdefault(name, number)) != number:
                wrong.add(number, f"custom_id {name!r} is that of line {earlier} already")


class _Names:
    """Finds names that occur twice in eight bytes a name: only hashes are kept."""

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(256)]

    def add(self, name: str) -> None:
        hashed = hash(name)
        self._buckets[hashed & 255].append(hashed)

    def duplicates(self) -> set[int]:
        """The hashes that occur more than once; counted bucket by bucket, since counters are large."""
        return {hashed for bucket in self._buckets for hashed, n in Counter(bucket).items() if n > 1}


class _Report:
    """The wrong lines: the first ones, and how many there are."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[tuple[int, str]] = []

    def add(self, number: int, reason: str) -> None:
        self.count += 1
        insort(self._first, (number, reason))  # duplicates come last, whatever their lines
        del self._first[_MAX_REPORTED:]

    def __str__(self) -> str:
        lines = [f"  line {number}: {reason}" for number, reason in self._first]
        if self.count > len(lines):
            lines.append(f"  and {self.count - len(lines)} more")
        if any(reason.endswith(_NO_UTF_8) for _, reason in self._first):
            lines.append(f"  {CURE}")
        return "\n".join(lines)


def _object(line: bytes) -> dict[str, Any]:
    try:
        if not line.isascii():
            line.decode()  # what is no UTF-8 would be forgiven
        value = decode(line.rstrip())  # a column at the line's end would be of no use
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"byte {error.start + 1} {_NO_UTF_8}") from None
    except ValueError as error:
        column = getattr(error, "colno", None)
        reason = getattr(error, "msg", None) or str(error)
        raise ConfigurationError(f"it is no JSON: {reason}{f' at column {column}' if column else ''}") from None
    if not isinstance(value, dict):
        raise ConfigurationError(f'it must be a JSON object, as {{"prompt": "…"}}, not {_KINDS[type(value)]}')
    return value


_KINDS: dict[type, str] = {
    str: "a string", list: "an array", int: "a number", float: "a number", bool: "a boolean", type(None): "null",
}  # fmt: skip
