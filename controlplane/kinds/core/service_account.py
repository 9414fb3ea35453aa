"""ServiceAccounts: who a pod is."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource, Subresource
from controlplane.api.strategy import Strategy
from controlplane.api.table.columns import AGE, NAME

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


_ENFORCE = "kubernetes.io/enforce-mountable-secrets"


def _warnings(obj: Obj, old: Obj | None) -> list[str]:
    is_new = old is None or _ENFORCE not in meta.annotations(old)
    if _ENFORCE not in meta.annotations(obj) or not is_new:
        return []
    return [
        f"metadata.annotations[{_ENFORCE}]: deprecated in v1.32+; "
        "prefer separate namespaces to isolate access to mounted secrets"
    ]


def _only_names(obj: Obj) -> None:
    """References to secrets keep nothing but the name."""
    for number, secret in enumerate(obj.get("secrets") or ()):
        obj["secrets"][number] = {"name": secret["name"]} if secret.get("name") else {}


class _AccountStrategy(Strategy):
    returns_deleted = True

    def prepare_for_create(self, obj: Obj) -> None:
        super().prepare_for_create(obj)
        _only_names(obj)

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        super().prepare_for_update(obj, live)
        _only_names(obj)


KIND = Kind(SERVICE_ACCOUNTS, strategy=_AccountStrategy, columns=(NAME, AGE), warnings=_warnings)
