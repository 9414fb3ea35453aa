"""ServiceAccount: every pod is somebody, and is given what shows who.

A pod that names no account is `default`. Its account must be there; the account's image pull secrets become the pod's,
and into each container a volume is mounted with a token that the node agent renews, the cluster's authority and the
namespace, unless pod or account say no.

A server without a key to sign tokens with has none to give: then only the name is set, and nothing is asked of the
account.

Source: plugin/pkg/admission/serviceaccount.
"""

import random

from controlplane.api import errors, meta, names
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, UPDATE, Attributes
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from kvstore.base.clock import Clock

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_VOLUME = "kube-api-access"
_TOKEN_SECONDS = 60 * 60 + 7
_MIRROR = "kubernetes.io/config.mirror"
# A namespace's accounts come a moment after it: `default` is waited for, as upstream does.
_TRIES, _PAUSE_SECONDS = 10, 0.1


class ServiceAccount:
    """The plugin."""

    def __init__(
        self, lookup: Lookup, clock: Clock, rng: random.Random, *, has_tokens: bool
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._rng = rng
        self._has_tokens = has_tokens

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """New pods, and ephemeral containers, which must not bring an account of their own."""
        return operation in (CREATE, UPDATE) and resource == PODS and not subresource

    async def admit(self, attributes: Attributes) -> None:
        """Complete a new pod."""
        if attributes.operation != CREATE:
            return
        pod = attributes.require_object()
        spec = pod.setdefault("spec", {})
        if _MIRROR in meta.annotations(pod):
            # Node agents show their own pods so; they get nothing from us.
            return
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        if not self._has_tokens:
            return
        account = await self._account(attributes, name)
        if _mounts_token(spec, account):
            self._mount_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(one) for one in account["imagePullSecrets"]]

    async def validate(self, attributes: Attributes) -> None:
        """Refuse a node agent's own pod that uses what only accounts are given."""
        if attributes.operation != CREATE or not self._has_tokens:
            return
        pod = attributes.require_object()
        if _MIRROR not in meta.annotations(pod):
            return
        spec = meta.spec(pod)
        if spec.get("serviceAccountName"):
            self._refuse(attributes, "a mirror pod may not reference service accounts")
        for volume in spec.get("volumes") or ():
            sources = (volume.get("projected") or {}).get("sources") or ()
            if any("serviceAccountToken" in one for one in sources):
                why = "a mirror pod may not use ServiceAccountToken volume projections"
                self._refuse(attributes, why)
            if "secret" in volume:
                self._refuse(attributes, "a mirror pod may not reference secrets")

    def _refuse(self, attributes: Attributes, why: str) -> None:
        raise errors.Forbidden.of(PODS, attributes.name, why)

    async def _account(self, attributes: Attributes, name: str) -> Obj:
        namespace = attributes.namespace
        for attempt in range(_TRIES if name == "default" else 1):
            if attempt:
                await self._clock.sleep(_PAUSE_SECONDS)
            found = await self._lookup.find(SERVICE_ACCOUNTS, namespace, name)
            if found is not None:
                return found
        why = (
            f"error looking up service account {namespace}/{name}: serviceaccount "
            f'"{name}" not found'
        )
        raise errors.Forbidden.of(PODS, attributes.name, why)

    def _mount_token(self, spec: Obj) -> None:
        volumes = [one.get("name", "") for one in spec.get("volumes") or ()]
        known = next((one for one in volumes if one.startswith(_VOLUME + "-")), "")
        name = known or self._new_name(volumes)
        has_mounted = False
        for field in ("initContainers", "containers"):
            for container in spec.get(field) or ():
                mounts = list(container.get("volumeMounts") or ())
                if any(one.get("mountPath") == MOUNT_PATH for one in mounts):
                    continue
                mounts.append({"name": name, "readOnly": True, "mountPath": MOUNT_PATH})
                container["volumeMounts"] = mounts
                has_mounted = True
        if has_mounted and not known:
            spec["volumes"] = [*(spec.get("volumes") or ()), _volume(name)]

    def _new_name(self, taken: list[str]) -> str:
        while True:
            name = names.generate_name(_VOLUME + "-", self._rng)
            if name not in taken:
                return name


def _mounts_token(spec: Obj, account: Obj) -> bool:
    for source in (spec, account):
        wanted = source.get("automountServiceAccountToken")
        if wanted is not None:
            return bool(wanted)
    return True


def _volume(name: str) -> Obj:
    namespace = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "name": name,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
                {
                    "configMap": {
                        "name": "kube-root-ca.crt",
                        "items": [{"key": "ca.crt", "path": "ca.crt"}],
                    }
                },
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace}]}},
            ],
        },
    }
