"""What `quorate status` shows: gathered from the supervisor, the store's health ports and the API."""

import asyncio
import json
import re
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kvstore.local.probe import http_get

_METRIC = re.compile(r"^(etcd_[a-z_]+|quorate_[a-z_]+)(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)
_LEASES = {"scheduler": "kube-scheduler", "controllers": "kube-controller-manager"}


async def gather(cluster: dict[str, Any]) -> dict[str, Any]:
    """The whole picture; what does not answer in two seconds is null."""
    members = [p for p in cluster["processes"] if p["kind"] == "store"]
    cluster["members"] = list(await asyncio.gather(*(_member(process) for process in members)))
    if cluster["kubernetes"]:
        cluster.update(await _kubernetes(cluster))
    return cluster


async def _member(process: dict[str, Any]) -> dict[str, Any]:
    """One store member, from its metrics."""
    url = urlsplit(process["addresses"]["health"])
    member: dict[str, Any] = {"name": process["group"], "state": process["state"]}
    try:
        _, body = await http_get(url.hostname or "", url.port or 0, "/metrics", timeout_seconds=2.0)
    except (OSError, TimeoutError, ValueError):
        return {**member, "answers": False}
    values = {name: float(value) for name, value in _METRIC.findall(body.decode(errors="replace"))}
    return {
        **member,
        "answers": True,
        "leads": values.get("etcd_server_is_leader") == 1,
        "has_leader": values.get("etcd_server_has_leader") == 1,
        "revision": int(values.get("etcd_debugging_mvcc_current_revision", 0)),
        "applied": int(values.get("etcd_server_proposals_applied_total", 0)),
    }


async def _kubernetes(cluster: dict[str, Any]) -> dict[str, Any]:
    tls = _admin_tls(Path(cluster["state_dir"]) / "pki")
    url = urlsplit(cluster["kubernetes"])

    async def get(path: str) -> dict[str, Any] | None:
        try:
            code, body = await http_get(
                url.hostname or "", url.port or 0, path, tls=tls, timeout_seconds=2.0
            )
            return json.loads(body) if code == 200 else None
        except (OSError, TimeoutError, ValueError):
            return None

    base = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/"
    nodes, *leases = await asyncio.gather(
        get("/api/v1/nodes"), *(get(base + lease) for lease in _LEASES.values())
    )
    holders = {
        part: lease["spec"].get("holderIdentity") if lease else None
        for part, lease in zip(_LEASES, leases, strict=True)
    }
    return {
        "leaders": holders,
        "nodes": None if nodes is None else [_node(node) for node in nodes["items"]],
    }


def _node(node: dict[str, Any]) -> dict[str, Any]:
    ready = next(
        (c["status"] for c in node["status"].get("conditions", ()) if c["type"] == "Ready"),
        "Unknown",
    )
    return {"name": node["metadata"]["name"], "ready": ready == "True"}


def _admin_tls(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
    return context


def render(document: dict[str, Any]) -> str:
    """The picture as text."""
    lines = [f"cluster {document['name']} in {document['state_dir']} (pid {document['pid']})", ""]
    lines.append(f"{'PROCESS':<24} {'STATE':<9} {'PID':>8}  {'RESTARTS':>8}  ADDRESS")
    for process in document["processes"]:
        address = next(iter(process["addresses"].values()), "")
        lines.append(
            f"{process['name']:<24} {process['state']:<9} {process['pid'] or '-':>8}  "
            f"{process['restarts']:>8}  {address}"
        )
    lines += ["", f"{'MEMBER':<24} {'ROLE':<9} {'REVISION':>8}"]
    for member in document["members"]:
        if not member["answers"]:
            lines.append(f"{member['name']:<24} {'no answer':<9} {'-':>8}")
            continue
        role = "leader" if member["leads"] else "follower" if member["has_leader"] else "no leader"
        lines.append(f"{member['name']:<24} {role:<9} {member['revision']:>8}")
    if document.get("faults"):
        lines += ["", f"{'FAULTS':<24} (`quorate heal` undoes them)"]
        for name, faults in document["faults"].items():
            lines += [f"{name:<24} {fault}" for fault in faults]
    if "leaders" in document:
        lines.append("")
        for part, holder in document["leaders"].items():
            lines.append(f"{part:<12} led by {holder or '(nobody, or no answer)'}")
        lines.append("")
        if document["nodes"] is None:
            lines.append("nodes: the API does not answer")
        for node in document["nodes"] or ():
            lines.append(f"{node['name']:<24} {'Ready' if node['ready'] else 'NotReady'}")
    return "\n".join(lines)
