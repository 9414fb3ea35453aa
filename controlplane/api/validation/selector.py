"""Rules of label selectors in objects."""

from __future__ import annotations

from typing import Any

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.validation import causes as fields
from controlplane.api.validation.metadata import validate_labels


def validate_selector(selector: Any, path: str) -> list[Cause]:
    """Causes in a metav1.LabelSelector."""
    causes = validate_labels(f"{path}.matchLabels", (selector or {}).get("matchLabels"))
    for index, row in enumerate((selector or {}).get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{index}]"
        operator, values = row.get("operator"), row.get("values") or []
        if operator in ("In", "NotIn"):
            if not values:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                causes.append(fields.required(f"{where}.values", detail))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                causes.append(fields.forbidden(f"{where}.values", detail))
        else:
            causes.append(
                fields.invalid(f"{where}.operator", operator, "not a valid selector operator")
            )
        key = str(row.get("key") or "")
        causes += fields.each(f"{where}.key", key, names.qualified_name(key))
        for number, value in enumerate(values):
            problems = names.label_value(str(value))
            causes += fields.each(f"{where}.values[{number}]", value, problems)
    return causes
