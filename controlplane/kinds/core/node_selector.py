"""Node selectors: of pods, of volumes, of resource slices, of topologies.

Source: pkg/apis/core/validation/validation.go (ValidateNodeSelector), pkg/api/node/util.go.
"""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import View
from controlplane.api.validation import causes as fields

# Labels that got another name once; objects that are stored may move from the one to the other.
BETA_TO_STABLE = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}
DEPRECATED_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": (
        'deprecated since v1.17; use "topology.kubernetes.io/region" instead'
    ),
    "failure-domain.beta.kubernetes.io/zone": (
        'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ),
    "beta.kubernetes.io/instance-type": (
        'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'
    ),
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": (
        "deprecated since v1.22; use Taints and Tolerations instead"
    ),
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
_NO_OPERATOR = "not a valid selector operator"


def validate_node_selector(
    path: str, selector: View, *, allows_invalid_values: bool = False
) -> list[Cause]:
    """Causes in a core/v1 NodeSelector."""
    terms, where = selector.get("nodeSelectorTerms") or [], f"{path}.nodeSelectorTerms"
    if not terms:
        return [fields.required(where, "must have at least one node selector term")]
    causes: list[Cause] = []
    for number, term in enumerate(terms):
        causes += validate_term(
            f"{where}[{number}]", term, allows_invalid_values=allows_invalid_values
        )
    return causes


def validate_term(path: str, term: View, *, allows_invalid_values: bool = False) -> list[Cause]:
    """Causes in one term of a NodeSelector."""
    causes: list[Cause] = []
    for index, row in enumerate(term.get("matchExpressions") or ()):
        causes += _requirement(f"{path}.matchExpressions[{index}]", row, allows_invalid_values)
    for index, row in enumerate(term.get("matchFields") or ()):
        causes += _field(f"{path}.matchFields[{index}]", row)
    return causes


def _requirement(path: str, row: View, allows_invalid_values: bool) -> list[Cause]:
    operator, values = row.get("operator") or "", row.get("values") or []
    causes: list[Cause] = []
    if operator in ("In", "NotIn"):
        if not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            causes.append(fields.required(f"{path}.values", detail))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            causes.append(fields.forbidden(f"{path}.values", detail))
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            causes.append(fields.required(f"{path}.values", detail))
    else:
        causes.append(fields.invalid(f"{path}.operator", operator, _NO_OPERATOR))
    key = str(row.get("key") or "")
    causes += fields.each(f"{path}.key", key, names.qualified_name(key))
    if not allows_invalid_values:
        for index, value in enumerate(values):
            causes += fields.each(f"{path}.values[{index}]", value, names.label_value(str(value)))
    return causes


def _field(path: str, row: View) -> list[Cause]:
    operator, values = row.get("operator") or "", row.get("values") or []
    causes: list[Cause] = []
    if operator not in ("In", "NotIn"):
        causes.append(fields.invalid(f"{path}.operator", operator, _NO_OPERATOR))
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        causes.append(fields.required(f"{path}.values", detail))
    key = row.get("key") or ""
    if key != "metadata.name":
        causes.append(fields.invalid(f"{path}.key", key, "not a valid field selector key"))
        return causes
    for index, value in enumerate(values):
        causes += fields.each(f"{path}.values[{index}]", value, names.dns_subdomain(str(value)))
    return causes


def warnings(path: str, selector: View | None) -> list[str]:
    """Labels that nodes will not have for ever."""
    return [
        f"{path}.nodeSelectorTerms[{number}].matchExpressions[{index}].key: {warning}"
        for number, term in enumerate((selector or {}).get("nodeSelectorTerms") or ())
        for index, row in enumerate(term.get("matchExpressions") or ())
        for warning in label_warnings(row.get("key"))
    ]


def label_warnings(key: str | None) -> list[str]:
    """What is said of a label of nodes that has another name today; empty for the others."""
    words = DEPRECATED_LABELS.get(key or "")
    return [] if words is None else [f"{key} is {words}"]
