"""What a controller says of itself: its name, what it watches, its options, how it is built.

A descriptor stands as DESCRIPTOR beside each reconciler, and once in `controllers/catalog.py`. The manager reads it and
needs to know nothing else of the controller: the caches it starts and awaits are those the enabled descriptors declare,
and the flags of the program are those of their options.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from controlplane.api.resource import Resource
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller
from controlplane.program.options import Parsed


@dataclass(frozen=True, slots=True)
class NoOptions:
    """Nothing to be told."""


O = TypeVar("O")  # noqa: E741 (the field's type of options)


@dataclass(frozen=True, slots=True)
class Descriptor(Generic[O]):
    """A controller that can be run.

    `name` and `aliases` are upstream's, for `--controllers`. `watches` are the resources whose caches the controller
    reads: no other cache is given to it, and it starts only when these are filled. `watches_any_kind`: it also follows
    everything discovery shows that can be listed, watched and deleted, as that comes and goes. `component` is the name
    its events carry; empty means `name`.
    """

    name: str
    build: Callable[[Context, O], Controller[Any]]
    watches: tuple[Resource, ...]
    options: type[O]
    aliases: tuple[str, ...] = ()
    component: str = ""
    watches_any_kind: bool = False
    is_on_by_default: bool = True


def chosen(descriptors: Sequence[Descriptor[Any]], names: Sequence[str]) -> list[Descriptor[Any]]:
    """The descriptors that `--controllers` asks for; of a name said twice the first counts, as upstream.

    `*` means all that are on by default, `name` also this one, `-name` not this one. Raises ValueError on a name that
    is not known.
    """
    canonical = {alias: d.name for d in descriptors for alias in (d.name, *d.aliases)}
    wanted: dict[str, bool] = {}
    unknown: list[str] = []
    for word in names:
        name = canonical.get(word.removeprefix("-"))
        if name is not None:
            wanted.setdefault(name, not word.startswith("-"))
        elif word != "*":
            unknown.append(word.removeprefix("-"))
    if unknown:
        listed = ", ".join(f'"{name}"' for name in unknown)
        known = ", ".join(d.name for d in descriptors)
        raise ValueError(f"{listed} is not in the list of known controllers: {known}")
    everything = "*" in names
    return [d for d in descriptors if wanted.get(d.name, everything and d.is_on_by_default)]


def declared(descriptors: Sequence[Descriptor[Any]]) -> list[Resource]:
    """The resources whose caches some of the descriptors declare, each once, in order."""
    found = {r.group_resource: r for d in reversed(descriptors) for r in reversed(d.watches)}
    return list(reversed(found.values()))


def options_of(descriptors: Sequence[Descriptor[Any]]) -> list[type]:
    """The classes of options the descriptors have, each once."""
    return list(dict.fromkeys(d.options for d in descriptors if d.options is not NoOptions))


def built(descriptor: Descriptor[Any], context: Context, options: Parsed) -> Controller[Any]:
    """The controller, with its part of the options."""
    nothing = descriptor.options is NoOptions
    return descriptor.build(context, NoOptions() if nothing else options.of(descriptor.options))
