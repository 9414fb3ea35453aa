"""What bindings have in common: a reference to a role that never changes, and subjects.

Source: pkg/apis/rbac/validation/validation.go, v1/defaults.go, printers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields

GROUP = "rbac.authorization.k8s.io"
_SUBJECT_KINDS = ("ServiceAccount", "User", "Group")


def default(obj: Obj) -> None:
    """Complete the API groups that everybody leaves out."""
    reference = obj.get("roleRef")
    if isinstance(reference, dict) and not reference.get("apiGroup"):
        reference["apiGroup"] = GROUP
    for subject in obj.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = GROUP


def validate(obj: Obj, *, role_kinds: Sequence[str], is_namespaced: bool) -> list[Cause]:
    """Causes in the reference and the subjects."""
    causes: list[Cause] = []
    reference = obj.get("roleRef") or {}
    group, kind = reference.get("apiGroup") or "", reference.get("kind") or ""
    if group != GROUP:
        causes.append(fields.not_supported("roleRef.apiGroup", group, (GROUP,)))
    if kind not in role_kinds:
        causes.append(fields.not_supported("roleRef.kind", kind, role_kinds))
    name = reference.get("name") or ""
    if not name:
        causes.append(fields.required("roleRef.name"))
    else:
        causes += fields.each("roleRef.name", name, names.path_segment(name))
    for number, subject in enumerate(obj.get("subjects") or ()):
        path = f"subjects[{number}]"
        causes += _validate_subject(subject, path, is_namespaced=is_namespaced)
    return causes


def _validate_subject(subject: Obj, path: str, *, is_namespaced: bool) -> list[Cause]:
    causes: list[Cause] = []
    name, kind = subject.get("name") or "", subject.get("kind") or ""
    group = subject.get("apiGroup") or ""
    if not name:
        causes.append(fields.required(f"{path}.name"))
    if kind == "ServiceAccount":
        if name:
            causes += fields.each(f"{path}.name", name, names.dns_subdomain(name))
        if group:
            causes.append(fields.not_supported(f"{path}.apiGroup", group, ("",)))
        if not is_namespaced and not subject.get("namespace"):
            causes.append(fields.required(f"{path}.namespace"))
    elif kind in ("User", "Group"):
        if group != GROUP:
            causes.append(fields.not_supported(f"{path}.apiGroup", group, (GROUP,)))
    else:
        causes.append(fields.not_supported(f"{path}.kind", kind, _SUBJECT_KINDS))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """A binding keeps its role: otherwise who may change bindings could exchange what they grant."""
    if _reference(new) == _reference(old):
        return []
    return [fields.invalid("roleRef", _reference(new), "cannot change roleRef")]


def _reference(obj: Obj) -> Obj:
    reference = obj.get("roleRef") or {}
    return {
        "APIGroup": reference.get("apiGroup") or "",
        "Kind": reference.get("kind") or "",
        "Name": reference.get("name") or "",
    }


def _role(obj: Obj, now: float) -> str:
    """Kind and name of the role."""
    reference = obj.get("roleRef") or {}
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


def _subjects(kind: str, show: Callable[[Obj], str]) -> Callable[[Obj, float], str]:
    def cell(obj: Obj, now: float) -> str:
        subjects: Iterable[Obj] = obj.get("subjects") or ()
        return ", ".join(show(one) for one in subjects if one.get("kind") == kind)

    return cell


def _name(subject: Obj) -> str:
    return str(subject.get("name") or "")


def _account(subject: Obj) -> str:
    namespace = subject.get("namespace")
    return f"{namespace}/{subject.get('name')}" if namespace else _name(subject)


COLUMNS = (
    NAME,
    Column("Role", _role),
    AGE,
    Column("Users", _subjects("User", _name), priority=1),
    Column("Groups", _subjects("Group", _name), priority=1),
    Column("ServiceAccounts", _subjects("ServiceAccount", _account), priority=1),
)
