"""Looks at each request for a certificate once an hour, and deletes those of no more use."""

import contextlib
from collections.abc import Iterable

from controlplane.api.errors import NotFound
from controlplane.controllers.csrcleaner.plan import is_over
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor, NoOptions
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change, key_of
from controlplane.kinds.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS,
)

_NAME = "certificatesigningrequest-cleaner-controller"
_LOOK_SECONDS = 3600.0


class Cleaner:
    """Looks at one request."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._requests = context.informers.of(CERTIFICATE_SIGNING_REQUESTS).indexer

    def request_changed(self, change: Change) -> Iterable[Key]:
        """A request that came."""
        return (key_of(change.object),) if change.old is None else ()

    async def reconcile(self, key: Key) -> Result:
        """Delete it, or look again in an hour."""
        request = self._requests.get(key.name)
        if request is None:
            return Result.done()
        if not is_over(request, self._clock.time()):
            return Result.after(_LOOK_SECONDS)
        with contextlib.suppress(NotFound):
            await self._client.delete(CERTIFICATE_SIGNING_REQUESTS, key.name)
        return Result.done()


def _build(context: Context, options: NoOptions) -> Controller[Key]:
    del options
    cleaner = Cleaner(context)
    watches = (Watch(CERTIFICATE_SIGNING_REQUESTS, cleaner.request_changed),)
    return Controller(_NAME, watches, cleaner)


DESCRIPTOR = Descriptor(
    _NAME, _build, (CERTIFICATE_SIGNING_REQUESTS,), NoOptions, aliases=("csrcleaner",)
)
