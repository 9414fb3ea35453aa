"""CustomResourceDefinitions: kinds that users bring.

Source: apiextensions-apiserver/pkg/registry/customresourcedefinition/strategy.go,
pkg/apis/apiextensions/v1/defaults.go.
"""

from __future__ import annotations

from controlplane.api import conditions, meta
from controlplane.api.defaulting import part
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.kinds.apiextensions import definition_rules

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
    return (_storage_versions(crd) or [""])[0]


def _storage_versions(crd: Obj) -> list[str]:
    """The names of the versions that are marked; a name may be empty as long as nobody has looked."""
    versions = meta.spec(crd).get("versions") or ()
    return [str(version.get("name") or "") for version in versions if version.get("storage")]


class _Strategy(SpecStrategy):
    """storedVersions grows with each storage version there was; DELETE waits for the objects of the kind."""

    tells_conflicts_as_the_store = True
    allows_unconditional_update = False

    def prepare_for_create(self, obj: Obj) -> None:
        super().prepare_for_create(obj)
        obj["status"] = {
            "acceptedNames": {"kind": "", "plural": ""},
            "conditions": None,
            "storedVersions": _storage_versions(obj)[:1],
        }

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        super().prepare_for_update(obj, live)
        known = meta.status(obj).get("storedVersions") or []
        new = [name for name in _storage_versions(obj)[:1] if name not in known]
        if new:
            obj["status"] = {**meta.status(obj), "storedVersions": [*known, *new]}

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
    spec = part(obj, "spec")
    kinds = spec.get("names")
    if isinstance(kinds, dict):
        kind = str(kinds.get("kind") or "")
        if kind and not kinds.get("singular"):
            kinds["singular"] = kind.lower()
        if kind and not kinds.get("listKind"):
            kinds["listKind"] = f"{kind}List"
    if spec.get("conversion") is None:
        spec["conversion"] = {"strategy": "None"}
    webhook = spec["conversion"].get("webhook") or {}
    service = (webhook.get("clientConfig") or {}).get("service")
    if isinstance(service, dict) and service.get("port") is None:
        service["port"] = 443


KIND = Kind(
    CUSTOM_RESOURCE_DEFINITIONS,
    strategy=_Strategy,
    default=_default,
    validate=definition_rules.validate,
    validate_update=definition_rules.validate_update,
    validates_update_alone=True,
    validate_status=definition_rules.validate_status,
    metadata_rules=~MetadataRules.WHOLE,
)
