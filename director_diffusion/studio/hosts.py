"""Hosts: names and addresses that mean this very machine.

Belongs here: what may be served, and answered, without asking for anybody's name.
"""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it: `localhost`, or an address, one of IPv6 with or without brackets."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return host == "localhost"
