"""ServiceAccount `default` in each namespace, made again when it is deleted."""

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.errors import AlreadyExists, APIError
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.controllers.workloads.pod_control import is_namespace_ending
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.program.options import option

DEFAULT_ACCOUNT = "default"


@dataclass(frozen=True, slots=True)
class ServiceAccountOptions:
    """What the controller can be told."""

    concurrent_serviceaccount_syncs: int = option(2, "namespaces worked on at a time")


class ServiceAccountReconciler:
    """Makes the account of one namespace."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._namespaces = context.informers.of(NAMESPACES).indexer
        self._accounts = context.informers.of(SERVICE_ACCOUNTS).indexer

    def namespace_changed(self, change: Change) -> Iterable[Key]:
        """A namespace that is there."""
        return (Key("", meta.name(change.new)),) if change.new is not None else ()

    def account_changed(self, change: Change) -> Iterable[Key]:
        """The default account was deleted."""
        obj = change.object
        lost = change.new is None and meta.name(obj) == DEFAULT_ACCOUNT
        return (Key("", meta.namespace(obj)),) if lost else ()

    async def reconcile(self, key: Key) -> Result:
        """Make the account if it is missing."""
        namespace = self._namespaces.get(key.name)
        if namespace is None or meta.is_deleting(namespace):
            return Result.done()
        if self._accounts.get(DEFAULT_ACCOUNT, key.name) is not None:
            return Result.done()
        account = {"metadata": {"name": DEFAULT_ACCOUNT}}
        try:
            await self._client.create(SERVICE_ACCOUNTS, account, key.name)
        except AlreadyExists:
            return Result.done()  # the cache is late
        except APIError as error:
            if not is_namespace_ending(error):
                raise
        return Result.done()


def _build(context: Context, options: ServiceAccountOptions) -> Controller[Key]:
    reconciler = ServiceAccountReconciler(context)
    watches = (
        Watch(NAMESPACES, reconciler.namespace_changed),
        Watch(SERVICE_ACCOUNTS, reconciler.account_changed),
    )
    return Controller(
        "serviceaccount-controller",
        watches,
        reconciler,
        workers=options.concurrent_serviceaccount_syncs,
    )


DESCRIPTOR = Descriptor(
    "serviceaccount-controller",
    _build,
    (NAMESPACES, SERVICE_ACCOUNTS),
    ServiceAccountOptions,
    aliases=("serviceaccount",),
)
