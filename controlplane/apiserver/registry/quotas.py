"""The stored quotas, for the admission plugin that charges them."""

from collections.abc import Awaitable, Callable

from controlplane.api.meta import Obj
from controlplane.apiserver.registry.registry import Registry
from controlplane.apiserver.requests.context import LOOPBACK, WriteContext
from controlplane.apiserver.storage_errors import translating
from controlplane.kinds.core.resource_quota import RESOURCE_QUOTAS

_CONTEXT = WriteContext(
    RESOURCE_QUOTAS.group_version,
    LOOPBACK,
    manager="kube-apiserver",
    subresource="status",
    is_admitted=True,
)


class StoredQuotas:
    """See the plugin's `Quotas`; the registry is asked for late, since it has the plugin."""

    def __init__(self, registry: Callable[[], Registry]) -> None:
        self._registry = registry

    async def fresh(self, namespace: str) -> list[Obj]:
        """See `Quotas.fresh`."""
        with translating(RESOURCE_QUOTAS):
            page = await self._registry().storage.list(f"{RESOURCE_QUOTAS.key_prefix}/{namespace}/")
        return page.items

    async def update_status(
        self, namespace: str, name: str, change: Callable[[Obj], Awaitable[Obj]]
    ) -> Obj:
        """See `Quotas.update_status`."""
        return await self._registry().update(namespace, name, change, _CONTEXT)
