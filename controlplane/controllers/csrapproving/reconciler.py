"""Approves requests for node client certificates, when who asks may have them.

A node asks for its own again (`selfnodeclient`), a bootstrapping one for its first (`nodeclient`): both are
permissions, asked about by a review. Serving certificates are approved by people.

Source: pkg/controller/certificates/approver/sarapprove.go.
"""

from collections.abc import Iterable

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor, NoOptions
from controlplane.controllers.framework.reconciler import Key, Result, Terminal
from controlplane.controllers.framework.sources import Change, key_of
from controlplane.controllers.workloads.certificate_requests import (
    KUBELET_CLIENT,
    common_name_of,
    kubelet_client_problem,
)
from controlplane.kinds.authorization.subject_access_review import SUBJECT_ACCESS_REVIEWS
from controlplane.kinds.certificates.certificate_signing_request import (
    APPROVED,
    CERTIFICATE_SIGNING_REQUESTS,
    DENIED,
    conditions_of,
    parsed,
    pem_of,
)

_NAME = "certificatesigningrequest-approving-controller"
_SELF = "Auto approving self kubelet client certificate after SubjectAccessReview."
_OTHER = "Auto approving kubelet client certificate after SubjectAccessReview."


class Approver:
    """Approves one request."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._requests = context.informers.of(CERTIFICATE_SIGNING_REQUESTS).indexer

    def request_changed(self, change: Change) -> Iterable[Key]:
        """A request that is there."""
        return (key_of(change.new),) if change.new is not None else ()

    async def reconcile(self, key: Key) -> Result:
        """Approve the request of a node that may ask for it."""
        request = self._requests.get(key.name)
        if request is None or meta.spec(request).get("signerName") != KUBELET_CLIENT:
            return Result.done()
        is_decided = conditions_of(request, APPROVED) or conditions_of(request, DENIED)
        found = parsed(pem_of(request))
        if is_decided or meta.status(request).get("certificate") or found is None:
            return Result.done()
        spec = meta.spec(request)
        if kubelet_client_problem(found, spec.get("usages") or ()):
            return Result.done()
        permissions = [("nodeclient", _OTHER)]
        if spec.get("username") == common_name_of(found):
            permissions.insert(0, ("selfnodeclient", _SELF))
        for permission, message in permissions:
            if await self._may(spec, permission):
                await self._approve(request, message)
                return Result.done()
        tried = " ".join(permission for permission, _ in permissions)
        raise Terminal(f"{key.name} is recognized as [{tried}], and who asks may not have it")

    async def _may(self, spec: Obj, permission: str) -> bool:
        review = {
            "spec": {
                "user": spec.get("username", ""),
                "uid": spec.get("uid", ""),
                "groups": spec.get("groups") or [],
                "extra": spec.get("extra") or {},
                "resourceAttributes": {
                    "group": "certificates.k8s.io",
                    "resource": "certificatesigningrequests",
                    "verb": "create",
                    "subresource": permission,
                    "version": "*",
                },
            }
        }
        answer = await self._client.create(SUBJECT_ACCESS_REVIEWS, review)
        return bool(meta.status(answer).get("allowed"))

    async def _approve(self, request: Obj, message: str) -> None:
        condition = {
            "type": APPROVED,
            "status": "True",
            "reason": "AutoApproved",
            "message": message,
        }
        conditions = [*(meta.status(request).get("conditions") or ()), condition]
        wanted = {**request, "status": {**meta.status(request), "conditions": conditions}}
        await self._client.update_subresource(
            CERTIFICATE_SIGNING_REQUESTS, meta.name(request), "approval", wanted
        )


def _build(context: Context, options: NoOptions) -> Controller[Key]:
    del options
    approver = Approver(context)
    watches = (Watch(CERTIFICATE_SIGNING_REQUESTS, approver.request_changed),)
    return Controller(_NAME, watches, approver)


DESCRIPTOR = Descriptor(
    _NAME, _build, (CERTIFICATE_SIGNING_REQUESTS,), NoOptions, aliases=("csrapproving",)
)
