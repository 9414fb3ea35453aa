"""MutatingAdmissionPolicies: expressions that change what is written."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.cel import policies as cel
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields
from controlplane.kinds.admissionregistration import matching, policies
from controlplane.kinds.admissionregistration.webhooks import ConfigurationStrategy

MUTATING_ADMISSION_POLICIES = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingAdmissionPolicy",
    "mutatingadmissionpolicies",
    namespaced=False,
    categories=("api-extensions",),
)

# Type of patch -> the field that it has, and what the expression gives.
_PATCHES = {
    "ApplyConfiguration": ("applyConfiguration", cel.CONFIGURATION),
    "JSONPatch": ("jsonPatch", cel.PATCH),
}


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new policy."""
    return _validate(obj, None)


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed policy."""
    return _validate(new, old)


def _validate(obj: Obj, old: Obj | None) -> list[Cause]:
    spec = meta.spec(obj)
    causes = policies.validate_head(spec, is_mutating=True)
    causes += policies.validate_match_conditions(spec, None if old is None else meta.spec(old))
    found, types = policies.validate_variables(spec)
    causes += found
    mutations = spec.get("mutations") or ()
    if not mutations:
        detail = "mutations must contain at least one item"
        causes.append(fields.required("spec.mutations", detail))
    has_params = spec.get("paramKind") is not None
    for index, row in enumerate(mutations):
        causes += _mutation(row, f"spec.mutations[{index}]", has_params, types)
    policy, where = spec.get("reinvocationPolicy") or "", "spec.reinvocationPolicy"
    known = matching.REINVOCATION_POLICIES
    if not policy:
        causes.append(fields.required(where))
    elif policy not in known:
        causes.append(fields.not_supported(where, policy, known))
    return causes


def _mutation(row: Obj, path: str, has_params: bool, variables: dict[str, str]) -> list[Cause]:
    sort = row.get("patchType") or ""
    if not sort:
        return [fields.required(f"{path}.patchType")]
    if sort not in _PATCHES:
        return [fields.not_supported(f"{path}.patchType", sort, sorted(_PATCHES))]
    key, gives = _PATCHES[sort]
    patch, where = row.get(key), f"{path}.{key}"
    causes: list[Cause] = []
    if patch is None:
        causes.append(fields.required(where, f"must be specified when patchType is {sort}"))
    else:
        expression = (patch.get("expression") or "").strip()
        if not expression:
            causes.append(fields.required(f"{where}.expression"))
        else:
            problem = cel.problem(expression, gives, has_params=has_params, variables=variables)
            problems = [problem] if problem else []
            causes += fields.each(f"{where}.expression", expression, problems)
    for other, _ in _PATCHES.values():
        if other != key and row.get(other) is not None:
            detail = f"must not be specified when patchType is {sort}"
            causes.append(fields.invalid(f"{path}.{other}", f"{{{other}}}", detail))
    return causes


def _count(obj: Obj, now: float) -> int:
    return len(meta.spec(obj).get("mutations") or ())


COLUMNS = (
    NAME,
    Column("Mutations", _count, type="integer", description="How many mutations it has."),
    text("ParamKind", policies.param_kind, "The kind of its parameters."),
    AGE,
)

KIND = Kind(
    MUTATING_ADMISSION_POLICIES,
    strategy=ConfigurationStrategy,
    default=policies.default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=COLUMNS,
    metadata_rules=MetadataRules.NAMED | MetadataRules.WHOLE,
)
