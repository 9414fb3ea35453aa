"""A request as a rule sees it: under the resource the rule names, its objects in that version.

Several rows of the scheme may be one store: versions of a kind, or two groups that share one. Rules with `matchPolicy:
Equivalent` are for all of them, and whoever is asked is shown the version he knows.

Source: apiserver/pkg/admission/{conversion.go,plugin/webhook/generic/webhook.go}, runtime's equivalent resource mapper.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.scheme import Scheme, split_api_version
from controlplane.apiserver.admission.interface import CONNECT, Attributes
from controlplane.apiserver.admission.selection import rules

# (object, the kind it is of, the kind it shall be of) -> a new object. May ask a conversion webhook.
Convert = Callable[[Obj, Kind, Kind], Awaitable[Obj]]


@dataclass(frozen=True, slots=True)
class GroupVersionKind:
    """A type by its names."""

    group: str
    version: str
    kind: str

    def to_dict(self) -> dict[str, str]:
        """As reviews carry it."""
        return {"group": self.group, "version": self.version, "kind": self.kind}

    def __str__(self) -> str:
        return f"{self.group}/{self.version}, Kind={self.kind}"


@dataclass(frozen=True, slots=True)
class View:
    """What one hook is shown: a resource, and the objects of the request as of `kind`; they are not to be changed."""

    resource: Resource
    kind: Kind
    type: GroupVersionKind
    obj: Obj | None
    old: Obj | None


def type_of(attributes: Attributes) -> GroupVersionKind:
    """The type of a request's object: of the options for CONNECT, else of the kind."""
    if attributes.operation == CONNECT and attributes.obj is not None:
        group, version = split_api_version(str(attributes.obj.get("apiVersion") or "v1"))
        return GroupVersionKind(group, version, str(attributes.obj.get("kind") or ""))
    row = attributes.kind.resource
    return GroupVersionKind(row.group, row.version, row.kind)


class Views:
    """Makes views, by the kinds that are served now."""

    def __init__(self, scheme: Callable[[], Scheme], convert: Convert) -> None:
        self._scheme = scheme
        self._convert = convert
        # What is known of `_known_for`, which is replaced when kinds come and go.
        self._known_for: Scheme | None = None
        self._known: dict[Resource, list[Resource]] = {}

    def matching(
        self, wanted: Iterable[Obj], attributes: Attributes, *, is_exact: bool
    ) -> Resource | None:
        """The resource by which the first fitting rule knows the request; None when no rule is for it."""
        wanted = list(wanted)
        if any(rules.matches(rule, attributes.resource, attributes) for rule in wanted):
            return attributes.resource
        if is_exact:
            return None
        others = self._equivalents(attributes.resource)
        for rule in wanted:
            for other in others:
                if rules.matches(rule, other, attributes):
                    return other
        return None

    def _equivalents(self, resource: Resource) -> list[Resource]:
        scheme = self._scheme()
        if scheme is not self._known_for:
            self._known_for, self._known = scheme, {}
        found = self._known.get(resource)
        if found is None:
            found = self._known[resource] = _others(scheme, resource)
        return found

    async def of(self, attributes: Attributes, resource: Resource) -> View:
        """The request as one for `resource`. APIError when an object cannot be converted."""
        own = attributes.kind
        kind = self.kind(attributes, resource)
        obj, old = attributes.obj, attributes.old
        if kind is own:
            return View(resource, own, type_of(attributes), obj, old)
        row = kind.resource
        return View(
            resource,
            kind,
            GroupVersionKind(row.group, row.version, row.kind),
            None if obj is None else await self._convert(obj, own, kind),
            None if old is None else await self._convert(old, own, kind),
        )

    def kind(self, attributes: Attributes, resource: Resource) -> Kind:
        """Of which kind the objects of the request are under `resource`."""
        is_own_body = attributes.kind.resource.kind != attributes.resource.kind
        if resource == attributes.resource or is_own_body:
            return attributes.kind
        return self._scheme().kind_of(resource)

    async def stored(self, obj: Obj, kind: Kind) -> Obj:
        """An object of the store, of a kind that is served, as one of `kind`."""
        if kind.converter is not None:
            [obj] = await kind.converter.stored([obj], kind.resource.group_version)
        if kind.from_storage is not None:
            obj = kind.from_storage(obj)
        if kind.converter is not None:
            return obj
        row = self._scheme().storage_row(kind.resource)
        source = self._scheme().kind_of(row) if row in set(self._scheme()) else kind
        if source is kind:
            row = kind.resource
            return {**obj, "apiVersion": row.group_version, "kind": row.kind}
        return await self._convert(obj, source, kind)

    async def back(self, obj: Obj, kind: Kind, attributes: Attributes) -> Obj:
        """An object of a view's kind as the request has it."""
        return obj if kind is attributes.kind else await self._convert(obj, kind, attributes.kind)


async def converted(obj: Obj, source: Kind, target: Kind) -> Obj:
    """`obj` of one version in another, by way of the stored one."""
    version = target.resource.group_version
    if target.converter is not None:
        [made] = await target.converter.convert([obj], version)
        return meta.copy_of(made)
    made = meta.copy_of(obj)
    if source.conversion is not None:
        made = source.conversion.to_stored(made)
    if target.conversion is not None:
        made = target.conversion.from_stored(made)
    return {**made, "apiVersion": version, "kind": target.resource.kind}


def _others(scheme: Scheme, resource: Resource) -> list[Resource]:
    """The rows whose objects are stored where those of `resource` are."""
    if scheme.by_plural(resource.group, resource.version, resource.plural) is None:
        return []
    stored = scheme.storage_row(resource).key_prefix
    return [
        row for row in scheme if row != resource and scheme.storage_row(row).key_prefix == stored
    ]
