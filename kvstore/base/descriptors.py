"""How many files and sockets this process may have open, and the share that connections of others may not take.

A process out of descriptors cannot roll its log, reach another member or read a certificate. So listeners stop taking
connections while a reserve is left, as etcd's do (its pkg/runtime keeps 150). No count is kept: the system hands out
the lowest free number, so a new socket's own number says how many are open at least.
"""

import resource

RESERVED_COUNT = 150
"""Kept for logs, snapshots, members, children and the connections that a listener opens itself."""

_MOST_COUNT = 1 << 20
"""More than a process of ours can use; some containers have a hard limit of a billion."""


def limit() -> int:
    """How many this process may open now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_COUNT if soft == resource.RLIM_INFINITY else soft


def ceiling() -> int:
    """The first descriptor that a connection of somebody else must not have.

    Asked for each connection, since limits of running processes may be changed. Half of a very low limit is kept.
    """
    most = limit()
    return most - min(RESERVED_COUNT, most // 2)


def raise_limit() -> None:
    """Take all that the system grants (the soft limit becomes the hard one), as programs in Go do at their start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_COUNT if hard == resource.RLIM_INFINITY else min(hard, _MOST_COUNT)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
