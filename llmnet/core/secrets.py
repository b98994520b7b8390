"""Keeps the caller's secrets out of all that the caller sees: found by value, never by pattern."""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from llmnet.core.errors import LLMNetError
from llmnet.core.http import Headers, Meta

MASK = "***"
# JSON in a text, of which an exception shows the repr, of which a log shows the repr.
_NESTED = 3
CUT = "…"
# A shorter value is found in innocent words, and hides nothing that could not be guessed.
SHORTEST = 6
_TELLING = ("auth", "key", "token", "secret", "cookie", "signature")


class Secrets:
    """The secrets of a client, in every form in which they may come back."""

    __slots__ = ("_forms", "_known")

    def __init__(self, values: Iterable[str | None] = ()) -> None:
        self._known: set[str] = set()
        self._forms: list[str] = []
        for value in values:
            self.learn(value)

    def learn(self, value: str | None) -> None:
        """Note a secret, as when a renewed key is first used."""
        if value is None or value in self._known or len(value) < SHORTEST:
            return
        self._known.add(value)
        self._forms = sorted({form for known in self._known for form in forms(known)}, key=len, reverse=True)

    def also(self, values: Iterable[str]) -> "Secrets":
        """These secrets and the values of one call, which are forgotten with it."""
        more = list(values)
        return Secrets((*self._known, *more)) if more else self

    def hide(self, text: str) -> str:
        """The text without a secret."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return CUT.join(map(self._without_half, text.split(CUT)))

    def _without_half(self, text: str) -> str:
        """The text without the beginning of a secret at its end: we have cut it there, or a lost connection has."""
        for form in self._forms:
            # Not from SHORTEST characters on: so long is the word "Bearer".
            head, at = form[: SHORTEST + 1], max(0, len(text) - len(form))
            while (at := text.find(head, at)) >= 0:
                if form.startswith(text[at:]):
                    return text[:at] + MASK
                at += 1
        return text

    def clean(self, error: LLMNetError) -> LLMNetError:
        """The error without a secret; a foreign cause that shows one is left out."""
        vars(error).update({name: self._clean(fact) for name, fact in vars(error).items()})
        error.args = (error.message,)
        if error.meta is not None:
            self.clean_meta(error.meta)
        self._cut_causes(error)
        return error

    def clean_meta(self, meta: Meta) -> None:
        """Take secrets that a server echoed out of the headers and the id."""
        meta.request_id = meta.request_id and self.hide(meta.request_id)
        meta.headers = self.clean_headers(meta.headers)

    def clean_headers(self, headers: Headers) -> Headers:
        """The headers without a secret: nearly always the very same, which is found out at once."""
        said = "\n".join(headers.values())
        if not any(form in said for form in self._forms):
            return headers
        return Headers({name: self.hide(value) for name, value in headers.items()})

    def _clean(self, body: Any) -> Any:
        if isinstance(body, str):
            return self.hide(body)
        if isinstance(body, dict):
            return {self.hide(str(key)): self._clean(value) for key, value in body.items()}
        return [self._clean(item) for item in body] if isinstance(body, list) else body

    def _cut_causes(self, error: BaseException) -> None:
        """Cut the chain of causes at the first one whose text holds a secret."""
        seen: set[int] = set()
        while id(error) not in seen:
            seen.add(id(error))
            below = error.__cause__ or error.__context__
            if below is None:
                return
            if self.hide(text := f"{below} {below.args}") != text:
                error.__cause__ = error.__context__ = None
                return
            error = below


def cut(text: str, size: int) -> str:
    """The beginning of a text, with a mark where it was cut: there half a secret may stand."""
    return text if len(text) <= size else text[:size] + CUT


def forms(secret: str) -> set[str]:
    """A secret as it stands, and as a URL, JSON, a repr or base64 would carry it."""
    raw = secret.encode()
    written = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
    for _ in range(_NESTED):
        written |= {escape(form)[1:-1] for form in written for escape in (json.dumps, repr)}
    return written | {code(raw).decode().rstrip("=") for code in (base64.b64encode, base64.urlsafe_b64encode)}


def in_headers(headers: Mapping[str, str | None]) -> list[str]:
    """The credentials among headers: whole values, and what stands behind the name of a scheme."""
    values = [value for name, value in headers.items() if value and _is_telling(name)]
    return [part for value in values for part in (value, value.rpartition(" ")[2])]


def in_query(url: str) -> list[str]:
    """The credentials in the query of an address."""
    return [value for name, value in parse_qsl(urlsplit(url).query) if _is_telling(name)]


def in_proxy(proxy: str) -> list[str]:
    """The password of a proxy, or the name that stands for one, as written and as meant; and both, as they are sent."""
    user, _, password = proxy.rpartition("@")[0].rpartition("://")[2].partition(":")
    secret = password or user
    return [secret, unquote(secret), unquote(f"{user}:{password}")] if secret else []


def _is_telling(name: str) -> bool:
    return any(word in name.lower() for word in _TELLING)
