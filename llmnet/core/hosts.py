"""Tells addresses from names of hosts."""

import ipaddress


def is_address(host: str) -> bool:
    """Whether a host is an IP address, an IPv6 one without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
