"""Signs requests that were approved, for the signers that Kubernetes defines; without an authority it signs nothing.

What a signer does not sign is marked Failed, with the reason.

Source: pkg/controller/certificates/signer/signer.go.
"""

import base64
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from cryptography import x509

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.times import to_rfc3339
from controlplane.controllers.csrsigning.authority import (
    CannotSign,
    SigningAuthority,
    seconds_granted,
)
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change, key_of
from controlplane.controllers.workloads.certificate_requests import (
    CLIENT,
    KUBELET_CLIENT,
    KUBELET_SERVING,
    LEGACY,
    kubelet_client_problem,
    kubelet_serving_problem,
)
from controlplane.kinds.certificates.certificate_signing_request import (
    APPROVED,
    CERTIFICATE_SIGNING_REQUESTS,
    DENIED,
    FAILED,
    conditions_of,
    parsed,
    pem_of,
)
from controlplane.program.options import option
from kvstore.base.log import get_logger

_NAME = "certificatesigningrequest-signing-controller"
_log = get_logger("csr-signing")
# How often an authority that cannot sign is tried again: its files may be replaced.
_RETRY_SECONDS = 60.0
_OPTIONAL_OF_CLIENTS = ("digital signature", "key encipherment")


@dataclass(frozen=True, slots=True)
class SigningOptions:
    """What the controller can be told; the defaults are upstream's."""

    cluster_signing_cert_file: str = option("", "PEM of the authority that signs certificates")
    cluster_signing_key_file: str = option("", "PEM of its key")
    cluster_signing_duration_seconds: float = option(
        8760 * 3600.0, "the longest that certificates hold"
    )


def client_problem(request: x509.CertificateSigningRequest, usages: Collection[str]) -> str:
    """Why a client certificate with these usages is not signed; empty when it is."""
    for usage in usages:
        if usage not in (*_OPTIONAL_OF_CLIENTS, "client auth"):
            return f"invalid usage for client certificate: {usage}"
    return (
        ""
        if "client auth" in usages
        else "missing required usage for client certificate: client auth"
    )


def _no_problem(request: x509.CertificateSigningRequest, usages: Collection[str]) -> str:
    return ""


# The rules of each signer; the old one has none.
_PROBLEMS: dict[str, Callable[[x509.CertificateSigningRequest, Collection[str]], str]] = {
    CLIENT: client_problem,
    KUBELET_CLIENT: kubelet_client_problem,
    KUBELET_SERVING: kubelet_serving_problem,
    LEGACY: _no_problem,
}


class Signer:
    """Signs one request."""

    def __init__(self, context: Context, options: SigningOptions) -> None:
        self._client = context.client
        self._clock = context.clock
        self._options = options
        self._requests = context.informers.of(CERTIFICATE_SIGNING_REQUESTS).indexer

    def request_changed(self, change: Change) -> Iterable[Key]:
        """A request that is there."""
        return (key_of(change.new),) if change.new is not None else ()

    async def reconcile(self, key: Key) -> Result:
        """Sign what was approved."""
        request = self._requests.get(key.name)
        options = self._options
        if request is None or not options.cluster_signing_cert_file:
            return Result.done()
        problem_of = _PROBLEMS.get(str(meta.spec(request).get("signerName")))
        found = parsed(pem_of(request))
        if problem_of is None or found is None or not _waits(request):
            return Result.done()
        spec = meta.spec(request)
        usages = spec.get("usages") or ()
        problem = problem_of(found, usages)
        if problem:
            await self._fail(request, problem)
            return Result.done()
        seconds = seconds_granted(
            spec.get("expirationSeconds"), options.cluster_signing_duration_seconds
        )
        try:
            authority = SigningAuthority.read(
                options.cluster_signing_cert_file, options.cluster_signing_key_file
            )
            pem = authority.sign(found, usages, seconds, self._clock.time())
        except CannotSign as error:
            _log.error("not signed", request=key.name, error=str(error))
            return Result.after(_RETRY_SECONDS)
        status = {**meta.status(request), "certificate": base64.b64encode(pem).decode()}
        await self._client.update_status(
            CERTIFICATE_SIGNING_REQUESTS, {**request, "status": status}
        )
        return Result.done()

    async def _fail(self, request: Obj, problem: str) -> None:
        stamp = to_rfc3339(self._clock.time())
        condition = {
            "type": FAILED,
            "status": "True",
            "reason": "SignerValidationFailure",
            "message": problem,
            "lastUpdateTime": stamp,
            "lastTransitionTime": stamp,
        }
        conditions = [*(meta.status(request).get("conditions") or ()), condition]
        status = {**meta.status(request), "conditions": conditions}
        await self._client.update_status(
            CERTIFICATE_SIGNING_REQUESTS, {**request, "status": status}
        )


def _waits(request: Obj) -> bool:
    """Whether the request is approved, and nobody has signed it or given it up."""
    return (
        bool(conditions_of(request, APPROVED))
        and not conditions_of(request, DENIED)
        and not conditions_of(request, FAILED)
        and not meta.status(request).get("certificate")
    )


def _build(context: Context, options: SigningOptions) -> Controller[Key]:
    signer = Signer(context, options)
    watches = (Watch(CERTIFICATE_SIGNING_REQUESTS, signer.request_changed),)
    return Controller(_NAME, watches, signer)


DESCRIPTOR = Descriptor(
    _NAME, _build, (CERTIFICATE_SIGNING_REQUESTS,), SigningOptions, aliases=("csrsigning",)
)
