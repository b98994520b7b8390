"""The input of a batch: JSON lines, read once to check each of them, and once more, after that, to send them.

Both times they are read as a stream, however many there are. What cannot be read twice, as a pipe, is first copied into
a temporary file.
"""

import codecs
import os
import shutil
import stat
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from typing import Any, BinaryIO

from llmnet.batch.rows import read_row
from llmnet.cli.stdin import make_blocking
from llmnet.core.errors import ConfigurationError, LLMNetError
from llmnet.core.json import decode

# So many wrong lines are named.
_NAMED = 20
_LONGEST = 64 * 2**20
"""Bytes of a line: what has no end of lines is no input, and would be read into memory."""
Wrong = tuple[int, str]


def opened(path: str) -> BinaryIO:
    """The input, open for reading, from a place that can be gone back to.

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
    make_blocking(file)
    with file, ExitStack() as ours:
        copy = ours.enter_context(tempfile.TemporaryFile())
        shutil.copyfileobj(file, copy)
        copy.seek(0)
        ours.pop_all()  # it is the caller's now
        return copy


class Rows:
    """The rows of an input, in the form in which a batch takes them, each with a name.

    Args:
        file: the lines, which can be read from here on as often as needed.
        common: parameters of all rows; a row's own go before them.
        system: a system message for rows that have none.
    """

    def __init__(self, file: BinaryIO, common: Mapping[str, Any], system: str | None = None) -> None:
        self._file, self._start = file, file.tell()
        self._common, self._system = common, system
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows that were checked, and none that was written to the file since.

        Raises:
            LLMNetError: one of them is not there any more.
        """
        found = 0
        for number, line in islice(self._lines(), self._count):
            try:
                yield self._row(number, line)
            except ConfigurationError as error:
                raise LLMNetError(f"the input has changed: line {number}: {error}") from None
            found += 1
        if found < self._count:
            raise LLMNetError(f"the input has changed: of {self._count:,} rows {found:,} are left")

    def check(self, check_row: Callable[[dict[str, Any]], object]) -> None:
        """Check all lines before any of them is sent, and count them.

        Args:
            check_row: raises what is wrong with a row.

        Raises:
            ConfigurationError: lines are wrong, which the message names, or there is none.
        """
        count, names = 0, _Names()
        wrong = _Report()
        for number, line in self._lines():
            count += 1
            try:
                row = self._row(number, line)
                check_row(row)
                names.add(row["custom_id"])
            except ConfigurationError as error:
                wrong.add(number, str(error))
        if twice := names.twice():
            self._find(twice, wrong)
        if wrong.count:
            raise ConfigurationError(f"nothing was sent, for lines of the input are wrong:\n{wrong}")
        if not count:
            raise ConfigurationError("the input has no lines")
        self._count = count

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """All lines that are not blank, with their numbers."""
        self._file.seek(self._start)
        for number, line in enumerate(iter(lambda: self._file.readline(_LONGEST), b""), 1):
            if len(line) == _LONGEST:
                raise ConfigurationError(f"line {number} of the input is longer than {_LONGEST:,} bytes")
            text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if text.strip():
                yield number, text

    def _row(self, number: int, line: bytes) -> dict[str, Any]:
        row = read_row(_object(line), self._common)
        name = f"request-{number}" if row.custom_id is None else row.custom_id
        return {"custom_id": name, "messages": self._with_system(row.messages), **row.params}

    def _with_system(self, messages: Any) -> Any:
        if self._system is None or not isinstance(messages, str | list):
            return messages
        said = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        if any(isinstance(one, dict) and one.get("role") in ("system", "developer") for one in said):
            return said
        return [{"role": "system", "content": self._system}, *said]

    def _find(self, twice: set[int], wrong: "_Report") -> None:
        """Name the lines whose name is that of an earlier one; names are what `twice` has the hashes of."""
        first: dict[str, int] = {}
        for number, line in self._lines():
            try:
                name = self._row(number, line)["custom_id"]
            except ConfigurationError:
                continue
            if hash(name) in twice and (earlier := first.setdefault(name, number)) != number:
                wrong.add(number, f"custom_id {name!r} is that of line {earlier} already")


class _Names:
    """Finds out whether a name is given twice, for eight bytes a name: only hashes are kept."""

    def __init__(self) -> None:
        self._shelves = [array("q") for _ in range(256)]

    def add(self, name: str) -> None:
        hashed = hash(name)
        self._shelves[hashed & 255].append(hashed)

    def twice(self) -> set[int]:
        """The hashes that more than one name has; looked for shelf by shelf, for sets are large."""
        return {hashed for shelf in self._shelves for hashed, n in Counter(shelf).items() if n > 1}


class _Report:
    """Which lines are wrong: the first ones, and how many."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[Wrong] = []

    def add(self, number: int, why: str) -> None:
        self.count += 1
        self._first.append((number, why))
        if len(self._first) == 2 * _NAMED:  # names that are given twice come last, whatever their lines
            self._first = sorted(self._first)[:_NAMED]

    def __str__(self) -> str:
        named = sorted(self._first)[:_NAMED]
        more = [f"  and {self.count - len(named)} more"] if self.count > len(named) else []
        return "\n".join([*(f"  line {number}: {why}" for number, why in named), *more])


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = decode(line.decode().rstrip())  # the end of the line is no place in it
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"byte {error.start + 1} is no UTF-8") from None
    except ValueError as error:
        at = getattr(error, "colno", None)
        said = getattr(error, "msg", None) or str(error)
        raise ConfigurationError(f"it is no JSON: {said}{f' at column {at}' if at else ''}") from None
    if not isinstance(value, dict):
        raise ConfigurationError(f'it must be a JSON object, as {{"prompt": "…"}}, not {_KINDS[type(value)]}')
    return value


_KINDS: dict[type, str] = {
    str: "a string", list: "an array", int: "a number", float: "a number", bool: "a boolean", type(None): "null",
}  # fmt: skip
