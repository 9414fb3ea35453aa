"""Rules of roles: does one allow a request, do some cover others. Pure.

A rule is the dict of a PolicyRule. It speaks either of resources (groups, resources, names, verbs) or of paths. `*` is
everything; a resource `*/scale` is that subresource of everything; a path may end in `*`.

Source: pkg/apis/rbac/v1/evaluation_helpers.go, component-helpers/auth/rbac/validation/policy_comparator.go,
pkg/registry/rbac/validation/policy_compact.go.
"""

import json
from collections.abc import Iterable, Sequence

from controlplane.api.meta import Obj
from controlplane.apiserver.authz.interface import Attributes

_ALL = "*"


def allows(rule: Obj, attributes: Attributes) -> bool:
    """Whether the rule allows what is asked."""
    verbs = rule.get("verbs") or ()
    if _ALL not in verbs and attributes.verb not in verbs:
        return False
    if not attributes.is_resource:
        return any(path_covers(path, attributes.path) for path in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if _ALL not in groups and attributes.group not in groups:
        return False
    names = rule.get("resourceNames")
    if names and attributes.name not in names:
        return False
    return _resource_matches(
        rule.get("resources") or (), attributes.resource, attributes.subresource
    )


def _resource_matches(resources: Sequence[str], resource: str, subresource: str) -> bool:
    if _ALL in resources:
        return True
    if not subresource:
        return resource in resources
    return f"{resource}/{subresource}" in resources or f"*/{subresource}" in resources


def path_covers(owned: str, path: str) -> bool:
    """Whether a path of a rule takes in another."""
    return owned == path or (owned.endswith(_ALL) and path.startswith(owned.rstrip(_ALL)))


def uncovered(owned: Iterable[Obj], wanted: Iterable[Obj]) -> list[Obj]:
    """What of the wanted rules no owned rule takes in, as rules of one verb and one thing each."""
    rules = list(owned)
    return [
        atom
        for rule in wanted
        for atom in _atoms(rule)
        if not any(_covers(one, atom) for one in rules)
    ]


def _atoms(rule: Obj) -> Iterable[Obj]:
    """The rule in parts of one group, one resource, one name and one verb, or one path and one verb."""
    verbs = rule.get("verbs") or ()
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in verbs:
                part: Obj = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                names = rule.get("resourceNames") or ()
                if not names:
                    yield part
                for name in names:
                    yield {**part, "resourceNames": [name]}
    for path in rule.get("nonResourceURLs") or ():
        for verb in verbs:
            yield {"nonResourceURLs": [path], "verbs": [verb]}


def _covers(owned: Obj, atom: Obj) -> bool:
    verbs = owned.get("verbs") or ()
    if _ALL not in verbs and atom["verbs"][0] not in verbs:
        return False
    if "nonResourceURLs" in atom:
        path = atom["nonResourceURLs"][0]
        return any(path_covers(one, path) for one in owned.get("nonResourceURLs") or ())
    groups = owned.get("apiGroups") or ()
    if _ALL not in groups and atom["apiGroups"][0] not in groups:
        return False
    names = owned.get("resourceNames")
    if names and (not atom.get("resourceNames") or atom["resourceNames"][0] not in names):
        return False
    resource, _, subresource = atom["resources"][0].partition("/")
    return _resource_matches(owned.get("resources") or (), resource, subresource)


def described(rules: Iterable[Obj]) -> str:
    """Atoms as a refusal names them: verbs of one thing together, a line each, in order."""
    grouped: dict[str, Obj] = {}
    for atom in rules:
        key = json.dumps({name: value for name, value in atom.items() if name != "verbs"})
        if "nonResourceURLs" in atom:
            # Paths are told apart by verb, too, as upstream does.
            key += atom["verbs"][0]
        known = grouped.setdefault(key, {**atom, "verbs": []})
        known["verbs"].extend(atom["verbs"])
    return "\n".join(sorted({_shown(rule) for rule in grouped.values()}))


_SHOWN = (
    ("apiGroups", "APIGroups"),
    ("resources", "Resources"),
    ("nonResourceURLs", "NonResourceURLs"),
    ("resourceNames", "ResourceNames"),
    ("verbs", "Verbs"),
)


def _shown(rule: Obj) -> str:
    parts = [
        f"{word}:[{' '.join(json.dumps(value) for value in rule[field])}]"
        for field, word in _SHOWN
        if rule.get(field)
    ]
    return "{" + ", ".join(parts) + "}"
