"""CustomResourceDefinitions: kinds that users bring.

Source: apiextensions-apiserver/pkg/registry/customresourcedefinition/strategy.go,
pkg/apis/apiextensions/v1/defaults.go.
"""

from __future__ import annotations

from controlplane.api import conditions, meta, names
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.validation import causes

CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=(STATUS,),
    storage="apiextensions.k8s.io/customresourcedefinitions",
)
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
"""Holds a definition until all its objects are gone."""


def storage_version(crd: Obj) -> str:
    """The version under which objects are kept; empty when the definition names none."""
    for version in meta.spec(crd).get("versions") or ():
        if version.get("storage"):
            return str(version.get("name") or "")
    return ""


class _Strategy(SpecStrategy):
    """storedVersions grows with each storage version there was; DELETE waits for the objects of the kind."""

    def prepare_for_create(self, obj: Obj) -> None:
        super().prepare_for_create(obj)
        stored = storage_version(obj)
        obj["status"] = {
            "acceptedNames": {"kind": "", "plural": ""},
            "conditions": None,
            "storedVersions": [stored] if stored else [],
        }

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        super().prepare_for_update(obj, live)
        stored = storage_version(obj)
        known = meta.status(obj).get("storedVersions") or []
        if stored and stored not in known:
            obj["status"] = {**meta.status(obj), "storedVersions": [*known, stored]}

    def holds_deletion(self, obj: Obj) -> bool:
        """The first DELETE only marks, whatever finalizers there are."""
        return not meta.is_deleting(obj)

    def mark_deleting(self, obj: Obj) -> None:
        """Wait for the objects."""
        finalizers = meta.finalizers(obj)
        if FINALIZER not in finalizers:
            obj["metadata"]["finalizers"] = [*finalizers, FINALIZER]
        rows = [dict(row) for row in meta.status(obj).get("conditions") or ()]
        row = {
            "type": "Terminating",
            "status": "True",
            "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        }
        conditions.set(rows, row, str(obj["metadata"]["deletionTimestamp"]))
        obj["status"] = {**meta.status(obj), "conditions": rows}


def _default(obj: Obj) -> None:
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return
    kinds = spec.get("names")
    if isinstance(kinds, dict):
        kind = str(kinds.get("kind") or "")
        if kind and not kinds.get("singular"):
            kinds["singular"] = kind.lower()
        if kind and not kinds.get("listKind"):
            kinds["listKind"] = f"{kind}List"
    if not spec.get("conversion"):
        spec["conversion"] = {"strategy": "None"}
    webhook = spec["conversion"].get("webhook") or {}
    service = (webhook.get("clientConfig") or {}).get("service")
    if isinstance(service, dict) and service.get("port") is None:
        service["port"] = 443


def _validate(obj: Obj) -> list[Cause]:
    spec = meta.spec(obj)
    group, kinds = str(spec.get("group") or ""), spec.get("names") or {}
    found: list[Cause] = []
    wanted = f"{kinds.get('plural') or ''}.{group}"
    if meta.name(obj) != wanted:
        found.append(
            causes.invalid(
                "metadata.name", meta.name(obj), 'must be spec.names.plural+"."+spec.group'
            )
        )
    if not group:
        found.append(causes.required("spec.group"))
    else:
        found += causes.each("spec.group", group, names.dns_subdomain(group))
        if "." not in group:
            found.append(
                causes.invalid("spec.group", group, "should be a domain with at least one dot")
            )
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        if not spec.get("scope"):
            found.append(causes.required("spec.scope"))
        else:
            found.append(
                causes.not_supported("spec.scope", spec["scope"], ("Cluster", "Namespaced"))
            )
    versions = [
        version.get("name") for version in spec.get("versions") or () if version.get("storage")
    ]
    if len(versions) != 1:
        found.append(
            causes.invalid(
                "spec.versions",
                spec.get("versions"),
                "must have exactly one version marked as storage version",
            )
        )
    for key in ("plural", "singular", "kind", "listKind"):
        if not kinds.get(key):
            found.append(causes.required(f"spec.names.{key}"))
    for number, version in enumerate(spec.get("versions") or ()):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            path = f"spec.versions[{number}].schema.openAPIV3Schema"
            found.append(causes.required(path, "schemas are required"))
    return found


KIND = Kind(CUSTOM_RESOURCE_DEFINITIONS, strategy=_Strategy, default=_default, validate=_validate)
