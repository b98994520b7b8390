"""Masks the caller's secrets in all that the caller sees: found by value, never by a pattern, however escaped."""

import base64
import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmnet.core.errors import LLMNetError
from llmnet.core.escapes import Layer, is_plain, layers
from llmnet.core.head_lines import LazyHeaders
from llmnet.core.http import Headers, Meta
from llmnet.core.preview import CUT
from llmnet.core.tracebacks import cut_causes

MASK = "***"
# A shorter value occurs in ordinary words, and could be guessed.
SHORTEST = 6
# Where a text ends, or was cut, so many bytes of a secret's beginning are masked: the word "Bearer" is shorter.
_HEAD = SHORTEST + 1
# The rest of a secret is searched for too, for its first letters may have been read as the end of an escape before it.
_TAIL = 16
# Calls that run at one time use a few keys of a callable, and a reply to one may quote another's: so many are kept.
NEWEST = 8
_CUT = CUT.encode()
Span = tuple[int, int]
Needle = tuple[bytes, bytes, str]
"""The beginning of a secret, by which it is searched for, all of it, and that beginning as a text of ASCII has it."""


class Secrets:
    """The secrets of a client, or of one call on top of them.

    Threads share it without a lock for readers: `_fixed` never changes, `_newest` and `_needles` are immutable and
    replaced under `_lock`, for each is made from the one before. A renewed key is one of `NEWEST`, so that a client may
    use any number of them; a key is among those of its own call, too, however many others follow.
    """

    __slots__ = ("__weakref__", "_fixed", "_lock", "_needles", "_newest", "_parent")

    def __init__(self, values: Iterable[str | None] = (), parent: "Secrets | None" = None) -> None:
        self._parent = parent
        self._fixed = {value: needles(value) for value in values if value and len(value) >= SHORTEST}
        self._newest: dict[str, tuple[Needle, ...]] = {}
        self._needles = _flat(self._fixed)
        self.after_fork()

    def after_fork(self) -> None:
        """Begin with a free lock: in a forked child the thread that may have held it is gone."""
        self._lock = threading.RLock()

    def also(self, values: Iterable[str]) -> "Secrets":
        """These secrets and the values of one call, which are forgotten with it."""
        return Secrets(values, parent=self)

    def learn(self, value: str | None) -> None:
        """Note a secret, as when a renewed key is first used; the client of a call notes it, too."""
        if value is not None and value not in self._fixed and len(value) >= SHORTEST and not self._is_fixed(value):
            self._note(value)

    def _is_fixed(self, value: str) -> bool:
        return value in self._fixed or (self._parent is not None and self._parent._is_fixed(value))

    def _note(self, value: str) -> tuple[Needle, ...]:
        """What to search for; of the values noted so far the last ones are kept."""
        known = self._newest.get(value)
        if known is not None and next(reversed(self._newest)) == value:
            return known
        known = known or (needles(value) if self._parent is None else self._parent._note(value))
        with self._lock:
            others = [one for one in self._newest.items() if one[0] != value]
            self._newest = dict([*others, (value, known)][-NEWEST:])
            self._needles = _flat(self._fixed) + _flat(self._newest)
        return known

    def _all(self) -> tuple[Needle, ...]:
        return self._needles if self._parent is None else self._needles + self._parent._all()

    def hide(self, text: str) -> str:
        """The text without a secret, in time that grows as the text does."""
        wanted = self._all()
        return _hidden(wanted, text) if wanted else text

    def clean(self, error: LLMNetError, outer: int = 0) -> LLMNetError:
        """The error without a secret, and without causes that show or hold one (`cut_causes`)."""
        vars(error).update({name: self._clean(fact) for name, fact in vars(error).items()})
        error.args = (error.message,)
        if error.meta is not None:
            self.clean_meta(error.meta)
        self.clean_causes(error, outer)
        return error

    def clean_causes(self, error: BaseException | None, outer: int = 0) -> None:
        """Remove from the causes of an error whatever shows or holds a secret; what others raise passes as it is.

        A Ctrl-C and a cancellation have something of ours as their context, and are cleaned, too.
        """
        if error is not None and (isinstance(error, LLMNetError) or not isinstance(error, Exception)) and self._all():
            cut_causes(error, lambda text: self.hide(text) != text, outer)

    def clean_meta(self, meta: Meta) -> None:
        """Remove secrets that a server echoed from the headers and the id."""
        meta.request_id = meta.request_id and self.hide(meta.request_id)
        meta.headers = _without(self._all(), meta.headers)

    def clean_headers(self, headers: Headers) -> Headers:
        """The headers without a secret; they are searched when somebody looks at them first, as few ever do."""
        wanted = self._all()
        return _CleanHeaders(wanted, headers) if wanted else headers

    def _clean(self, body: Any) -> Any:
        """A body without a secret: nearly always the very same, which one search finds out."""
        text = CUT.join(_texts(body))
        return body if self.hide(text) == text else self._cleaned(body)

    def _cleaned(self, body: Any) -> Any:
        if isinstance(body, str):
            return self.hide(body)
        if isinstance(body, dict):
            return {self.hide(str(key)): self._cleaned(value) for key, value in body.items()}
        return [self._cleaned(item) for item in body] if isinstance(body, list) else body


class _CleanHeaders(LazyHeaders):
    """Headers without what was a secret when they came, whenever they are looked at."""

    __slots__ = ("_source",)

    def __init__(self, wanted: tuple[Needle, ...], headers: Headers) -> None:
        self._source = wanted, headers

    def made(self) -> dict[str, str]:
        """The clean ones; only they are kept."""
        clean = _without(*self._source)
        self._source = (), clean
        return dict(clean)


def _without(wanted: tuple[Needle, ...], headers: Headers) -> Headers:
    """The headers without a secret: nearly always the very same, which one search finds out."""
    text = CUT.join([*headers, *headers.values()])  # any of them may be cut, too
    if _hidden(wanted, text) == text:
        return headers
    return Headers([(_hidden(wanted, name), _hidden(wanted, value)) for name, value in headers.items()])


def _hidden(wanted: tuple[Needle, ...], text: str) -> str:
    if is_plain(text) and not any(start in text for _, _, start in wanted):
        return text  # as nearly always
    spans = sorted(span for layer in layers(text) for span in _found(layer, wanted))
    return _masked(text, spans) if spans else text


def _texts(body: Any) -> Iterator[str]:
    """All texts in a body."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, dict):
        for key, value in body.items():
            yield str(key)
            yield from _texts(value)
    elif isinstance(body, list):
        for item in body:
            yield from _texts(item)


# -- what is searched for ---------------------------------------------------------------------------------------------


def needles(secret: str) -> tuple[Needle, ...]:
    """All forms of a secret once escapes are undone."""
    meant = [layer.text for layer in layers(secret)]  # it may itself look like escapes, which may mean no text
    unescaped = [text.decode("utf-8", "replace") for text in meant]
    forms = {*unescaped, secret.replace(" ", "+"), secret.lower(), secret.upper()}
    code = secret.encode("utf-8", "surrogatepass").hex()
    forms |= {code, code.upper()}
    found = {*meant, *(one.encode("utf-8", "surrogatepass") for one in forms)}
    found |= {
        one[SHORTEST:].lstrip().encode("utf-8", "surrogatepass") for one in unescaped if len(one) >= SHORTEST + _TAIL
    }
    found |= {seen for one in found if not one.isascii() for seen in _misread(one)}
    wanted = [(one[:_HEAD], one) for one in found.union(_in_base64(secret)) if len(one) >= SHORTEST]
    return tuple((head, one, head.decode("latin-1")) for head, one in wanted)


def _misread(forms: bytes) -> Iterator[bytes]:
    """The forms of letters beyond ASCII where UTF-8 is read as Latin-1, as headers are sent, or the reverse."""
    yield forms.decode("latin-1").encode()
    yield forms.decode("utf-8", "replace").encode()
    with contextlib.suppress(UnicodeError):
        latin = forms.decode().encode("latin-1")
        yield latin
        yield latin.decode("utf-8", "replace").encode()


def _flat(known: Mapping[str, tuple[Needle, ...]]) -> tuple[Needle, ...]:
    return tuple(needle for needles in known.values() for needle in needles)


def _in_base64(secret: str) -> Iterator[bytes]:
    """A secret in base64: alone, and after any other bytes, for three bytes are encoded at a time."""
    raw = secret.encode("utf-8", "surrogatepass")
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        yield code(raw).rstrip(b"=")
        for before in range(3):
            end = (before + len(raw)) * 8 // 6  # its last letter may depend on what follows
            yield code(b"\0" * before + raw)[-(-before * 8 // 6) : end]


def _found(layer: Layer, wanted: Iterable[Needle]) -> Iterator[Span]:
    """Where secrets stand, and beginnings of them before a cut or the end, where a lost connection has cut them."""
    text = layer.text
    for head, needle, _ in wanted:
        at = text.find(head)
        while at >= 0:
            end = at + len(needle) if text.startswith(needle, at) else _cut_short(text, at, needle)
            if end:
                yield layer.place(at), layer.place(end)
            at = text.find(head, end or at + 1)


def _cut_short(text: bytes, at: int, needle: bytes) -> int:
    """Where a secret that begins at a place was cut, 0 if what stands there is something else."""
    most = at + len(needle)
    end = text.find(_CUT, at, most + len(_CUT))
    end = end if end >= 0 else len(text) if len(text) < most else 0
    return end if end - at >= _HEAD and needle.startswith(text[at:end]) else 0


def _masked(text: str, spans: list[Span]) -> str:
    raw, parts, at = text.encode("utf-8", "surrogatepass"), [], 0
    start, end = spans[0]
    for one in [*spans[1:], (len(raw) + 1, 0)]:
        if one[0] < end:  # they overlap
            end = max(end, one[1])
            continue
        parts += [raw[at:start], MASK.encode()]
        at, (start, end) = end, one
    return b"".join([*parts, raw[at:]]).decode("utf-8", "surrogatepass")
