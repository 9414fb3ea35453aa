"""From one table to the next: nft commands in an order in which no packet meets a half-made Service. Pure.

Chains and sets are made and filled before anything leads to them, and taken away after nothing does any more. One
transaction may only be so large (the kernel refuses what does not fit into a socket's buffer), so the commands are
cut into several; each leaves the table whole.
"""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.proxy.rules import Table

MOST_COMMANDS = 2000
"""Commands a transaction at most: those of 400 Services with an endpoint each are as many and fit."""


def commands(old: Table, new: Table) -> list[str]:
    """What makes `new` of `old`; empty when they are equal."""
    t = f"ip {new.name}"
    fresh = [name for name in new.chains if name not in old.chains]
    changed = [
        name for name in new.chains if name in old.chains and new.chains[name] != old.chains[name]
    ]
    gone = [name for name in old.chains if name not in new.chains]
    result = [
        f"add set {t} {name} {{ {new.sets[name]} }}" for name in new.sets if name not in old.sets
    ]
    # All chains first: rules name chains that may come later in the list.
    result += [f"add chain {t} {name}" for name in fresh]
    for name in fresh:
        result += [f"add rule {t} {name} {rule}" for rule in new.chains[name]]
    for name in changed:
        result.append(_refilled(t, name, new.chains[name]))
    result += _elements(t, old, new)
    # A chain cannot go while another names it: all are emptied first.
    result += [f"flush chain {t} {name}" for name in gone]
    result += [f"delete chain {t} {name}" for name in gone]
    result += [f"delete set {t} {name}" for name in old.sets if name not in new.sets]
    return result


def _refilled(t: str, name: str, rules: tuple[str, ...]) -> str:
    """One piece, so that it is never cut: a chain must not stay empty between two transactions."""
    return "\n".join(
        [f"flush chain {t} {name}", *(f"add rule {t} {name} {rule}" for rule in rules)]
    )


def _elements(t: str, old: Table, new: Table) -> Iterator[str]:
    for name, key in old.elements:
        if (name, key) not in new.elements and not _moves(name, key, new):
            yield f"delete element {t} {name} {{ {key} }}"
    for (name, key), verdict in new.elements.items():
        before = old.elements.get((name, key))
        if before == verdict and (name, key) in old.elements:
            continue
        lines = []
        if before is not None:
            lines.append(f"delete element {t} {name} {{ {key} }}")
        lines += [
            f"delete element {t} {other} {{ {key} }}"
            for other in _TWINS.get(name, ())
            if (other, key) in old.elements and (other, key) not in new.elements
        ]
        leads = f" : {verdict}" if verdict else ""
        lines.append(f"add element {t} {name} {{ {key}{leads} }}")
        yield "\n".join(lines)


# A key stands in one of two maps: with endpoints, or without. It moves in one transaction.
_TWINS = {
    "service-ips": ("no-endpoint-ips",),
    "no-endpoint-ips": ("service-ips",),
    "node-ports": ("no-endpoint-ports",),
    "no-endpoint-ports": ("node-ports",),
}


def _moves(name: str, key: str, new: Table) -> bool:
    return any((other, key) in new.elements for other in _TWINS.get(name, ()))
