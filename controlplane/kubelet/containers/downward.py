"""The downward API: fields of the pod and resources of its containers, as text. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from controlplane.api import quantity
from controlplane.api.meta import View
from controlplane.kubelet.containers.references import ConfigError


def field_value(pod: View, path: str, facts: Mapping[str, str]) -> str:
    """A field; `facts` holds what the status does not show yet. Raises ConfigError."""
    meta = pod["metadata"]
    subscript = re.fullmatch(r"metadata\.(labels|annotations)\['([^']*)'\]", path)
    if subscript:
        return str((meta.get(subscript.group(1)) or {}).get(subscript.group(2), ""))
    if path in ("metadata.labels", "metadata.annotations"):
        entries = meta.get(path.partition(".")[2]) or {}
        return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted(entries.items()))
    known = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta.get("namespace", ""),
        "metadata.uid": meta.get("uid", ""),
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
        "status.podIP": facts.get("POD_IP", ""),
        "status.podIPs": facts.get("POD_IP", ""),
        "status.hostIP": facts.get("HOST_IP", ""),
        "status.hostIPs": facts.get("HOST_IP", ""),
    }
    if path not in known:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(known[path])


def resource_value(pod: View, container: str, reference: View, facts: Mapping[str, str]) -> str:
    """A request or limit in units of the divisor, rounded up; a limit not set is the node's.

    `facts` tells the node's as `allocatable.cpu` and so on. Raises ConfigError for a container there is not.
    """
    wanted = reference.get("containerName") or container
    every = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())]
    holder = next((c for c in every if c["name"] == wanted), None)
    if holder is None:
        raise ConfigError(f"container {wanted} not found")
    kind, _, name = str(reference.get("resource", "")).partition(".")
    resources = holder.get("resources") or {}
    amount = (resources.get(kind) or {}).get(name)
    if amount is None and kind == "limits":
        amount = facts.get(f"allocatable.{name}")
    exact = quantity.parse(amount or "0") / quantity.parse(_divisor(reference))
    return str(-(-exact.numerator // exact.denominator))


def _divisor(reference: View) -> str:
    # "0" is how a divisor that was not given is stored.
    divisor = str(reference.get("divisor") or "1")
    return "1" if divisor == "0" else divisor


def _quoted(text: Any) -> str:
    """As Go's %q, which is what readers of these files parse."""
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    for plain, short in (("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        escaped = escaped.replace(plain, short)
    return f'"{escaped}"'
