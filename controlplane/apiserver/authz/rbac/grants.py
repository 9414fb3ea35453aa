"""Who has which rules: an index of bindings by subject, kept by following the watch cache.

Bindings are found by the user's name and groups, never by walking all of them. What was found for a user in a
namespace is remembered until any of the four kinds changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.followed import Followed
from controlplane.apiserver.http.messages import User
from controlplane.kinds.rbac.cluster_role import CLUSTER_ROLES
from controlplane.kinds.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from controlplane.kinds.rbac.role import ROLES
from controlplane.kinds.rbac.role_binding import ROLE_BINDINGS
from controlplane.storage.watch_cache import WatchCache

# Users times namespaces whose rules are remembered.
_MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Grant:
    """The rules that one binding gives to one user; `source` is how verdicts name it."""

    source: str
    rules: tuple[Obj, ...]


@dataclass(frozen=True, slots=True)
class Grants:
    """All of a user's rules in a namespace; `missing` are roles that are bound and not there, as errors name them."""

    grants: tuple[Grant, ...] = ()
    missing: tuple[str, ...] = ()

    def rules(self) -> Iterable[Obj]:
        """The rules of all grants, in order."""
        for grant in self.grants:
            yield from grant.rules


@dataclass(slots=True)
class _Index:
    """Bindings of one kind by subject; keys keep the order of names."""

    by_subject: dict[tuple[str, str], dict[str, Obj]] = field(default_factory=dict)

    def add(self, key: str, binding: Obj) -> None:
        for subject in _subjects(binding):
            self.by_subject.setdefault(subject, {})[key] = binding

    def remove(self, key: str, binding: Obj) -> None:
        for subject in _subjects(binding):
            found = self.by_subject.get(subject)
            if found is not None:
                found.pop(key, None)
                if not found:
                    del self.by_subject[subject]

    def of(self, user: User) -> list[tuple[str, Obj]]:
        """The user's bindings in order of their keys."""
        found = dict(self.by_subject.get(("User", user.name), {}))
        for group in user.groups:
            found.update(self.by_subject.get(("Group", group), {}))
        return sorted(found.items())


def _subjects(binding: Obj) -> set[tuple[str, str]]:
    """The index entries of a binding; a service account is the user that it asks as."""
    place = meta.namespace(binding)
    found = set()
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), str(subject.get("name") or "")
        if kind == "ServiceAccount":
            namespace = subject.get("namespace") or place
            if namespace:
                found.add(("User", f"system:serviceaccount:{namespace}:{name}"))
        elif kind in ("User", "Group"):
            found.add((kind, name))
    return found


class GrantIndex:
    """Looks up what users have."""

    def __init__(self, caches: WatchCache) -> None:
        self._caches = caches
        # The hub's revision when the four kinds were last looked at: mostly nothing has been written since.
        self._seen_revision = 0
        self._cluster_bindings = Followed(CLUSTER_ROLE_BINDINGS, caches)
        self._bindings = Followed(ROLE_BINDINGS, caches)
        self._cluster_roles = Followed(CLUSTER_ROLES, caches)
        self._roles = Followed(ROLES, caches)
        self._cluster_index = _Index()
        # Namespace -> index, so that a user of many namespaces costs one of them.
        self._indexes: dict[str, _Index] = {}
        self._remembered: dict[tuple[str, tuple[str, ...], str], Grants] = {}

    async def of(self, user: User, namespace: str) -> Grants:
        """What `user` may do in `namespace`, and everywhere; empty is the cluster scope. Raises when it cannot tell."""
        await self._refresh()
        key = (user.name, user.groups, namespace)
        found = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[key] = self._collect(user, namespace)
        return found

    async def role(self, reference: Obj, namespace: str) -> Obj | None:
        """The role that a roleRef of a binding in `namespace` means, None when it is not there."""
        await self._refresh()
        return self._find(reference, namespace)

    def _find(self, reference: Obj, namespace: str) -> Obj | None:
        name = str(reference.get("name") or "")
        if reference.get("kind") == "Role":
            return self._roles.find(namespace, name)
        return self._cluster_roles.find("", name)

    async def _refresh(self) -> None:
        revision = self._caches.revision
        if revision and revision == self._seen_revision:
            return
        has_changed = False
        for followed in (self._cluster_roles, self._roles):
            changes = await followed.changes()
            has_changed = has_changed or changes is None or bool(changes)
        has_changed |= await self._follow(self._cluster_bindings)
        has_changed |= await self._follow(self._bindings)
        if has_changed:
            self._remembered.clear()
        self._seen_revision = revision

    async def _follow(self, followed: Followed) -> bool:
        changes = await followed.changes()
        if changes is None:
            if followed is self._bindings:
                self._indexes.clear()
            else:
                self._cluster_index = _Index()
            for key, binding in followed.items():
                self._index(meta.namespace(binding)).add(key, binding)
            return True
        for one in changes:
            if one.before is not None:
                self._index(meta.namespace(one.before)).remove(one.key, one.before)
            if one.after is not None:
                self._index(meta.namespace(one.after)).add(one.key, one.after)
        return bool(changes)

    def _index(self, namespace: str) -> _Index:
        if not namespace:
            return self._cluster_index
        return self._indexes.setdefault(namespace, _Index())

    def _collect(self, user: User, namespace: str) -> Grants:
        grants: list[Grant] = []
        missing: list[str] = []
        found = [(one, "") for _, one in self._cluster_index.of(user)]
        if namespace in self._indexes:
            found += [(one, namespace) for _, one in self._indexes[namespace].of(user)]
        for binding, place in found:
            reference = binding.get("roleRef") or {}
            role = self._find(reference, place)
            if role is None:
                plural = "role" if reference.get("kind") == "Role" else "clusterrole"
                missing.append(
                    f'{plural}.rbac.authorization.k8s.io "{reference.get("name")}" not found'
                )
                continue
            rules = tuple(role.get("rules") or ())
            grants.append(Grant(_source(binding, user, place), rules))
        return Grants(tuple(grants), tuple(missing))


def _source(binding: Obj, user: User, namespace: str) -> str:
    reference = binding.get("roleRef") or {}
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    name = meta.name(binding) + (f"/{namespace}" if namespace else "")
    return (
        f'{kind} "{name}" of {reference.get("kind")} "{reference.get("name")}" to '
        f"{_subject_of(binding, user, namespace)}"
    )


def _subject_of(binding: Obj, user: User, namespace: str) -> str:
    """The first subject of the binding that is the user, as verdicts name it."""
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name")
        if kind == "ServiceAccount":
            place = subject.get("namespace") or namespace
            if user.name == f"system:serviceaccount:{place}:{name}":
                return f'ServiceAccount "{name}/{place}"'
        elif (kind == "User" and name == user.name) or (kind == "Group" and name in user.groups):
            return f'{kind} "{name}"'
    return ""
