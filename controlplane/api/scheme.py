"""The table of served kinds, and how to find a row in it.

Discovery, OpenAPI, routing and storage all read such a table. It never changes: the API server holds the current one
and replaces it when custom resources come and go; tests may build their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from controlplane.api.kind import Kind
from controlplane.api.resource import ALL_VERBS, Resource, Subresource

__all__ = ["ALL_VERBS", "Resource", "Scheme", "Subresource", "split_api_version"]


class Scheme:
    """An immutable lookup table over kinds. Rows are `Resource`s; `kind_of` leads from a row to its `Kind`."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = {kind.resource: kind for kind in kinds}
        self._rows = tuple(self._kinds)
        self._by_plural = {(row.group, row.version, row.plural): row for row in self._rows}
        self._by_kind = {(row.group_version, row.kind): row for row in self._rows}

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """All kinds in the order of discovery."""
        return tuple(self._kinds.values())

    def all(self) -> tuple[Resource, ...]:
        """All rows in the order of discovery."""
        return self._rows

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._rows)

    def kind_of(self, resource: Resource) -> Kind:
        """The kind of a row; KeyError when it is not served."""
        return self._kinds[resource]

    def with_kinds(self, *kinds: Kind) -> Scheme:
        """A scheme that serves these too, each in place of the one of the same group, version and plural."""
        mine = {_identity(kind): kind for kind in self.kinds}
        return Scheme((mine | {_identity(kind): kind for kind in kinds}).values())

    def without(self, *resources: Resource) -> Scheme:
        """A scheme that does not serve these."""
        return Scheme(kind for kind in self.kinds if kind.resource not in resources)

    def by_plural(self, group: str, version: str, plural: str) -> Resource | None:
        """The row of a URL's group, version and resource; None when not served."""
        return self._by_plural.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """The row of an object's apiVersion and kind; None when not served."""
        return self._by_kind.get((api_version, kind))

    def of(self, kind: str) -> Resource:
        """The first row of a kind by its bare name; KeyError when there is none.

        For code that works on built-in kinds and would only fail by a programming error.
        """
        for row in self._rows:
            if row.kind == kind:
                return row
        raise KeyError(kind)

    def find(self, word: str) -> Resource | None:
        """The row a person means: plural, singular, kind or short name, any case."""
        low = word.lower()
        for row in self._rows:
            if low in (row.plural, row.singular, row.kind.lower(), row.group_resource):
                return row
            if low in row.short_names:
                return row
        return None

    def storage_row(self, resource: Resource) -> Resource:
        """The row under which the objects are stored (differs for second spellings only)."""
        conversion = self._kinds[resource].conversion
        if conversion is None:
            return resource
        stored = self._by_plural.get(conversion.stored_as)
        # A version that is not served may be the one that is stored all the same.
        return stored or replace(resource, version=conversion.stored_as[1])

    def groups(self) -> list[str]:
        """Group names in order of appearance; the legacy group is the empty string."""
        return list(dict.fromkeys(row.group for row in self._rows))

    def versions(self, group: str) -> list[str]:
        """Versions of a group, the preferred first."""
        return list(dict.fromkeys(row.version for row in self._rows if row.group == group))

    def group_versions(self) -> list[tuple[str, str]]:
        """All (group, version) pairs in order."""
        return list(dict.fromkeys((row.group, row.version) for row in self._rows))

    def in_group_version(self, group: str, version: str) -> list[Resource]:
        """The rows of one group version."""
        return [row for row in self._rows if (row.group, row.version) == (group, version)]


def _identity(kind: Kind) -> tuple[str, str, str]:
    return (kind.resource.group, kind.resource.version, kind.resource.plural)


def split_api_version(api_version: str) -> tuple[str, str]:
    """`apps/v1` -> (`apps`, `v1`), `v1` -> (``, `v1`)."""
    group, _, version = api_version.rpartition("/")
    return group, version
