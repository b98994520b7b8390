"""Keeps the caller's secrets out of all that the caller sees: found by value, never by pattern."""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from llmnet.core.errors import APIStatusError, LLMNetError
from llmnet.core.http import Headers, Meta

MASK = "***"
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
        return text

    def clean(self, error: LLMNetError) -> LLMNetError:
        """The error without a secret; a foreign cause that shows one is left out."""
        error.message = self.hide(error.message)
        error.args = (error.message,)
        if isinstance(error, APIStatusError):
            error.body = self._clean(error.body)
        if error.meta is not None:
            self.clean_meta(error.meta)
        self._cut_causes(error)
        return error

    def clean_meta(self, meta: Meta) -> None:
        """Take secrets that a server echoed out of the headers."""
        if any(self.hide(value) is not value for value in meta.headers.values()):
            meta.headers = Headers({name: self.hide(value) for name, value in meta.headers.items()})

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


def forms(secret: str) -> set[str]:
    """A secret as it stands, and as a URL, JSON, a repr or base64 would carry it."""
    raw = secret.encode()
    return {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }


def in_headers(headers: Mapping[str, str | None]) -> list[str]:
    """The credentials among headers: whole values, and what stands behind the name of a scheme."""
    values = [value for name, value in headers.items() if value and _is_telling(name)]
    return [part for value in values for part in (value, value.rpartition(" ")[2])]


def in_query(url: str) -> list[str]:
    """The credentials in the query of an address."""
    return [value for name, value in parse_qsl(urlsplit(url).query) if _is_telling(name)]


def in_proxy(proxy: str) -> list[str]:
    """The password of a proxy, or the name that stands for one, as written and as meant."""
    user, _, password = proxy.rpartition("@")[0].rpartition("://")[2].partition(":")
    secret = password or user
    return [secret, unquote(secret)] if secret else []


def _is_telling(name: str) -> bool:
    return any(word in name.lower() for word in _TELLING)
