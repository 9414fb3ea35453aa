"""ServiceAccounts: who a pod is."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource, Subresource
from controlplane.api.table.columns import AGE, NAME, Column

SERVICE_ACCOUNTS = Resource(
    "",
    "v1",
    "ServiceAccount",
    "serviceaccounts",
    short_names=("sa",),
    subresources=(
        Subresource(
            "token", ("create",), kind="TokenRequest", group="authentication.k8s.io", version="v1"
        ),
    ),
)


def _secret_count(obj: Obj, now: float) -> int:
    """Number of secrets a service account names."""
    return len(obj.get("secrets") or ())


_COLUMNS = (
    NAME,
    Column("Secrets", _secret_count, type="integer", description="Number of secrets."),
    AGE,
)


KIND = Kind(SERVICE_ACCOUNTS, columns=_COLUMNS)
