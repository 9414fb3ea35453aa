"""ValidatingAdmissionPolicies: expressions that writes must fulfil."""

from __future__ import annotations

import re

from controlplane.api import meta
from controlplane.api.cel import policies as cel
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields
from controlplane.api.validation.conditions import validate_conditions
from controlplane.kinds.admissionregistration import policies
from controlplane.kinds.admissionregistration.webhooks import ConfigurationStrategy

VALIDATING_ADMISSION_POLICIES = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicy",
    "validatingadmissionpolicies",
    namespaced=False,
    categories=("api-extensions",),
    subresources=(STATUS,),
)

_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_MAX_ANNOTATIONS = 20
_MAX_VALUE_BYTES = 5 * 1024
_NEW_LINE = re.compile(r"[\n\r]")
_NEITHER = "validations or auditAnnotations must contain at least one item"


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new policy."""
    return _validate(obj, None)


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed policy."""
    return _validate(new, old)


def _validate(obj: Obj, old: Obj | None) -> list[Cause]:
    spec = meta.spec(obj)
    causes = policies.validate_head(spec)
    causes += policies.validate_match_conditions(spec, None if old is None else meta.spec(old))
    found, types = policies.validate_variables(spec)
    causes += found
    variables = types if spec.get("variables") else None
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not annotations:
        causes.append(fields.required("spec.validations", _NEITHER))
        causes.append(fields.required("spec.auditAnnotations", _NEITHER))
        return causes
    has_params = spec.get("paramKind") is not None
    for index, row in enumerate(validations):
        causes += _validation(row, f"spec.validations[{index}]", has_params, variables)
    seen: set[str] = set()
    if len(annotations) > _MAX_ANNOTATIONS:
        shown = [
            {"Key": row.get("key") or "", "ValueExpression": row.get("valueExpression") or ""}
            for row in annotations
        ]
        detail = f"must not have more than {_MAX_ANNOTATIONS} auditAnnotations"
        causes.append(fields.invalid("spec.auditAnnotations", shown, detail))
    for index, row in enumerate(annotations):
        path, key = f"spec.auditAnnotations[{index}]", row.get("key") or ""
        causes += _annotation(meta.name(obj), row, path, has_params, variables)
        if key in seen:
            causes.append(fields.duplicate(f"{path}.key", key))
        seen.add(key)
    return causes


def _validation(
    row: Obj, path: str, has_params: bool, variables: dict[str, str] | None
) -> list[Cause]:
    causes: list[Cause] = []
    expression, where = row.get("expression") or "", f"{path}.expression"
    if not expression.strip():
        causes.append(fields.required(where, "expression is not specified"))
    else:
        problem = cel.problem(expression, cel.BOOL, has_params=has_params, variables=variables)
        causes += fields.each(where, expression, [problem] if problem else [])
    asked, where = row.get("messageExpression") or "", f"{path}.messageExpression"
    if asked and not asked.strip():
        causes.append(fields.invalid(where, asked, "must be non-empty if specified"))
    elif asked:
        problem = cel.problem(
            asked, cel.STRING, has_params=has_params, has_authorizer=False, variables=variables
        )
        causes += fields.each(where, asked, [problem] if problem else [])
    message, where = row.get("message") or "", f"{path}.message"
    if message and not message.strip():
        causes.append(fields.invalid(where, message, "must be non-empty if specified"))
    elif _NEW_LINE.search(message.strip()):
        causes.append(fields.invalid(where, message, "must not contain line breaks"))
    reason = row.get("reason")
    if reason is not None and reason not in _REASONS:
        causes.append(fields.not_supported(f"{path}.reason", reason, _REASONS))
    return causes


def _annotation(
    name: str, row: Obj, path: str, has_params: bool, variables: dict[str, str] | None
) -> list[Cause]:
    key, expression = row.get("key") or "", row.get("valueExpression") or ""
    if name:
        causes = fields.qualified(f"{path}.key", f"{name}/{key}")
    else:
        detail = "requires metadata.name be non-empty"
        causes = [fields.invalid(f"{path}.key", key, detail)]
    stripped, where = expression.strip(), f"{path}.valueExpression"
    if not stripped:
        return [*causes, fields.required(where, "valueExpression is not specified")]
    if len(stripped.encode()) > _MAX_VALUE_BYTES:
        detail = f"must not exceed {_MAX_VALUE_BYTES} bytes in length"
        return [*causes, fields.required(where, detail)]
    problem = cel.problem(stripped, cel.AUDIT, has_params=has_params, variables=variables)
    return causes + fields.each(where, expression, [problem] if problem else [])


def validate_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in what the type checker has written."""
    del old
    status = meta.status(new)
    causes: list[Cause] = []
    found = (status.get("typeChecking") or {}).get("expressionWarnings") or ()
    for index, row in enumerate(found):
        path = f"status.typeChecking.expressionWarnings[{index}]"
        if not row.get("warning"):
            causes.append(fields.required(f"{path}.warning"))
        if not (row.get("fieldRef") or "").strip():
            causes.append(fields.required(f"{path}.fieldRef"))
    return causes + validate_conditions("status.conditions", status.get("conditions"))


def _count(obj: Obj, now: float) -> int:
    return len(meta.spec(obj).get("validations") or ())


COLUMNS = (
    NAME,
    Column("Validations", _count, type="integer", description="How many validations it has."),
    text("ParamKind", policies.param_kind, "The kind of its parameters."),
    AGE,
)


class PolicyStrategy(ConfigurationStrategy):
    """The rules of policies that have a status."""

    def prepare_for_create(self, obj: Obj) -> None:
        """Nothing was checked yet."""
        super().prepare_for_create(obj)
        obj["status"] = {}


KIND = Kind(
    VALIDATING_ADMISSION_POLICIES,
    strategy=PolicyStrategy,
    default=policies.default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_status=validate_status,
    columns=COLUMNS,
    metadata_rules=MetadataRules.NAMED | MetadataRules.WHOLE,
)
