"""IngressClasses: who serves ingresses, with what parameters.

Sources: pkg/apis/networking/validation/validation.go, pkg/apis/networking/v1/defaults.go.
"""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import SpecStrategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, Column
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields
from controlplane.api.validation.paths import domain_prefixed_path
from controlplane.kinds.networking.references import validate_reference

INGRESS_CLASSES = Resource(
    "networking.k8s.io", "v1", "IngressClass", "ingressclasses", namespaced=False
)

DEFAULT_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
_MAX_CONTROLLER = 250
_SCOPES = ("Cluster", "Namespace")


def default(obj: Obj) -> None:
    """Parameters are an object of the cluster unless it is said otherwise."""
    parameters = meta.spec(obj).get("parameters")
    if isinstance(parameters, dict) and parameters.get("scope") is None:
        parameters["scope"] = "Cluster"


def validate(obj: Obj) -> list[Cause]:
    """Causes in a class."""
    spec = meta.spec(obj)
    controller, path = spec.get("controller") or "", "spec.controller"
    causes: list[Cause] = []
    if len(controller) > _MAX_CONTROLLER:
        causes.append(fields.too_long(path, _MAX_CONTROLLER))
    causes += domain_prefixed_path(path, controller)
    parameters = spec.get("parameters")
    if parameters is not None:
        causes += _parameters(parameters, "spec.parameters")
    return causes


def _parameters(parameters: Obj, path: str) -> list[Cause]:
    causes = validate_reference(path, parameters)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        return [*causes, fields.required(f"{path}.scope")]
    if scope not in _SCOPES:
        return [*causes, fields.not_supported(f"{path}.scope", scope, _SCOPES)]
    where = f"{path}.namespace"
    if scope == "Namespace":
        if namespace is None:
            detail = "`parameters.scope` is set to 'Namespace'"
            causes.append(fields.required(where, detail))
        else:
            causes += fields.each(where, namespace, names.dns_label(namespace))
    elif namespace is not None:
        causes.append(fields.forbidden(where, "`parameters.scope` is set to 'Cluster'"))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed class: the controller stays."""
    controller = meta.spec(new).get("controller") or ""
    causes: list[Cause] = []
    if controller != (meta.spec(old).get("controller") or ""):
        causes.append(fields.immutable("spec.controller", controller))
    return causes + validate(new)


def _name(obj: Obj, now: float) -> str:
    is_default = meta.annotations(obj).get(DEFAULT_ANNOTATION) == "true"
    return meta.name(obj) + (" (default)" if is_default else "")


def _shown(obj: Obj, now: float) -> str:
    parameters = meta.spec(obj).get("parameters")
    if parameters is None:
        return "<none>"
    group = parameters.get("apiGroup")
    kind = str(parameters.get("kind") or "") + ("" if group is None else f".{group}")
    return f"{kind}/{parameters.get('name') or ''}"


COLUMNS = (
    Column("Name", _name, format="name", description="Name must be unique within a namespace."),
    text("Controller", cells.field("spec.controller"), "Who serves the ingresses."),
    text("Parameters", _shown, "What the controller is told."),
    AGE,
)

KIND = Kind(
    INGRESS_CLASSES,
    strategy=SpecStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=COLUMNS,
)
