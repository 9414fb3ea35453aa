"""What each namespace is given: ServiceAccount `default`, and ConfigMap `kube-root-ca.crt` with the cluster's CA."""

from collections.abc import Iterable

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists, APIError
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.manager import Context
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS

ROOT_CA = "kube-root-ca.crt"

_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the internal service IP or kubernetes.default.svc."
)


class NamespaceGiftsReconciler:
    """See the module; without `root_ca` no ConfigMap is made."""

    def __init__(self, context: Context, *, root_ca: str) -> None:
        self._client = context.client
        self._root_ca = root_ca
        self._namespaces = context.informers.of(NAMESPACES).indexer
        self._accounts = context.informers.of(SERVICE_ACCOUNTS).indexer
        self._configmaps = context.informers.of(CONFIG_MAPS).indexer

    def controller(self) -> Controller[Key]:
        """The declaration of this controller."""
        watches = (
            Watch(NAMESPACES, self.namespace_changed),
            Watch(SERVICE_ACCOUNTS, self.account_changed),
            Watch(CONFIG_MAPS, self.configmap_changed),
        )
        return Controller("namespace-gifts", watches, self, workers=2)

    def namespace_changed(self, change: Change) -> Iterable[Key]:
        """A new namespace."""
        return (Key("", meta.name(change.new)),) if change.new is not None else ()

    def account_changed(self, change: Change) -> Iterable[Key]:
        """The default account was deleted."""
        obj = change.object
        lost = change.new is None and meta.name(obj) == "default"
        return (Key("", meta.namespace(obj)),) if lost else ()

    def configmap_changed(self, change: Change) -> Iterable[Key]:
        """Our ConfigMap was changed or deleted."""
        obj = change.object
        return (Key("", meta.namespace(obj)),) if meta.name(obj) == ROOT_CA else ()

    async def reconcile(self, key: Key) -> Result:
        """Make what is missing in one namespace."""
        namespace = self._namespaces.get(key.name)
        if namespace is None or meta.is_deleting(namespace):
            return Result.done()
        try:
            await self._give(key.name)
        except AlreadyExists:
            pass  # the cache is late
        except APIError as error:
            if any(cause.reason == "NamespaceTerminating" for cause in error.causes):
                return Result.done()
            raise
        return Result.done()

    async def _give(self, namespace: str) -> None:
        if self._root_ca:
            data = {"ca.crt": self._root_ca}
            existing = self._configmaps.get(ROOT_CA, namespace)
            if existing is None:
                annotations = {"kubernetes.io/description": _DESCRIPTION}
                configmap = {
                    "metadata": {"name": ROOT_CA, "annotations": annotations},
                    "data": data,
                }
                await self._client.create(CONFIG_MAPS, configmap, namespace)
            elif existing.get("data") != data:
                await self._client.update(CONFIG_MAPS, {**existing, "data": data})
        if self._accounts.get("default", namespace) is None:
            await self._client.create(
                SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, namespace
            )
