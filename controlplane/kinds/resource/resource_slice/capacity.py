"""How much of a device may be asked for at once.

Source: pkg/apis/resource/validation/validation.go (validateRequestPolicy).
"""

from __future__ import annotations

import math

from controlplane.api import quantity
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields

_MAX_VALUES = 10


def validate_capacity(path: str, row: Obj, *, is_shared: bool) -> list[Cause]:
    """Causes in a capacity; only of devices that are shared a part can be asked for."""
    policy, where = row.get("requestPolicy"), f"{path}.requestPolicy"
    if policy is None:
        return []
    if not is_shared:
        return [fields.forbidden(where, "allowMultipleAllocations must be true")]
    values, limits = policy.get("validValues") or [], policy.get("validRange")
    if values and limits is not None:
        detail = (
            'exactly one policy can be specified, cannot specify "validValues" and "validRange" '
            "at the same time"
        )
        return [fields.forbidden(where, detail)]
    chosen, most = policy.get("default"), str(row.get("value") or "0")
    for key, given in (("validValues", values or None), ("validRange", limits)):
        if given is not None and chosen is None:
            return [fields.required(f"{where}.default", f"required when {key} is defined")]
    if values:
        return _values(f"{where}.validValues", values, str(chosen), most)
    if limits is not None:
        return _range(f"{where}.validRange", limits, str(chosen), most)
    return []


def _values(path: str, values: list[str], chosen: str, most: str) -> list[Cause]:
    numbers = [quantity.parse(str(value)) for value in values]
    causes = [
        fields.invalid(
            f"{path}[{index}]", str(values[index]), "values must be sorted in ascending order"
        )
        for index in range(1, len(numbers))
        if numbers[index - 1] > numbers[index]
    ]
    if len(values) > _MAX_VALUES:
        causes.append(fields.too_many(path, len(values), _MAX_VALUES))
    else:
        for index, number in enumerate(numbers):
            if number > quantity.parse(most):
                detail = f"option is larger than capacity value: {most}"
                causes.append(fields.invalid(f"{path}[{index}]", str(values[index]), detail))
        whole = [str(math.ceil(number)) for number in numbers]
        causes += [
            fields.duplicate(f"{path}[{index}]", one)
            for index, one in enumerate(whole)
            if one in whole[:index]
        ]
        if quantity.parse(chosen) in numbers:
            return causes
    detail = "default value is not valid according to the requestPolicy"
    return [*causes, fields.invalid(path, chosen, detail)]


def _range(path: str, limits: Obj, chosen: str, most: str) -> list[Cause]:
    low, high, step = limits.get("min"), limits.get("max"), limits.get("step")
    if low is None:
        return [fields.required(f"{path}.min", "required when validRange is defined")]
    causes: list[Cause] = []

    def above(key: str, left: str, right: str, shown: str, detail: str) -> None:
        if quantity.parse(left) > quantity.parse(right):
            causes.append(fields.invalid(f"{path}.{key}", shown, detail))

    above("min", low, most, low, f"min is larger than capacity value: {most}")
    above("min", low, chosen, chosen, f"default is less than min: {low}")
    if high is not None:
        above("max", low, high, low, f"min is larger than max: {high}")
        above("max", high, most, high, f"max is larger than capacity value: {most}")
        above("max", chosen, high, chosen, f"default is more than max: {high}")
    if step is None:
        return causes
    added = quantity.parse(low) + quantity.parse(step)
    if added > quantity.parse(most):
        shown = quantity.canonical(str(math.ceil(added)))
        detail = f"one step {shown} is larger than capacity value: {most}"
        causes.append(fields.invalid(f"{path}.step", step, detail))
    for value in (chosen, high):
        if value is not None and _misses(value, low, step):
            detail = f"value is not a multiple of a given step ({step}) from ({low})"
            causes.append(fields.invalid(f"{path}.step", value, detail))
    return causes


def _misses(value: str, low: str, step: str) -> bool:
    whole = [math.ceil(quantity.parse(one)) for one in (value, low, step)]
    return whole[2] != 0 and (whole[0] - whole[1]) % whole[2] != 0
