"""Variables that tell a container of the Services there are. Pure.

The Service `kubernetes` of the namespace default is told always, those of the pod's own namespace unless
`enableServiceLinks` is false; Services without an address never. Source: pkg/kubelet/envvars/envvars.go.
"""

from collections.abc import Iterable

from controlplane.api.meta import View

_MASTER = ("default", "kubernetes")


def service_env(services: Iterable[View], namespace: str, *, links: bool) -> dict[str, str]:
    """The variables for a pod of `namespace`; a Service `kubernetes` of its own wins over that of `default`."""
    chosen: dict[str, View] = {}
    for service in services:
        if (service.get("spec") or {}).get("clusterIP") in (None, "", "None"):
            continue
        meta = service["metadata"]
        where = (meta.get("namespace", ""), meta["name"])
        if where == _MASTER:
            chosen.setdefault(meta["name"], service)
        elif links and where[0] == namespace:
            chosen[meta["name"]] = service
    env: dict[str, str] = {}
    for name in sorted(chosen):
        env.update(_of_service(name, chosen[name]["spec"]))
    return env


def _of_service(name: str, spec: View) -> dict[str, str]:
    prefix, address = _variable(name), str(spec["clusterIP"])
    env = {f"{prefix}_SERVICE_HOST": address}
    ports = list(spec.get("ports") or ())
    host = f"[{address}]" if ":" in address else address
    for index, entry in enumerate(ports):
        port, protocol = str(entry["port"]), str(entry.get("protocol") or "TCP")
        if index == 0:
            env[f"{prefix}_SERVICE_PORT"] = port
            env[f"{prefix}_PORT"] = f"{protocol.lower()}://{host}:{port}"
        if entry.get("name"):
            env[f"{prefix}_SERVICE_PORT_{_variable(entry['name'])}"] = port
        link = f"{prefix}_PORT_{port}_{protocol.upper()}"
        env[link] = f"{protocol.lower()}://{host}:{port}"
        env |= {f"{link}_PROTO": protocol.lower(), f"{link}_PORT": port, f"{link}_ADDR": address}
    return env


def _variable(name: str) -> str:
    return name.replace("-", "_").upper()
