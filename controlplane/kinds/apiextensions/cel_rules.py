"""The CEL rules in the schema of a custom resource: their form, and whether they can be evaluated where they stand.

Source: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go, pkg/apiserver/schema/cel.
"""

from __future__ import annotations

from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.schema.structural import rules
from controlplane.api.schema.structural.field_path import find
from controlplane.api.schema.structural.node import parse
from controlplane.api.validation import causes as fields
from controlplane.api.validation.internal import Shape

_RULES = "x-kubernetes-validations"
_REASONS = (
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
)
_RULE = Shape(
    (
        ("Rule", "rule", ""),
        ("Message", "message", ""),
        ("MessageExpression", "messageExpression", ""),
        ("Reason", "reason", None),
        ("FieldPath", "fieldPath", ""),
        ("OptionalOldSelf", "optionalOldSelf", None),
    )
)


def validate(path: str, schema: Obj) -> list[Cause]:
    """Causes in the form of the rules of a schema, without those inside."""
    causes: list[Cause] = []
    for index, row in enumerate(schema.get(_RULES) or ()):
        where, rule = f"{path}.{_RULES}[{index}]", row.get("rule") or ""
        message, asked = row.get("message") or "", row.get("messageExpression") or ""
        if not rule.strip():
            causes.append(fields.required(f"{where}.rule", "rule is not specified"))
        elif message and not message.strip():
            detail = "must be non-empty if specified"
            causes.append(fields.invalid(f"{where}.message", message, detail))
        elif _has_lines(message.strip()):
            detail = "must not contain line breaks"
            causes.append(fields.invalid(f"{where}.message", message, detail))
        elif _has_lines(rule.strip()) and not message.strip():
            detail = "message must be specified if rule contains line breaks"
            causes.append(fields.required(f"{where}.message", detail))
        if asked and not asked.strip():
            detail = "messageExpression must be non-empty if specified"
            causes.append(fields.required(f"{where}.messageExpression", detail))
        reason = row.get("reason")
        if reason is not None and reason not in _REASONS:
            causes.append(fields.not_supported(f"{where}.reason", reason, _REASONS))
        causes += _field_path(f"{where}.fieldPath", row.get("fieldPath") or "", schema)
    return causes


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _field_path(path: str, text: str, schema: Obj) -> list[Cause]:
    if not text:
        return []
    if not text.strip():
        return [fields.invalid(path, text, "must be non-empty if specified")]
    if _has_lines(text):
        return [fields.invalid(path, text, "must not contain line breaks")]
    if find(parse(schema), text, takes_brackets=True) is None:
        return [fields.invalid(path, text, "must be a valid path")]
    return []


def expressions(path: str, schema: Obj, uncorrelated: str = "") -> list[Cause]:
    """Rules that are no CEL, or that compare what cannot be told to be the same in two states of an object.

    `uncorrelated` is the list around the schema whose items are not known by keys; empty when there is none.
    """
    causes: list[Cause] = []
    for index, row in enumerate(schema.get(_RULES) or ()):
        compiled = rules.Rules(parse({_RULES: [row]}))
        at = f"{path}.{_RULES}[{index}]"
        for problem in compiled.compile_errors():
            causes.append(fields.invalid(f"{at}.{problem.field}", _RULE.of(row), problem.text))
        if uncorrelated and compiled.reads_old():
            detail = (
                "oldSelf cannot be used on the uncorrelatable portion of the schema within "
                + uncorrelated
            )
            causes.append(fields.invalid(f"{at}.rule", row.get("rule"), detail))
    items, extra = schema.get("items"), schema.get("additionalProperties")
    if isinstance(items, dict):
        is_known = schema.get("x-kubernetes-list-type") == "map"
        around = uncorrelated or ("" if is_known else path)
        causes += expressions(f"{path}.items", items, around)
    for key, inner in (schema.get("properties") or {}).items():
        causes += expressions(f"{path}.properties[{key}]", inner, uncorrelated)
    if isinstance(extra, dict):
        causes += expressions(f"{path}.additionalProperties", extra, uncorrelated)
    return causes
