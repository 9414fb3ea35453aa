"""Names of resources that are counted: cpu, memory, hugepages-2Mi, example.com/gpu, requests.cpu.

Sources: pkg/apis/core/validation/validation.go, pkg/apis/core/helper/helpers.go.
"""

from __future__ import annotations

from controlplane.api import names, quantity
from controlplane.api.errors import Cause
from controlplane.api.validation import causes as fields

CONTAINER_RESOURCES = ("cpu", "ephemeral-storage", "memory")
OBJECT_COUNTS = (
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
)
QUOTA_RESOURCES = (
    *CONTAINER_RESOURCES,
    *(f"requests.{name}" for name in (*CONTAINER_RESOURCES, "storage")),
    *(f"limits.{name}" for name in CONTAINER_RESOURCES),
    *OBJECT_COUNTS,
)
_STANDARD = frozenset((*QUOTA_RESOURCES, "storage"))
_HUGE_PAGES = "hugepages-"
_NATIVE_DOMAIN = "kubernetes.io/"


def is_huge_pages(name: str) -> bool:
    """Whether the name stands for pages of one size."""
    return name.startswith(_HUGE_PAGES)


def is_quota_huge_pages(name: str) -> bool:
    """Whether the name stands for pages of one size in a quota."""
    return name.startswith((_HUGE_PAGES, f"requests.{_HUGE_PAGES}"))


def is_native(name: str) -> bool:
    """Whether Kubernetes itself defines the name: without a domain, or in kubernetes.io."""
    return "/" not in name or _NATIVE_DOMAIN in name


def validate_resource_name(path: str, name: str) -> list[Cause]:
    """A name that is neither standard nor in a domain."""
    problems = names.qualified_name(name)
    if problems:
        return fields.each(path, name, problems)
    is_known = name in _STANDARD or is_quota_huge_pages(name)
    if "/" in name or is_known:
        return []
    detail = "must be a standard resource type or fully qualified"
    return [fields.invalid(path, name, detail)]


def validate_container_resource_name(path: str, name: str) -> list[Cause]:
    """A name that containers cannot ask for."""
    causes = validate_resource_name(path, name)
    if "/" not in name and name not in CONTAINER_RESOURCES and not is_huge_pages(name):
        detail = "must be a standard resource for containers"
        causes.append(fields.invalid(path, name, detail))
    return causes


def is_extended(name: str) -> bool:
    """Whether the name stands for a resource of a foreign domain, such as a device."""
    if is_native(name) or name.startswith("requests."):
        return False
    return not names.qualified_name(f"requests.{name}")


def is_counted_whole(name: str) -> bool:
    """Whether only whole numbers of the resource make sense: objects, and resources of a foreign domain."""
    return name in OBJECT_COUNTS or is_extended(name)


def allows_overcommit(name: str) -> bool:
    """Whether more may be promised of the resource than there is."""
    return is_native(name) and not is_huge_pages(name)


def validate_amount(path: str, name: str, value: object) -> list[Cause]:
    """Causes in an amount of a resource: below zero, or broken where only whole ones count."""
    if not quantity.is_valid(value):
        return []
    amount, causes = quantity.parse(value), list[Cause]()
    shown = quantity.canonical(value)
    if amount < 0:
        causes.append(fields.invalid(path, shown, "must be greater than or equal to 0"))
    if is_counted_whole(name) and (amount * 1000) % 1000 != 0:
        causes.append(fields.invalid(path, shown, "must be an integer"))
    return causes


def validate_quota_resource_name(path: str, name: str) -> list[Cause]:
    """A name that no quota knows."""
    causes = validate_resource_name(path, name)
    is_known = name in QUOTA_RESOURCES or is_quota_huge_pages(name)
    if "/" not in name and not is_known:
        causes.append(fields.invalid(path, name, "must be a standard resource for quota"))
    return causes
