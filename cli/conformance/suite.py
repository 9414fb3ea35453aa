"""Which tests there are, which are to run, and in what order. Pure.

`e2e.test --list-conformance-tests` prints the conformance set as YAML: a list of entries with `codename`, the full name
of the spec. A spec's area is the first `[sig-...]` in it; `[Serial]` ones disturb others and run alone, after the rest.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_AREA = re.compile(r"^\[(sig-[a-z-]+)\]")
_SERIAL = ("[Serial]", "[Disruptive]")


@dataclass(frozen=True, slots=True)
class Spec:
    """One conformance test by its full name."""

    name: str

    @property
    def area(self) -> str:
        """`sig-node`, `sig-api-machinery`, ...; `other` when the name has none."""
        found = _AREA.match(self.name)
        return found.group(1) if found else "other"

    @property
    def is_serial(self) -> bool:
        """Whether nothing else may run meanwhile."""
        return any(mark in self.name for mark in _SERIAL)

    @property
    def focus(self) -> str:
        """A regular expression (Go's) that finds this spec.

        Ginkgo searches it in the suite's description, the name and the labels together, so neither end can be fixed;
        names end with `[Conformance]`, which keeps one from being the start of another.
        """
        return _quote(self.name)


def _quote(text: str) -> str:
    """`text` as a Go regular expression that matches it literally."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def from_listing(entries: Any) -> list[Spec]:
    """The specs of the program's own list (its YAML, parsed), each once, by name; ValueError for anything else."""
    if not isinstance(entries, list) or not entries:
        raise ValueError("the test program lists no conformance tests")
    names = set()
    for entry in entries:
        name = entry.get("codename") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not name:
            raise ValueError(f"an entry of the list of tests has no codename: {entry!r}")
        names.add(name.strip())
    return [Spec(name) for name in sorted(names)]


def choose(
    specs: Iterable[Spec],
    *,
    focus: str = "",
    skip: str = "",
    areas: Sequence[str] = (),
    done: Iterable[str] = (),
) -> list[Spec]:
    """The specs to run: `focus` and `skip` are regular expressions searched in names, `done` are names left out.

    Parallel ones come first, then the serial ones.
    """
    wanted, unwanted, left_out = re.compile(focus), re.compile(skip or r"(?!)"), set(done)
    chosen = [
        spec
        for spec in specs
        if wanted.search(spec.name)
        and not unwanted.search(spec.name)
        and (not areas or spec.area in areas)
        and spec.name not in left_out
    ]
    return sorted(chosen, key=lambda spec: spec.is_serial)
