"""APIServices: who answers for a group and version, this server or a Service.

Sources: kube-aggregator/pkg/apis/apiregistration/validation, kube-aggregator/pkg/registry/apiservice.
"""

from __future__ import annotations

import base64

from controlplane.api import meta, names
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields
from controlplane.api.validation.webhooks import default_client

API_SERVICES = Resource(
    "apiregistration.k8s.io",
    "v1",
    "APIService",
    "apiservices",
    namespaced=False,
    categories=("api-extensions",),
    subresources=(STATUS,),
    storage="apiregistration.k8s.io/apiservices",
)

_MAX_GROUP_PRIORITY = 20000
_MAX_VERSION_PRIORITY = 1000
_STATUSES = ("True", "False", "Unknown")


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    default_client(part(obj, "spec"))


def validate(obj: Obj) -> list[Cause]:
    """Causes in an APIService."""
    spec = meta.spec(obj)
    group, version = spec.get("group") or "", spec.get("version") or ""
    name, required = meta.name(obj), f"{version}.{group}"
    causes: list[Cause] = []
    if name and name != required and not names.path_segment(name):
        detail = f'must be `spec.version+"."+spec.group`: {fields.show(required)}'
        causes.append(fields.invalid("metadata.name", name, detail))
    if not group and version != "v1":
        detail = "only v1 may have an empty group and it better be legacy kube"
        causes.append(fields.required("spec.group", detail))
    if group:
        causes += fields.each("spec.group", group, names.dns_subdomain(group))
    causes += fields.each("spec.version", version, names.dns1035_label(version))
    for key, limit in (
        ("groupPriorityMinimum", _MAX_GROUP_PRIORITY),
        ("versionPriority", _MAX_VERSION_PRIORITY),
    ):
        priority = spec.get(key) or 0
        if not 0 < priority <= limit:
            detail = f"must be positive and less than {limit}"
            causes.append(fields.invalid(f"spec.{key}", priority, detail))
    return causes + _service(spec)


def _service(spec: Obj) -> list[Cause]:
    service, path = spec.get("service"), "spec.service"
    bundle, is_insecure = spec.get("caBundle") or "", bool(spec.get("insecureSkipTLSVerify"))
    causes: list[Cause] = []
    if service is None:
        if bundle:
            shown = f"{len(base64.b64decode(bundle))} bytes"
            detail = "local APIServices may not have a caBundle"
            causes.append(fields.invalid("spec.caBundle", shown, detail))
        if is_insecure:
            detail = "local APIServices may not have insecureSkipTLSVerify"
            causes.append(fields.invalid("spec.insecureSkipTLSVerify", True, detail))
        return causes
    for key in ("namespace", "name"):
        if not service.get(key):
            causes.append(fields.required(f"{path}.{key}"))
    port = service.get("port") or 0
    if not 1 <= port <= 65535:
        detail = "port is not valid: must be between 1 and 65535, inclusive"
        causes.append(fields.invalid(f"{path}.port", port, detail))
    if is_insecure and bundle:
        detail = "may not be true if caBundle is present"
        causes.append(fields.invalid("spec.insecureSkipTLSVerify", True, detail))
    return causes


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in the status."""
    del old
    return [
        fields.not_supported(
            f"status.conditions[{index}].status", row.get("status") or "", _STATUSES
        )
        for index, row in enumerate(meta.status(new).get("conditions") or ())
        if row.get("status") not in _STATUSES
    ]


def _service_cell(obj: Obj, now: float) -> str:
    service = meta.spec(obj).get("service")
    if service is None:
        return "Local"
    return f"{service.get('namespace') or ''}/{service.get('name') or ''}"


def _available(obj: Obj, now: float) -> str:
    for row in meta.status(obj).get("conditions") or ():
        if row.get("type") == "Available":
            status, reason = str(row.get("status") or ""), row.get("reason")
            return f"{status} ({reason})" if reason and status != "True" else status
    return "Unknown"


COLUMNS = (
    NAME,
    text("Service", _service_cell, "Who answers; Local is this server."),
    text("Available", _available, "Whether it answers."),
    AGE,
)


class APIServiceStrategy(Strategy):
    """The rules of APIServices: what this server answers itself is available at once."""

    allows_unconditional_update = False

    def prepare_for_create(self, obj: Obj) -> None:
        """Nothing is known of another server yet."""
        super().prepare_for_create(obj)
        obj["status"] = {}
        if meta.spec(obj).get("service") is None:
            obj["status"]["conditions"] = [
                {
                    "type": "Available",
                    "status": "True",
                    "lastTransitionTime": meta.metadata(obj).get("creationTimestamp"),
                    "reason": "Local",
                    "message": "Local APIServices are always available",
                }
            ]

    def prepare_for_status_update(self, obj: Obj, live: Obj) -> None:
        """Keep the metadata too."""
        super().prepare_for_status_update(obj, live)
        for key in ("labels", "annotations", "finalizers"):
            if key in meta.metadata(live):
                obj["metadata"][key] = live["metadata"][key]
            else:
                obj["metadata"].pop(key, None)


KIND = Kind(
    API_SERVICES,
    strategy=APIServiceStrategy,
    default=default,
    validate=validate,
    validate_status=validate_status,
    validate_name=names.path_segment,
    columns=COLUMNS,
)
