"""Rules of metav1.LabelSelector, and whether one selects a set of labels.

Source: apimachinery/pkg/apis/meta/v1/validation/validation.go and meta/v1/helpers.go (LabelSelectorAsSelector).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.selectors import LabelSelector
from controlplane.api.validation import causes as fields
from controlplane.api.validation.metadata import validate_labels

_WITH_VALUES = ("In", "NotIn")
_WITHOUT_VALUES = ("Exists", "DoesNotExist")


def validate_selector(
    selector: Any, path: str, *, allows_invalid_values: bool = False
) -> list[Cause]:
    """Causes in a label selector; an absent one has none.

    `allows_invalid_values` keeps objects writable that were stored with values which are no label values.
    """
    selector = selector or {}
    causes = validate_labels(f"{path}.matchLabels", selector.get("matchLabels"))
    for index, row in enumerate(selector.get("matchExpressions") or ()):
        causes += _expression(row, f"{path}.matchExpressions[{index}]", allows_invalid_values)
    return causes


def _expression(row: Any, path: str, allows_invalid_values: bool) -> list[Cause]:
    causes: list[Cause] = []
    operator, values = row.get("operator") or "", row.get("values") or []
    if operator in _WITH_VALUES:
        if not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            causes.append(fields.required(f"{path}.values", detail))
    elif operator in _WITHOUT_VALUES:
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            causes.append(fields.forbidden(f"{path}.values", detail))
    else:
        detail = "not a valid selector operator"
        causes.append(fields.invalid(f"{path}.operator", operator, detail))
    key = str(row.get("key") or "")
    causes += fields.each(f"{path}.key", key, names.qualified_name(key))
    if not allows_invalid_values:
        for index, value in enumerate(values):
            problems = names.label_value(str(value))
            causes += fields.each(f"{path}.values[{index}]", value, problems)
    return causes


def is_empty(selector: Any) -> bool:
    """Whether a selector that is there has no condition at all."""
    return not (selector or {}).get("matchLabels") and not (selector or {}).get("matchExpressions")


def problem_of(selector: Any) -> str:
    """Why no matcher can be made of the selector; empty when one can."""
    try:
        parsed = LabelSelector.from_object(selector)
    except ValueError as error:
        return str(error)
    for requirement in parsed.requirements:
        if names.qualified_name(requirement.key):
            return f'key: Invalid value: "{requirement.key}"'
        if requirement.operator in _WITH_VALUES and not requirement.values:
            return (
                "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
            )
        if requirement.operator in _WITHOUT_VALUES and requirement.values:
            return "values: Invalid value: values set must be empty for exists and does not exist"
        if any(names.label_value(value) for value in requirement.values):
            return "values: Invalid value"
    return ""


def selects(selector: Any, labels: Mapping[str, str] | None) -> bool:
    """Whether the selector, for which `problem_of` is empty, selects the labels; an absent one selects nothing."""
    return LabelSelector.from_object(selector).matches(labels)


def shown(selector: Any) -> Any:
    """A selector as messages show it: without empty members, labels sorted as Go prints a map; absent is None."""
    if selector is None:
        return None
    result: dict[str, Any] = {}
    if selector.get("matchLabels"):
        result["matchLabels"] = dict(sorted(selector["matchLabels"].items()))
    if selector.get("matchExpressions"):
        result["matchExpressions"] = [
            {key: row.get(key) or "" for key in ("key", "operator")}
            | ({"values": row["values"]} if row.get("values") else {})
            for row in selector["matchExpressions"]
        ]
    return result
