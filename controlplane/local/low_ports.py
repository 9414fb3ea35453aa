"""Ports below those that anybody may listen at: an ordinary user gets others in their place."""

import os
from pathlib import Path

_LOWEST = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_USUAL = 1024
_ABOVE = 8000
"""80 becomes 8080, 443 becomes 8443."""


def first_port() -> int:
    """The first port that this process may listen at; where that is not told, by custom."""
    if os.geteuid() == 0:
        return 1
    try:
        return int(_LOWEST.read_text())
    except (OSError, ValueError):
        return _USUAL


def port_instead(port: int, first: int) -> int:
    """Where a port of a balancer is served on the machine, when `first` is the first that may be had. Pure."""
    return port if port >= first else port + _ABOVE
