"""A node agent reads and writes what is its own; everything else is an attack, and refused."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.api.errors import Forbidden
from controlplane.api.meta import Obj
from controlplane.apiserver.authz.node.references import of_pod
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import User
from controlplane.client.rest import RestClient
from controlplane.kinds.coordination.lease import LEASES
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.secret import SECRETS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.testing.in_process import InProcessServer

N1 = User("system:node:n1", ("system:nodes",))


def named(name: str, namespace: str = "default", **fields: object) -> Obj:
    place = {"namespace": namespace} if namespace else {}
    return {"metadata": {"name": name, **place}, **fields}


def pod(name: str, node: str, suffix: str) -> Obj:
    """A pod on a node that refers to objects whose names end in `suffix`."""
    return named(
        name,
        spec={
            "nodeName": node,
            "serviceAccountName": f"sa-{suffix}",
            "imagePullSecrets": [{"name": f"pull-{suffix}"}],
            "containers": [
                {
                    "name": "c",
                    "envFrom": [{"configMapRef": {"name": f"env-{suffix}"}}],
                    "env": [
                        {
                            "name": "K",
                            "valueFrom": {"secretKeyRef": {"name": f"key-{suffix}", "key": "k"}},
                        }
                    ],
                }
            ],
            "volumes": [
                {"name": "s", "secret": {"secretName": f"volume-{suffix}"}},
                {
                    "name": "p",
                    "projected": {"sources": [{"configMap": {"name": f"projected-{suffix}"}}]},
                },
                {"name": "c", "persistentVolumeClaim": {"claimName": f"claim-{suffix}"}},
            ],
        },
    )


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "sa.key"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
async def server(key_file: Path) -> AsyncIterator[InProcessServer]:
    config = ApiServerConfig(
        authorization_modes=("Node", "RBAC"),
        enabled_admission_plugins=("NodeRestriction",),
        service_account_signing_key_file=str(key_file),
    )
    async with InProcessServer(config=config) as running:
        for at, suffix in (("n1", "own"), ("n2", "other")):
            running.put(NODES, named(at, ""))
            running.put(PODS, pod(f"p-{suffix}", at, suffix))
            for name in ("pull", "key", "volume", "pv-secret"):
                running.put(SECRETS, named(f"{name}-{suffix}"))
            for name in ("env", "projected"):
                running.put(CONFIG_MAPS, named(f"{name}-{suffix}"))
            running.put(SERVICE_ACCOUNTS, named(f"sa-{suffix}"))
            running.put(PERSISTENT_VOLUME_CLAIMS, named(f"claim-{suffix}"))
            reference = {"name": f"pv-secret-{suffix}", "namespace": "default"}
            running.put(
                PERSISTENT_VOLUMES,
                named(
                    f"pv-{suffix}",
                    "",
                    spec={
                        "claimRef": {"namespace": "default", "name": f"claim-{suffix}"},
                        "csi": {"driver": "d", "nodePublishSecretRef": reference},
                    },
                ),
            )
        await running.app.server.caches.wait_current()
        yield running


@pytest.fixture
def node(server: InProcessServer) -> RestClient:
    return server.client(N1)


READABLE = [
    (PODS, "p"),
    (SECRETS, "pull"),
    (SECRETS, "key"),
    (SECRETS, "volume"),
    (SECRETS, "pv-secret"),
    (CONFIG_MAPS, "env"),
    (CONFIG_MAPS, "projected"),
    (PERSISTENT_VOLUME_CLAIMS, "claim"),
    (PERSISTENT_VOLUMES, "pv"),
    (SERVICE_ACCOUNTS, "sa"),
]


@pytest.mark.parametrize(
    ("resource", "name"), READABLE, ids=[f"{row.plural} {name}" for row, name in READABLE]
)
async def test_a_node_reads_what_its_pods_refer_to_and_no_more(
    server: InProcessServer, node: RestClient, resource: object, name: str
) -> None:
    namespace = "default" if resource.namespaced else ""  # type: ignore[attr-defined]
    assert await node.get(resource, f"{name}-own", namespace)  # type: ignore[arg-type]
    with pytest.raises(Forbidden, match="no relationship found between node 'n1' and this object"):
        await node.get(resource, f"{name}-other", namespace)  # type: ignore[arg-type]
    # It ends with the pod.
    server.remove(PODS, "p-own", "default")
    await server.app.server.caches.wait_current()
    with pytest.raises(Forbidden):
        await node.get(resource, f"{name}-own", namespace)  # type: ignore[arg-type]


async def test_an_object_that_two_pods_need_is_kept_for_the_second(
    server: InProcessServer, node: RestClient
) -> None:
    server.put(PODS, pod("p-second", "n1", "own"))
    server.remove(PODS, "p-own", "default")
    await server.app.server.caches.wait_current()
    assert await node.get(SECRETS, "key-own", "default")


@pytest.mark.parametrize(
    ("selector", "allowed"),
    [
        ("spec.nodeName=n1", True),
        ("spec.nodeName=n2", False),
        ("", False),
        ("spec.nodeName!=n2", False),
        ("metadata.name=p-own", True),
        ("metadata.name=p-other", False),
    ],
)
async def test_a_node_lists_its_own_pods(node: RestClient, selector: str, allowed: bool) -> None:
    if not allowed:
        with pytest.raises(Forbidden):
            await node.list(PODS, "default", field_selector=selector)
        return
    found = await node.list(PODS, "default", field_selector=selector)
    assert [one["metadata"]["name"] for one in found.items] == ["p-own"]


async def _read_all_secrets(client: RestClient) -> object:
    return await client.list(SECRETS, "default")


async def _watch_all_config_maps(client: RestClient) -> object:
    async for event in client.watch(CONFIG_MAPS):
        return event
    return None


async def _write_a_secret(client: RestClient) -> object:
    return await client.create(SECRETS, named("x"), "default")


async def _read_another_node(client: RestClient) -> object:
    return await client.get(NODES, "n2")


async def _read_all_nodes(client: RestClient) -> object:
    return await client.list(NODES)


async def _change_another_node(client: RestClient) -> object:
    return await client.patch(NODES, "n2", {"metadata": {"labels": {"a": "b"}}})


async def _change_another_nodes_status(client: RestClient) -> object:
    return await client.patch(NODES, "n2", {"status": {"phase": "x"}}, subresource="status")


async def _delete_itself(client: RestClient) -> object:
    return await client.delete(NODES, "n1")


async def _untaint_itself(client: RestClient) -> object:
    taints = [{"key": "k", "effect": "NoSchedule"}]
    return await client.patch(NODES, "n1", {"spec": {"taints": taints}})


async def _label_itself_into_a_pool(client: RestClient) -> object:
    labels = {"node-restriction.kubernetes.io/pool": "safe"}
    return await client.patch(NODES, "n1", {"metadata": {"labels": labels}})


async def _label_itself_control_plane(client: RestClient) -> object:
    labels = {"node-role.kubernetes.io/control-plane": ""}
    return await client.patch(NODES, "n1", {"metadata": {"labels": labels}})


async def _disown_itself(client: RestClient) -> object:
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n2", "uid": "u"}
    return await client.patch(NODES, "n1", {"metadata": {"ownerReferences": [owner]}})


async def _register_as_another(client: RestClient) -> object:
    return await client.create(NODES, named("n3", ""))


async def _speak_for_anothers_pod(client: RestClient) -> object:
    status = {"status": {"phase": "Failed"}}
    return await client.patch(PODS, "p-other", status, "default", subresource="status")


async def _relabel_its_pod(client: RestClient) -> object:
    patch = {"metadata": {"labels": {"app": "other"}}}
    return await client.patch(PODS, "p-own", patch, "default", subresource="status")


async def _delete_anothers_pod(client: RestClient) -> object:
    return await client.delete(PODS, "p-other", "default")


async def _evict_anothers_pod(client: RestClient) -> object:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p-other"}}
    return await client.create_subresource(PODS, "p-other", "eviction", body, "default")


async def _create_a_pod(client: RestClient) -> object:
    spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}
    return await client.create(PODS, named("x", spec=spec), "default")


async def _mirror_a_pod_that_reads_secrets(client: RestClient) -> object:
    uid = (await client.get(NODES, "n1"))["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": True}
    made = pod("x", "n1", "other")
    made["spec"].pop("serviceAccountName")
    made["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "h"}
    made["metadata"]["ownerReferences"] = [owner]
    return await client.create(PODS, made, "default")


async def _take_anothers_lease(client: RestClient) -> object:
    return await client.create(LEASES, named("n2", "kube-node-lease"), "kube-node-lease")


async def _take_a_leaders_lease(client: RestClient) -> object:
    return await client.get(LEASES, "kube-scheduler", "kube-system")


def _token(account: str, **reference: str) -> Callable[[RestClient], Awaitable[object]]:
    async def ask(client: RestClient) -> object:
        spec: Obj = {}
        if reference:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", **reference}
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": spec,
        }
        return await client.create_subresource(SERVICE_ACCOUNTS, account, "token", body, "default")

    return ask


ATTACKS: dict[str, Callable[[RestClient], Awaitable[object]]] = {
    "read all secrets": _read_all_secrets,
    "watch all config maps": _watch_all_config_maps,
    "write a secret": _write_a_secret,
    "read another node": _read_another_node,
    "read all nodes": _read_all_nodes,
    "change another node": _change_another_node,
    "change another node's status": _change_another_nodes_status,
    "delete itself": _delete_itself,
    "change its taints": _untaint_itself,
    "label itself into a pool": _label_itself_into_a_pool,
    "label itself a control plane": _label_itself_control_plane,
    "change its owner": _disown_itself,
    "register as another": _register_as_another,
    "speak for another's pod": _speak_for_anothers_pod,
    "relabel its own pod": _relabel_its_pod,
    "delete another's pod": _delete_anothers_pod,
    "evict another's pod": _evict_anothers_pod,
    "create a pod": _create_a_pod,
    "mirror a pod that reads secrets": _mirror_a_pod_that_reads_secrets,
    "take another's lease": _take_anothers_lease,
    "take a leader's lease": _take_a_leaders_lease,
    "a token of nobody's pod": _token("sa-own"),
    "a token without a uid": _token("sa-own", name="p-own"),
    "a token of another account": _token("sa-other", name="p-other", uid="u"),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
async def test_a_node_cannot(
    node: RestClient, attack: Callable[[RestClient], Awaitable[object]]
) -> None:
    with pytest.raises(Forbidden):
        await attack(node)


async def test_a_node_does_its_work(server: InProcessServer, node: RestClient) -> None:
    labels = {"kubernetes.io/hostname": "n1", "topology.kubernetes.io/zone": "z", "own": "x"}
    await node.patch(NODES, "n1", {"metadata": {"labels": labels}})
    await node.patch(NODES, "n1", {"status": {"phase": "Running"}}, subresource="status")
    await node.create(LEASES, named("n1", "kube-node-lease"), "kube-node-lease")
    status = {"status": {"phase": "Running"}}
    await node.patch(PODS, "p-own", status, "default", subresource="status")
    uid = (await node.get(PODS, "p-own", "default"))["metadata"]["uid"]
    answer = await _token("sa-own", name="p-own", uid=uid)(node)
    assert answer["status"]["token"]  # type: ignore[index]
    await node.delete(PODS, "p-own", "default", grace_period_seconds=0)
    assert server.object(PODS, "p-own", "default") is None


@pytest.mark.parametrize(
    "user",
    [
        User("system:node:n1"),
        User("n1", ("system:nodes",)),
        User("system:node:", ("system:nodes",)),
    ],
    ids=["without the group", "without the name", "no node"],
)
async def test_who_only_looks_like_a_node_is_none(server: InProcessServer, user: User) -> None:
    with pytest.raises(Forbidden):
        await server.client(user).get(SECRETS, "key-own", "default")


def test_what_a_pod_refers_to() -> None:
    assert of_pod(pod("p", "n", "x")) == {
        ("pods", "default", "p"),
        ("serviceaccounts", "default", "sa-x"),
        ("secrets", "default", "pull-x"),
        ("secrets", "default", "key-x"),
        ("secrets", "default", "volume-x"),
        ("configmaps", "default", "env-x"),
        ("configmaps", "default", "projected-x"),
        ("persistentvolumeclaims", "default", "claim-x"),
    }
