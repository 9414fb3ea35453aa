"""The variables of a container, from the pod's spec, what that refers to, the Services there are, and the image.

Later ones win: image, Services, envFrom, env. `$(NAME)` knows all of them but the image's. Source:
pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables).
"""

import re
from collections.abc import Mapping

from controlplane.api.meta import View
from controlplane.kubelet.containers.command import expand
from controlplane.kubelet.containers.downward import field_value, resource_value
from controlplane.kubelet.containers.references import ConfigError, References, read_data
from controlplane.kubelet.images.image import Image

_SOURCES = (("ConfigMap", "configMapRef"), ("Secret", "secretRef"))
_KEYS = (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef"))


def image_env(pod: View, container: View, image: Image, facts: Mapping[str, str]) -> dict[str, str]:
    """What a container has before the pod says anything.

    Programs of the machine, run as images, cannot ask for an address: they are told more.
    """
    meta = pod["metadata"]
    env = {"HOSTNAME": str(pod["spec"].get("hostname") or meta["name"])}
    if not image.rootfs:
        env |= {"POD_NAME": meta["name"], "POD_NAMESPACE": str(meta.get("namespace", ""))}
        env |= {key: value for key, value in facts.items() if re.fullmatch(r"[A-Z_]+", key)}
        ports = container.get("ports") or ()
        if ports:
            return {**env, **image.env, "PORT": str(ports[0]["containerPort"])}
    return {**env, **image.env}


async def pod_env(
    pod: View,
    container: View,
    facts: Mapping[str, str],
    services: Mapping[str, str],
    references: References,
) -> dict[str, str]:
    """What the pod says, and the Services. Raises ConfigError."""
    namespace = str(pod["metadata"].get("namespace", ""))
    env: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix") or ""
        for kind, key in _SOURCES:
            if source.get(key):
                data = await _data(references, kind, namespace, source[key])
                env.update({prefix + k: v.decode(errors="replace") for k, v in data.items()})
    for entry in container.get("env") or ():
        if entry.get("valueFrom"):
            value = await _value_from(pod, container, entry["valueFrom"], facts, references)
            if value is not None:
                env[entry["name"]] = value
        else:
            env[entry["name"]] = expand(entry.get("value") or "", {**services, **env})
    return {**services, **env}


async def _value_from(
    pod: View,
    container: View,
    source: View,
    facts: Mapping[str, str],
    references: References,
) -> str | None:
    if source.get("fieldRef"):
        return field_value(pod, source["fieldRef"].get("fieldPath", ""), facts)
    if source.get("resourceFieldRef"):
        return resource_value(pod, container["name"], source["resourceFieldRef"], facts)
    namespace = str(pod["metadata"].get("namespace", ""))
    for kind, key in _KEYS:
        reference = source.get(key)
        if not reference:
            continue
        data = await _data(references, kind, namespace, reference)
        if reference["key"] in data:
            return data[reference["key"]].decode(errors="replace")
        if not reference.get("optional"):
            raise ConfigError(
                f"couldn't find key {reference['key']} in {kind} {namespace}/{reference.get('name')}"
            )
    return None


async def _data(
    references: References, kind: str, namespace: str, reference: View
) -> dict[str, bytes]:
    name = str(reference.get("name", ""))
    return await read_data(
        references, kind, namespace, name, optional=bool(reference.get("optional"))
    )
