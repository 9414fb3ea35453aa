"""What a pod refers to. Pure.

Source: pkg/api/v1/pod (VisitPodSecretNames, VisitPodConfigmapNames), plugin/pkg/auth/authorizer/node/graph.go.
"""

from collections.abc import Iterator

from controlplane.api import meta
from controlplane.api.meta import Obj

Reference = tuple[str, str, str]
"""(plural, namespace, name) of an object."""


def of_pod(pod: Obj) -> set[Reference]:
    """The pod itself, and all objects that its node needs for it."""
    namespace, spec = meta.namespace(pod), meta.spec(pod)
    found: set[Reference] = {("pods", namespace, meta.name(pod))}

    def add(kind: str, name: object) -> None:
        if name:
            found.add((kind, namespace, str(name)))

    add("serviceaccounts", spec.get("serviceAccountName"))
    for secret in spec.get("imagePullSecrets") or ():
        add("secrets", secret.get("name"))
    for container in _containers(spec):
        for kind, name in _of_environment(container):
            add(kind, name)
    for volume in spec.get("volumes") or ():
        for kind, name in _of_volume(pod, volume):
            add(kind, name)
    for claim in meta.status(pod).get("resourceClaimStatuses") or ():
        add("resourceclaims", claim.get("resourceClaimName"))
    for claim in spec.get("resourceClaims") or ():
        add("resourceclaims", claim.get("resourceClaimName"))
    return found


def _containers(spec: Obj) -> Iterator[Obj]:
    for field in ("containers", "initContainers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def _of_environment(container: Obj) -> Iterator[tuple[str, object]]:
    for source in container.get("envFrom") or ():
        yield "secrets", (source.get("secretRef") or {}).get("name")
        yield "configmaps", (source.get("configMapRef") or {}).get("name")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        yield "secrets", (source.get("secretKeyRef") or {}).get("name")
        yield "configmaps", (source.get("configMapKeyRef") or {}).get("name")


# Volume types that name a secret: field of the volume -> where the name stands.
_SECRET_VOLUMES = {
    "azureFile": ("secretName",),
    "cephfs": ("secretRef", "name"),
    "cinder": ("secretRef", "name"),
    "csi": ("nodePublishSecretRef", "name"),
    "flexVolume": ("secretRef", "name"),
    "iscsi": ("secretRef", "name"),
    "rbd": ("secretRef", "name"),
    "scaleIO": ("secretRef", "name"),
    "secret": ("secretName",),
    "storageos": ("secretRef", "name"),
}


def _of_volume(pod: Obj, volume: Obj) -> Iterator[tuple[str, object]]:
    for field, path in _SECRET_VOLUMES.items():
        if field in volume:
            yield "secrets", meta.get_path(volume[field], ".".join(path))
    yield "configmaps", (volume.get("configMap") or {}).get("name")
    yield "persistentvolumeclaims", (volume.get("persistentVolumeClaim") or {}).get("claimName")
    if "ephemeral" in volume:
        yield "persistentvolumeclaims", f"{meta.name(pod)}-{volume.get('name')}"
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield "secrets", (source.get("secret") or {}).get("name")
        yield "configmaps", (source.get("configMap") or {}).get("name")


def of_volume(volume: Obj) -> set[Reference]:
    """The persistent volume itself, and the secrets that mounting it takes."""
    found: set[Reference] = {("persistentvolumes", "", meta.name(volume))}
    spec = meta.spec(volume)
    home = str((spec.get("claimRef") or {}).get("namespace") or "")
    for field, value in spec.items():
        if not isinstance(value, dict):
            continue
        if field == "azureFile" and value.get("secretName"):
            place = value.get("secretNamespace") or home
            found.add(("secrets", str(place), str(value["secretName"])))
        for key, reference in value.items():
            if key.endswith(("secretRef", "SecretRef")) and isinstance(reference, dict):
                place = reference.get("namespace") or home
                if reference.get("name"):
                    found.add(("secrets", str(place), str(reference["name"])))
    return found


def claim_of(volume: Obj) -> Reference | None:
    """The claim that a persistent volume belongs to."""
    claim = meta.spec(volume).get("claimRef")
    if not claim or not claim.get("name"):
        return None
    return ("persistentvolumeclaims", str(claim.get("namespace") or ""), str(claim["name"]))
