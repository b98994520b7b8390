"""Tells addresses from names of hosts."""

import ipaddress


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
