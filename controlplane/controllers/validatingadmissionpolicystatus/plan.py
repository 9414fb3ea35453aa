"""Which types a policy is checked against, and whether it is to be checked. Pure.

Source: apiserver/pkg/admission/plugin/policy/validating/typechecking.go (typesToCheck).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource

# As many types as upstream looks at for one policy.
_MAX_TYPES = 10


def is_due(policy: Obj) -> bool:
    """Whether the status tells of an older policy."""
    observed = meta.status(policy).get("observedGeneration") or 0
    return not meta.is_deleting(policy) and meta.generation(policy) > observed


def kinds_to_check(policy: Obj, served: Iterable[Resource]) -> list[Resource]:
    """The kinds that the rules name one by one, by group, version and kind; wildcards and subresources name none."""
    by_name = {(row.group, row.version, row.plural): row for row in served}
    match = meta.spec(policy).get("matchConstraints") or {}
    found: dict[tuple[str, str, str], Resource] = {}
    for rule in match.get("resourceRules") or ():
        for name in _named(rule):
            row = by_name.get(name)
            if row is not None and len(found) < _MAX_TYPES:
                found[(row.group, row.version, row.kind)] = row
    return [found[key] for key in sorted(found)]


def _named(rule: Obj) -> Iterator[tuple[str, str, str]]:
    groups, versions = rule.get("apiGroups") or (), rule.get("apiVersions") or ()
    if any("*" in word for word in (*groups, *versions)):
        return
    resources = [one for one in rule.get("resources") or () if "*" not in one and "/" not in one]
    for group in sorted(groups):
        for version in sorted(versions):
            for resource in sorted(resources):
                yield group, version, resource


def shown(row: Resource) -> str:
    """A type as warnings name it."""
    return f"{row.group}/{row.version}, Kind={row.kind}"


def custom_schema(crds: Iterable[Obj], row: Resource) -> Obj | None:
    """The schema of a custom resource in one version; None when no definition has it."""
    for crd in crds:
        spec = meta.spec(crd)
        if (spec.get("group"), (spec.get("names") or {}).get("plural")) != (row.group, row.plural):
            continue
        for version in spec.get("versions") or ():
            if version.get("name") == row.version:
                found: Obj = (version.get("schema") or {}).get("openAPIV3Schema") or {}
                return found
    return None
