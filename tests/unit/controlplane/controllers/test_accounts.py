"""Controllers that write as service accounts of their own, over a server that enforces roles."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.api.errors import Forbidden, Unauthorized
from controlplane.api.meta import Obj
from controlplane.apiserver.authz.rbac import policy
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.http.messages import ANONYMOUS, User
from controlplane.client.accounts import AccountTokens
from controlplane.client.transport import Request
from controlplane.controllers.app import build_manager
from controlplane.controllers.catalog import CONTROLLERS
from controlplane.controllers.config import parse_arguments
from controlplane.controllers.framework.accounts import account_of
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.apps.replica_set import REPLICA_SETS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.service_account import SERVICE_ACCOUNTS
from controlplane.kinds.rbac.cluster_role import CLUSTER_ROLES
from controlplane.testing.in_process import InProcessServer
from kvstore.base.tasks import Supervisor

PROGRAM = User("system:kube-controller-manager")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[InProcessServer]:
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "sa.key"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    config = ApiServerConfig(
        authorization_modes=("RBAC",), service_account_signing_key_file=str(path)
    )
    async with InProcessServer(config=config) as running:
        await running.app.server.caches.wait_current()
        yield running


@pytest.mark.parametrize("name", [one.name for one in CONTROLLERS])
def test_every_controller_speaks_as_an_account_that_has_a_role(name: str) -> None:
    bound = {
        subject["name"]
        for one in policy.defaults()
        for subject in one.get("subjects") or ()
        if subject["kind"] == "ServiceAccount" and subject["namespace"] == "kube-system"
    }
    assert account_of(name) in bound


async def test_an_account_is_made_and_its_token_kept(server: InProcessServer) -> None:
    tokens = AccountTokens(server.client(PROGRAM), server.clock)
    source = tokens.of("a")
    one, other = await asyncio.gather(source.token(), source.token())
    assert one == other == await source.token()
    assert server.object(SERVICE_ACCOUNTS, "a", "kube-system") is not None
    asked = [path for method, path in server.requests if path.endswith("/token")]
    assert len(asked) == 2, "one before the account was there, one after"


async def test_a_client_with_an_accounts_token_is_the_account(server: InProcessServer) -> None:
    tokens = AccountTokens(server.client(PROGRAM), server.clock)
    client = server.client(ANONYMOUS).speaking_with(tokens.of("replicaset-controller"))
    spec = {"containers": [{"name": "c", "image": "i"}]}
    server.put(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    assert await client.create(PODS, {"metadata": {"name": "p"}, "spec": spec}, "default")
    with pytest.raises(Forbidden, match="system:serviceaccount:kube-system:replicaset-controller"):
        await client.create(DEPLOYMENTS, {"metadata": {"name": "p"}}, "default")


class World:
    """The controller manager over the server."""

    def __init__(self, server: InProcessServer) -> None:
        self.server = server
        options = parse_arguments(["--kubeconfig", "none", "--controllers", "*"])
        self.manager = build_manager(
            options,
            server.client(PROGRAM),
            server.clock,
            random.Random(1),
            server.client(ANONYMOUS),
        )
        self._supervisor = Supervisor("world")

    async def __aenter__(self) -> "World":
        self._supervisor.start(self.manager.run(), "manager")
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self._supervisor.stop()

    async def until(self, probe: Any) -> Any:
        async with asyncio.timeout(50):
            while not (found := probe()):
                await asyncio.sleep(0.005)
        return found


def deployment() -> Obj:
    labels = {"app": "w"}
    return {
        "metadata": {"name": "w"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    }


async def test_a_deployment_converges_though_nobody_is_a_master(server: InProcessServer) -> None:
    async with World(server) as world:
        await server.client().create(DEPLOYMENTS, deployment(), "default")
        pods = await world.until(lambda: len(server.objects(PODS, "default")) == 2)
        assert pods
        (replica_set,) = server.objects(REPLICA_SETS, "default")
        assert replica_set["spec"]["replicas"] == 2
        # The aggregated roles are filled, so that people can be given them.
        view = await world.until(lambda: (server.object(CLUSTER_ROLES, "view") or {}).get("rules"))
        assert {"get", "list", "watch"} <= {verb for rule in view for verb in rule["verbs"]}


@pytest.mark.parametrize(
    ("role", "missing"),
    [
        ("system:controller:deployment-controller", REPLICA_SETS),
        ("system:controller:replicaset-controller", PODS),
    ],
)
async def test_without_its_role_a_controller_does_nothing(
    server: InProcessServer, role: str, missing: Any
) -> None:
    """What one account may do, no other does for it: the permission is the account's, not the program's."""
    server.remove(CLUSTER_ROLES, role)
    await server.app.server.caches.wait_current()
    async with World(server) as world:
        await server.client().create(DEPLOYMENTS, deployment(), "default")
        if missing is PODS:
            await world.until(lambda: server.objects(REPLICA_SETS, "default"))
        refused = f"/{missing.plural}"
        await world.until(
            lambda: any(
                method == "POST" and path.endswith(refused) for method, path in server.requests
            )
        )
        await asyncio.sleep(0.05)
        assert server.objects(missing, "default") == []


async def test_a_refused_token_is_replaced_at_once(server: InProcessServer) -> None:
    # Found by restoring a checkpoint: an account made anew refuses the tokens of the one before.
    tokens = AccountTokens(server.client(PROGRAM), server.clock)
    client = server.client(ANONYMOUS).speaking_with(tokens.of("replicaset-controller"))
    await client.list(REPLICA_SETS)
    before = await tokens.token("replicaset-controller", "")

    def refuse(request: Request) -> None:
        if request.token == before:
            raise Unauthorized()

    server.intercept = refuse
    await client.list(REPLICA_SETS)
    assert await tokens.token("replicaset-controller", "") != before
    # Who is refused with a new token, too, is told so.
    server.intercept = refuse_all
    with pytest.raises(Unauthorized):
        await client.list(REPLICA_SETS)


def refuse_all(request: Request) -> None:
    if request.token:
        raise Unauthorized()
