"""ConfigMap `kube-root-ca.crt` in each namespace: whom Pods may trust to be the API server.

Without a CA (`--root-ca-file`) nothing is published.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists, APIError
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.controllers.workloads.pod_control import is_namespace_ending
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.program.options import option

ROOT_CA = "kube-root-ca.crt"

_ANNOTATIONS = {
    "kubernetes.io/description": (
        "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
        "endpoints such as the internal service IP or kubernetes.default.svc."
    )
}


@dataclass(frozen=True, slots=True)
class RootCaOptions:
    """What the controller can be told."""

    root_ca_file: str = option("", f"PEM, put into ConfigMap {ROOT_CA} of each namespace")


class RootCaReconciler:
    """Makes and mends the ConfigMap of one namespace."""

    def __init__(self, context: Context, root_ca: str) -> None:
        self._client = context.client
        self._root_ca = root_ca
        self._namespaces = context.informers.of(NAMESPACES).indexer
        self._configmaps = context.informers.of(CONFIG_MAPS).indexer

    def namespace_changed(self, change: Change) -> Iterable[Key]:
        """A namespace that is there."""
        return (Key("", meta.name(change.new)),) if change.new is not None else ()

    def configmap_changed(self, change: Change) -> Iterable[Key]:
        """Our ConfigMap was changed or deleted."""
        obj = change.object
        return (Key("", meta.namespace(obj)),) if meta.name(obj) == ROOT_CA else ()

    async def reconcile(self, key: Key) -> Result:
        """Publish the CA in one namespace."""
        namespace = self._namespaces.get(key.name)
        if namespace is None or meta.is_deleting(namespace) or not self._root_ca:
            return Result.done()
        data = {"ca.crt": self._root_ca}
        existing = self._configmaps.get(ROOT_CA, key.name)
        if existing is None:
            metadata = {"name": ROOT_CA, "annotations": _ANNOTATIONS}
            return await self._create({"metadata": metadata, "data": data}, key.name)
        annotations = {**meta.annotations(existing), **_ANNOTATIONS}
        if existing.get("data") != data or annotations != meta.annotations(existing):
            metadata = {**existing["metadata"], "annotations": annotations}
            await self._client.update(CONFIG_MAPS, {**existing, "metadata": metadata, "data": data})
        return Result.done()

    async def _create(self, configmap: dict[str, object], namespace: str) -> Result:
        try:
            await self._client.create(CONFIG_MAPS, configmap, namespace)
        except AlreadyExists:
            return Result.done()  # the cache is late
        except APIError as error:
            if not is_namespace_ending(error):
                raise
        return Result.done()


def _build(context: Context, options: RootCaOptions) -> Controller[Key]:
    root_ca = Path(options.root_ca_file).read_text() if options.root_ca_file else ""
    reconciler = RootCaReconciler(context, root_ca)
    watches = (
        Watch(NAMESPACES, reconciler.namespace_changed),
        Watch(CONFIG_MAPS, reconciler.configmap_changed),
    )
    return Controller("root-ca-certificate-publisher-controller", watches, reconciler, workers=2)


DESCRIPTOR = Descriptor(
    "root-ca-certificate-publisher-controller",
    _build,
    (NAMESPACES, CONFIG_MAPS),
    RootCaOptions,
    aliases=("root-ca-cert-publisher",),
)
