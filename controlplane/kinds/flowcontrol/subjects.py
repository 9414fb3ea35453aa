"""Whose requests a rule of a FlowSchema is for: a user, a group or a service account, and one of them."""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields

# Kind of subject -> the field that it has.
_FIELDS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
# The order in which the fields of other kinds are looked for.
_LOOKED_FOR = {
    "ServiceAccount": ("User", "Group"),
    "User": ("ServiceAccount", "Group"),
    "Group": ("ServiceAccount", "User"),
}


def validate_subject(subject: Obj, path: str) -> list[Cause]:
    """Causes in a subject."""
    sort = subject.get("kind") or ""
    if sort not in _FIELDS:
        return [fields.not_supported(f"{path}.kind", sort, _FIELDS)]
    key = _FIELDS[sort]
    value, where = subject.get(key), f"{path}.{key}"
    if value is None:
        causes = [fields.required(where, f"{key} is required when subject kind is '{sort}'")]
    elif sort == "ServiceAccount":
        causes = _service_account(value, where)
    else:
        causes = [] if value.get("name") else [fields.required(f"{where}.name")]
    for other in _LOOKED_FOR[sort]:
        if subject.get(_FIELDS[other]) is not None:
            detail = f"{_FIELDS[other]} is forbidden when subject kind is not '{other}'"
            causes.append(fields.forbidden(f"{path}.{_FIELDS[other]}", detail))
    return causes


def _service_account(value: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    name, namespace = value.get("name") or "", value.get("namespace") or ""
    if not name:
        causes.append(fields.required(f"{path}.name"))
    elif name != "*":
        causes += fields.each(f"{path}.name", name, names.dns_subdomain(name))
    if namespace:
        return causes + fields.each(f"{path}.namespace", namespace, names.dns_label(namespace))
    detail = "must specify namespace for service account"
    return [*causes, fields.required(f"{path}.namespace", detail)]
