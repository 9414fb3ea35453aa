"""FlowSchemas: which requests belong to which priority level.

Source: pkg/apis/flowcontrol/validation/validation.go.
"""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import or_text, text
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import Items, Pointer, Shape
from controlplane.kinds.flowcontrol.status import FlowStrategy, validate_status
from controlplane.kinds.flowcontrol.subjects import validate_subject

FLOW_SCHEMAS = Resource(
    "flowcontrol.apiserver.k8s.io",
    "v1",
    "FlowSchema",
    "flowschemas",
    namespaced=False,
    subresources=(STATUS,),
)

MATCHING_PRECEDENCE = 1000
_LAST_PRECEDENCE = 10000
_EXEMPT = "exempt"
_METHODS = ("ByNamespace", "ByUser")
_VERBS = (
    *("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"),
)
_ALL = "*"
_NAME = Shape((("Name", "name", ""),))
_METHOD = Shape((("Type", "type", ""),))
_SUBJECT = Shape(
    (
        ("Kind", "kind", ""),
        ("User", "user", Pointer(_NAME)),
        ("Group", "group", Pointer(_NAME)),
        (
            "ServiceAccount",
            "serviceAccount",
            Pointer(Shape((("Namespace", "namespace", ""), ("Name", "name", "")))),
        ),
    )
)
_RESOURCE_RULE = Shape(
    (
        ("Verbs", "verbs", None),
        ("APIGroups", "apiGroups", None),
        ("Resources", "resources", None),
        ("ClusterScope", "clusterScope", False),
        ("Namespaces", "namespaces", None),
    )
)
_OTHER_RULE = Shape((("Verbs", "verbs", None), ("NonResourceURLs", "nonResourceURLs", None)))
_RULE = Shape(
    (
        ("Subjects", "subjects", Items(_SUBJECT)),
        ("ResourceRules", "resourceRules", Items(_RESOURCE_RULE)),
        ("NonResourceRules", "nonResourceRules", Items(_OTHER_RULE)),
    )
)
_SPEC = Shape(
    (
        ("PriorityLevelConfiguration", "priorityLevelConfiguration", _NAME),
        ("MatchingPrecedence", "matchingPrecedence", 0),
        ("DistinguisherMethod", "distinguisherMethod", Pointer(_METHOD)),
        ("Rules", "rules", Items(_RULE)),
    )
)


def _everything_of(*groups: str) -> Obj:
    return {
        "subjects": [{"kind": "Group", "group": {"name": group}} for group in groups],
        "resourceRules": [
            {
                "verbs": [_ALL],
                "apiGroups": [_ALL],
                "resources": [_ALL],
                "clusterScope": True,
                "namespaces": [_ALL],
            }
        ],
        "nonResourceRules": [{"verbs": [_ALL], "nonResourceURLs": [_ALL]}],
    }


MANDATORY: dict[str, Obj] = {
    _EXEMPT: {
        "priorityLevelConfiguration": {"name": _EXEMPT},
        "matchingPrecedence": 1,
        "rules": [_everything_of("system:masters")],
    },
    "catch-all": {
        "priorityLevelConfiguration": {"name": "catch-all"},
        "matchingPrecedence": _LAST_PRECEDENCE,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [_everything_of("system:unauthenticated", "system:authenticated")],
    },
}
"""The specs that the schemas of these names must have."""


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    spec = part(obj, "spec")
    spec["matchingPrecedence"] = spec.get("matchingPrecedence") or MATCHING_PRECEDENCE


def validate(obj: Obj) -> list[Cause]:
    """Causes in a schema."""
    name, spec = meta.name(obj), meta.spec(obj)
    causes = _spec(name, spec)
    fixed = MANDATORY.get(name)
    if fixed is not None and not is_same(spec, fixed):
        detail = f"spec of '{name}' must equal the fixed value"
        causes.append(fields.invalid("spec", _SPEC.of(spec), detail))
    return causes + validate_status(obj)


def _spec(name: str, spec: Obj) -> list[Cause]:
    precedence, where = spec.get("matchingPrecedence") or 0, "spec.matchingPrecedence"
    causes: list[Cause] = []
    if precedence <= 0:
        causes.append(fields.invalid(where, precedence, "must be a positive value"))
    if precedence > _LAST_PRECEDENCE:
        detail = f"must not be greater than {_LAST_PRECEDENCE}"
        causes.append(fields.invalid(where, precedence, detail))
    if precedence == 1 and name != _EXEMPT:
        detail = "only the schema named 'exempt' may have matchingPrecedence 1"
        causes.append(fields.invalid(where, precedence, detail))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in _METHODS:
        where = "spec.distinguisherMethod.type"
        causes.append(fields.not_supported(where, _METHOD.of(method), _METHODS))
    level = (spec.get("priorityLevelConfiguration") or {}).get("name") or ""
    where = "spec.priorityLevelConfiguration.name"
    if level:
        causes += fields.each(where, level, names.dns_subdomain(level))
    else:
        causes.append(fields.required(where, "must reference a priority level"))
    for index, rule in enumerate(spec.get("rules") or ()):
        causes += _rule(rule, f"spec.rules[{index}]")
    return causes


def _rule(rule: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    subjects = rule.get("subjects") or ()
    for index, subject in enumerate(subjects):
        causes += validate_subject(subject, f"{path}.subjects[{index}]")
    if not subjects:
        detail = "subjects must contain at least one value"
        causes.append(fields.required(f"{path}.subjects", detail))
    of_resources = rule.get("resourceRules") or ()
    of_others = rule.get("nonResourceRules") or ()
    if not of_resources and not of_others:
        detail = "at least one of resourceRules and nonResourceRules has to be non-empty"
        causes.append(fields.required(path, detail))
    for index, row in enumerate(of_resources):
        causes += _resource_rule(row, f"{path}.resourceRules[{index}]")
    for index, row in enumerate(of_others):
        causes += _other_rule(row, f"{path}.nonResourceRules[{index}]")
    return causes


def _verbs(row: Obj, path: str) -> list[Cause]:
    verbs = row.get("verbs") or []
    if not verbs:
        return [fields.required(path, "verbs must contain at least one value")]
    if _ALL in verbs:
        return _alone(verbs, path, "verbs")
    if not set(verbs) <= set(_VERBS):
        return [fields.not_supported(path, verbs, _VERBS)]
    return []


def _alone(values: list[Any], path: str, what: str) -> list[Cause]:
    """A wildcard stands alone."""
    if len(values) == 1 or _ALL not in values:
        return []
    return [fields.invalid(path, values, f"if '*' is present, must not specify other {what}")]


def _resource_rule(row: Obj, path: str) -> list[Cause]:
    causes = _verbs(row, f"{path}.verbs")
    for key, one, many in (
        ("apiGroups", "api group", "api groups"),
        ("resources", "resource", "resources"),
    ):
        values = row.get(key) or []
        if values:
            causes += _alone(values, f"{path}.{key}", many)
        else:
            detail = f"resource rules must supply at least one {one}"
            causes.append(fields.required(f"{path}.{key}", detail))
    namespaces, where = row.get("namespaces") or [], f"{path}.namespaces"
    if not namespaces and not row.get("clusterScope"):
        detail = "resource rules that are not cluster scoped must supply at least one namespace"
        causes.append(fields.required(where, detail))
    elif _ALL in namespaces:
        causes += _alone(namespaces, where, "namespaces")
    else:
        intro = "each member of this list must be '*' or a DNS-1123 label; "
        for index, namespace in enumerate(namespaces):
            problems = [intro + problem for problem in names.dns_label(namespace)]
            causes += fields.each(f"{where}[{index}]", namespace, problems)
    return causes


def _other_rule(row: Obj, path: str) -> list[Cause]:
    causes = _verbs(row, f"{path}.verbs")
    urls, where = row.get("nonResourceURLs") or [], f"{path}.nonResourceURLs"
    if not urls:
        detail = "nonResourceURLs must contain at least one value"
        causes.append(fields.required(where, detail))
    elif _ALL in urls:
        causes += _alone(urls, where, "non-resource URLs")
    else:
        for index, url in enumerate(urls):
            problem = _url_problem(url)
            if problem:
                causes.append(fields.invalid(f"{where}[{index}]", url, problem))
    return causes


def _url_problem(url: str) -> str:
    if url == "/":
        return ""
    if not url:
        return "must not be empty"
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    wildcards = url.count(_ALL)
    if wildcards > 1 or (wildcards == 1 and not url.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


def _missing_level(obj: Obj, now: float) -> str:
    for row in meta.status(obj).get("conditions") or ():
        if row.get("type") == "Dangling":
            return str(row.get("status") or "")
    return "?"


def _precedence(obj: Obj, now: float) -> int:
    return int(meta.spec(obj).get("matchingPrecedence") or 0)


COLUMNS = (
    NAME,
    text(
        "PriorityLevel",
        cells.field("spec.priorityLevelConfiguration.name"),
        "Where the requests go.",
    ),
    text("MatchingPrecedence", _precedence, "The lowest that matches wins."),
    text(
        "DistinguisherMethod",
        or_text("spec.distinguisherMethod.type", "<none>"),
        "What tells flows apart.",
    ),
    AGE,
    text("MissingPL", _missing_level, "Whether the priority level is missing."),
)

KIND = Kind(
    FLOW_SCHEMAS,
    strategy=FlowStrategy,
    default=default,
    validate=validate,
    validate_status=validate_status,
    columns=COLUMNS,
    metadata_rules=~MetadataRules.CHANGED,
)
