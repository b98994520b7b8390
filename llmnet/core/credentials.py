"""Finds the credentials among headers, parameters of an address and a proxy: by their names."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

# Parts of names, and complete names, whatever their case, dashes, underscores and a leading `x-`.
_PARTS = (
    "auth", "key", "token", "secret", "cookie", "signature", "credential", "passw", "passphrase", "pwd", "session",
    "assertion", "jwt",
)  # fmt: skip
_NAMES = frozenset({"code", "sig", "sas", "sid", "pass", "pin", "otp", "ticket", "bearer"})


def in_headers(headers: Mapping[str, str | None]) -> list[str]:
    """The credentials among headers: the values, and what they are made of."""
    values = [value for name, value in headers.items() if value and is_credential(name)]
    return [part for value in values for part in (value, *_parts(value))]


def _parts(value: str) -> Iterator[str]:
    """What stands behind the name of a scheme, or in a cookie; the password of basic authentication."""
    scheme, _, rest = value.rpartition(" ")
    yield rest
    for pair in value.split(";") if "=" in value else ():
        yield pair.partition("=")[2].strip()
    if scheme.lower() == "basic":
        try:
            login = base64.b64decode(rest, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return
        yield from (login, login.partition(":")[2])


def in_query(url: str) -> list[str]:
    """The credentials in the query of an address; where its escapes are no UTF-8 they are read as Latin-1."""
    query = urlsplit(url).query if "?" in url else ""
    try:
        pairs = parse_qsl(query, errors="strict")
    except UnicodeDecodeError:
        pairs = parse_qsl(query, encoding="latin-1")
    return [value for name, value in pairs if is_credential(name)]


def in_proxy(proxy: str) -> list[str]:
    """The password of a proxy, or the user that stands for one, escaped and unescaped; and both as they are sent."""
    user, _, password = proxy.rpartition("@")[0].rpartition("://")[2].partition(":")
    secret = password or user
    return [secret, unquote(secret), unquote(f"{user}:{password}")] if secret else []


def is_credential(name: str) -> bool:
    """Whether the value of a header or parameter of that name is a credential."""
    plain = name.lower().replace("-", "").replace("_", "")
    return any(word in plain for word in _PARTS) or plain in _NAMES or plain.removeprefix("x") in _NAMES
