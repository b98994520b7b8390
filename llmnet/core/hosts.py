"""Tells addresses from names of hosts, and which of them are this machine or a server in this process."""

import ipaddress
from urllib.parse import urlsplit

SERVERS: set[tuple[str, int]] = set()
"""Host and port of each server that runs in this process: nothing else reaches it, so no proxy is asked for it.

All threads share it without a lock: to add, to discard and to look up are single steps of a set.
"""
_LOOPBACK = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "")  # noqa: S104 - a server at all addresses is here, too


def is_address(host: str) -> bool:
    """Whether a host is an IP address, an IPv6 one without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_this_machine(host: str) -> bool:
    """Whether a host, as it stands in an address, is the machine that runs the program."""
    if not is_address(host):
        return host.lower().rstrip(".").rpartition(".")[2] == "localhost"
    address = ipaddress.ip_address(host)
    return address.is_loopback or address.is_unspecified


def is_here(url: str) -> bool:
    """Whether a URL is the address of one of `SERVERS`, however loopback is called in it."""
    if not SERVERS:
        return False
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    names = _LOOPBACK if host in _LOOPBACK else (host,)
    return port is not None and any((name, port) in SERVERS for name in names)
