"""Writes the head of an HTTP/1.1 request, and refuses whatever would change what the head says."""

import re
from collections.abc import Mapping

# A value with a line end in it would be a header more (RFC 9110, 5.5), a target with a blank another version.
_NO_TOKEN = re.compile(r"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_NO_TARGET = re.compile(r"[\x00-\x20\x7f]")
_NO_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def request_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """The head, with the empty line that ends it.

    Raises:
        ValueError: HTTP cannot carry a part of it, which the message does not show.
    """
    names, values = [method, *headers], "".join(headers.values())
    if "" in names or _NO_TOKEN.search("".join(names)) or _NO_TARGET.search(target) or _NO_VALUE.search(values):
        raise ValueError("the request has a method, an address or a header that HTTP cannot carry")
    lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()], "", ""]
    return "\r\n".join(lines).encode("latin-1")


def authority(host: str, port: int | None = None) -> str:
    """Host and port, as the target of CONNECT and the `Host` header name them."""
    bare = host.strip("[]").partition("%")[0]  # a scope is this machine's affair
    named = f"[{bare}]" if ":" in bare else bare
    return named if port is None else f"{named}:{port}"
