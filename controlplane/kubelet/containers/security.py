"""Who a container's processes are, what they may and how much they may use, from the pod's spec. Pure."""

from collections.abc import Sequence
from typing import Any

from controlplane.api import quantity
from controlplane.api.meta import View
from controlplane.kinds.core.pod.views import qos_class
from controlplane.kubelet.containers.references import ConfigError
from controlplane.kubelet.runtimes.interface import Feature, Limits, Privileges

_GUARANTEED_SCORE, _BEST_EFFORT_SCORE = -997, 1000
_HIGHEST_USER_PRIORITY = 1_000_000_000


def privileges_of(pod: View, container: View) -> Privileges:
    """What the security contexts say; the container's wins over the pod's."""
    shared = pod["spec"].get("securityContext") or {}
    own = container.get("securityContext") or {}
    capabilities = own.get("capabilities") or {}
    groups = [*(shared.get("supplementalGroups") or ())]
    if shared.get("fsGroup") is not None:
        groups.append(shared["fsGroup"])
    privileged = bool(own.get("privileged"))
    return Privileges(
        user=_first(own.get("runAsUser"), shared.get("runAsUser")),
        group=_first(own.get("runAsGroup"), shared.get("runAsGroup")),
        groups=tuple(dict.fromkeys(groups)),
        add_capabilities=tuple(capabilities.get("add") or ()),
        drop_capabilities=tuple(capabilities.get("drop") or ()),
        privileged=privileged,
        no_new_privileges=own.get("allowPrivilegeEscalation") is False and not privileged,
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
    )


def check_not_root(pod: View, container: View, image_user: str) -> None:
    """Refuse, by ConfigError in upstream's words, a container that must not be root and would be."""
    shared = pod["spec"].get("securityContext") or {}
    own = container.get("securityContext") or {}
    if not _first(own.get("runAsNonRoot"), shared.get("runAsNonRoot")):
        return
    meta = pod["metadata"]
    label = f'"{meta["name"]}_{meta.get("namespace", "")}({meta.get("uid", "")})"'
    where = f"(pod: {label}, container: {container['name']})"
    user = _first(own.get("runAsUser"), shared.get("runAsUser"))
    if user is not None:
        if user == 0:
            raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
        return
    name = image_user.partition(":")[0]
    if name in ("", "0", "root"):
        raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")
    if not name.isdigit():
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({name}), "
            f"cannot verify user is non-root {where}"
        )


def limits_of(container: View, most_pids: int) -> Limits:
    """The limits of a container. A request of processor time is a weight, as with upstream."""
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    asked = requests.get("cpu", limits.get("cpu"))
    shares = 2 if asked is None else max(2, int(quantity.parse(asked) * 1024))
    return Limits(
        memory_bytes=int(quantity.parse(limits.get("memory", "0"))),
        cpu_millis=-(-int(quantity.parse(limits.get("cpu", "0")) * 1000) // 1),
        cpu_shares=shares,
        pids=most_pids,
    )


def oom_score(pod: View, container: View, memory: str) -> int:
    """How soon the kernel is to end a container when `memory`, the node's, runs out.

    Source: pkg/kubelet/qos/policy.go.
    """
    if int(pod["spec"].get("priority") or 0) > _HIGHEST_USER_PRIORITY:
        return _GUARANTEED_SCORE
    quality = qos_class(pod["spec"])
    if quality != "Burstable":
        return _GUARANTEED_SCORE if quality == "Guaranteed" else _BEST_EFFORT_SCORE
    asked = ((container.get("resources") or {}).get("requests") or {}).get("memory", "0")
    have = int(quantity.parse(memory)) or 1
    score = _BEST_EFFORT_SCORE - _BEST_EFFORT_SCORE * int(quantity.parse(asked)) // have
    return min(max(score, _BEST_EFFORT_SCORE + _GUARANTEED_SCORE), _BEST_EFFORT_SCORE - 1)


def lacking(pod: View, features: frozenset[Feature]) -> Sequence[Feature]:
    """What a pod asks for and its node's runtime does not have."""
    wanted = set()
    spec = pod["spec"]
    containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
    contexts = [spec.get("securityContext") or {}]
    contexts += [container.get("securityContext") or {} for container in containers]
    if any(context.get(key) for context in contexts for key in ("runAsUser", "runAsGroup")):
        wanted.add(Feature.USERS)
    if contexts[0].get("fsGroup") or contexts[0].get("supplementalGroups"):
        wanted.add(Feature.USERS)
    if any(context.get("readOnlyRootFilesystem") for context in contexts):
        wanted.add(Feature.ROOTFS)
    if any((c.get("resources") or {}).get("limits") for c in containers):
        wanted.add(Feature.LIMITS)
    if any(c.get("volumeMounts") for c in containers):
        wanted.add(Feature.MOUNTS)
    if spec.get("hostAliases") or spec.get("dnsConfig"):
        wanted.add(Feature.ROOTFS)
    if spec.get("shareProcessNamespace"):
        wanted.add(Feature.PROCESSES)
    return [feature for feature in Feature if feature in wanted - features]


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
