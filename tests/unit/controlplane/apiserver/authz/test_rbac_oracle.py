"""The RBAC authorizer and the escalation check against an independent oracle, over generated worlds."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from rbac_oracle import Question, Universe, World, covers, may

from controlplane.api.resource import Resource
from controlplane.apiserver.authz.interface import Attributes, Decision
from controlplane.apiserver.authz.rbac import rules
from controlplane.apiserver.authz.rbac.authorizer import RbacAuthorizer
from controlplane.apiserver.authz.rbac.grants import GrantIndex
from controlplane.apiserver.http.messages import User
from controlplane.kinds.rbac.cluster_role import CLUSTER_ROLES
from controlplane.kinds.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from controlplane.kinds.rbac.role import ROLES
from controlplane.kinds.rbac.role_binding import ROLE_BINDINGS
from controlplane.storage.memory import MemoryStorage
from controlplane.storage.watch_cache import WatchCache
from kvstore.base.clock import SystemClock

VERBS = ("get", "list", "create", "escalate", "*")
GROUPS = ("", "apps", "*")
RESOURCES = ("pods", "pods/log", "deployments", "*/scale", "deployments/scale", "*")
NAMES = ("a", "b")
PATHS = ("/metrics", "/api", "/api/*", "/a*", "*")
NAMESPACES = ("n1", "n2")
USERS = ("jane", "joe", "system:serviceaccount:n1:sa", "system:serviceaccount:n2:sa")
USER_GROUPS = ("g1", "g2", "system:authenticated")


def some(rng: random.Random, words: tuple[str, ...], least: int = 1) -> list[str]:
    return rng.sample(words, rng.randint(least, min(2, len(words))))


def rule(rng: random.Random, *, with_paths: bool) -> dict[str, Any]:
    if with_paths and rng.random() < 0.3:
        return {"verbs": some(rng, VERBS), "nonResourceURLs": some(rng, PATHS)}
    made: dict[str, Any] = {
        "verbs": some(rng, VERBS),
        "apiGroups": some(rng, GROUPS),
        "resources": some(rng, RESOURCES),
    }
    if rng.random() < 0.3:
        made["resourceNames"] = some(rng, NAMES)
    return made


def subject(rng: random.Random, *, in_namespace: bool) -> tuple[str, str, str]:
    kind = rng.choice(("User", "Group", "ServiceAccount"))
    if kind == "User":
        return kind, rng.choice(USERS), ""
    if kind == "Group":
        return kind, rng.choice(USER_GROUPS), ""
    place = rng.choice(NAMESPACES) if not in_namespace or rng.random() < 0.5 else ""
    return kind, "sa", place


def world(rng: random.Random) -> World:
    made = World()
    for number in range(rng.randint(1, 4)):
        made.cluster_roles[f"c{number}"] = [
            rule(rng, with_paths=True) for _ in range(rng.randint(0, 4))
        ]
    for namespace in NAMESPACES:
        for number in range(rng.randint(0, 2)):
            made.roles[(namespace, f"r{number}")] = [
                rule(rng, with_paths=False) for _ in range(rng.randint(1, 4))
            ]
        for number in range(rng.randint(0, 3)):
            kind = rng.choice(("Role", "ClusterRole"))
            # Sometimes a role that is not there.
            name = f"{'r' if kind == 'Role' else 'c'}{rng.randint(0, 3)}"
            subjects = [subject(rng, in_namespace=True) for _ in range(rng.randint(1, 4))]
            made.bindings[(namespace, f"b{number}")] = (kind, name, subjects)
    for number in range(rng.randint(0, 3)):
        subjects = [subject(rng, in_namespace=False) for _ in range(rng.randint(1, 4))]
        made.cluster_bindings[f"b{number}"] = (f"c{rng.randint(0, 3)}", subjects)
    return made


def question(rng: random.Random) -> Question:
    user, groups = rng.choice(USERS), tuple(some(rng, USER_GROUPS, 0))
    verb = rng.choice((*VERBS[:-1], "delete"))
    if rng.random() < 0.2:
        path = rng.choice(("/metrics", "/api", "/api/v1", "/apix", "/", "/version"))
        return Question(user, groups, verb, path=path)
    resource, _, subresource = rng.choice(
        ("pods", "pods/log", "deployments", "deployments/scale", "nodes", "nodes/scale")
    ).partition("/")
    return Question(
        user,
        groups,
        verb,
        rng.choice(("", "apps", "batch")),
        resource,
        subresource,
        rng.choice(("", "a", "b", "c")),
        rng.choice(("", *NAMESPACES, "n3")),
    )


def objects(made: World) -> dict[str, tuple[Resource, dict[str, Any]]]:
    """The world as objects, by store key."""
    found: dict[str, tuple[Resource, dict[str, Any]]] = {}

    def add(resource: Resource, namespace: str, name: str, **fields: Any) -> None:
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        found[resource.key(namespace, name)] = (resource, {"metadata": metadata, **fields})

    for name, its_rules in made.cluster_roles.items():
        add(CLUSTER_ROLES, "", name, rules=its_rules)
    for (namespace, name), its_rules in made.roles.items():
        add(ROLES, namespace, name, rules=its_rules)
    for (namespace, name), (kind, role, subjects) in made.bindings.items():
        reference = {"kind": kind, "name": role}
        add(ROLE_BINDINGS, namespace, name, roleRef=reference, subjects=_shown(subjects))
    for name, (role, subjects) in made.cluster_bindings.items():
        reference = {"kind": "ClusterRole", "name": role}
        add(CLUSTER_ROLE_BINDINGS, "", name, roleRef=reference, subjects=_shown(subjects))
    return found


def _shown(subjects: list[tuple[str, str, str]]) -> list[dict[str, str]]:
    return [
        {"kind": kind, "name": name, **({"namespace": namespace} if namespace else {})}
        for kind, name, namespace in subjects
    ]


class Server:
    """The authorizer over a store in memory, whose content is exchanged while it runs."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.caches = WatchCache(self.storage, SystemClock())
        self.authorizer = RbacAuthorizer(GrantIndex(self.caches))
        self._stored: dict[str, Any] = {}

    async def take(self, made: World) -> None:
        """Change what differs from the world before, as clients would."""
        wanted = objects(made)
        for key in set(self._stored) - set(wanted):
            self.storage.remove(key)
        for key, (_, obj) in wanted.items():
            if self._stored.get(key) != obj:
                self.storage.put(key, obj)
        self._stored = {key: obj for key, (_, obj) in wanted.items()}
        await self.caches.wait_current()

    async def may(self, asked: Question) -> bool:
        attributes = Attributes(
            User(asked.user, asked.groups),
            asked.verb,
            asked.path,
            is_resource=not asked.path,
            group=asked.group,
            resource=asked.resource,
            subresource=asked.subresource,
            namespace=asked.namespace,
            name=asked.name,
        )
        verdict = await self.authorizer.authorize(attributes)
        assert verdict.decision is not Decision.DENY
        return verdict.is_allowed


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    made.caches.start()
    yield made
    await made.caches.stop()


@pytest.mark.parametrize("seed", range(5))
async def test_every_decision_is_the_oracles(server: Server, seed: int) -> None:
    rng = random.Random(seed)
    allowed = asked_count = 0
    for _ in range(100):
        made = world(rng)
        await server.take(made)
        for _ in range(200):
            asked = question(rng)
            expected = may(made, asked)
            assert await server.may(asked) == expected, (made, asked)
            allowed += expected
            asked_count += 1
        await asyncio.sleep(0)
    # Neither answer is rare: otherwise agreement would say nothing.
    assert 0.05 < allowed / asked_count < 0.95


UNIVERSE = Universe(
    verbs=("get", "list", "create", "escalate", "other"),
    groups=("", "apps", "other"),
    resources=("pods", "deployments", "other"),
    subresources=("", "log", "scale", "other"),
    names=("", "a", "b", "other"),
    paths=("/metrics", "/api", "/api/v1", "/ax", "/other"),
)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_covered_is_what_can_be_done(seed: int) -> None:
    """A check that lets something through which the oracle can do with it, and not without, is a hole."""
    rng = random.Random(seed)
    covered = 0
    for _ in range(400):
        owned = [rule(rng, with_paths=True) for _ in range(rng.randint(0, 4))]
        wanted = [rule(rng, with_paths=True)]
        if rng.random() < 0.5:
            # Something near to what is owned, or nothing would ever be covered.
            wanted = [dict(rng.choice(owned))] if owned else []
            if wanted and wanted[0].get("resources") and rng.random() < 0.5:
                wanted[0]["resourceNames"] = ["a"]
        missing = rules.uncovered(owned, wanted)
        if not missing:
            covered += 1
            assert covers(owned, wanted, UNIVERSE), (owned, wanted)
    assert covered > 50


def test_refusals_put_verbs_of_one_thing_together() -> None:
    atoms = rules.uncovered(
        [],
        [
            {"apiGroups": [""], "resources": ["secrets", "pods"], "verbs": ["get", "delete"]},
            {"nonResourceURLs": ["/x"], "verbs": ["get", "put"]},
            {"apiGroups": [""], "resources": ["c"], "resourceNames": ["n"], "verbs": ["get"]},
        ],
    )
    assert rules.described(atoms).splitlines() == [
        '{APIGroups:[""], Resources:["c"], ResourceNames:["n"], Verbs:["get"]}',
        '{APIGroups:[""], Resources:["pods"], Verbs:["get" "delete"]}',
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}',
        '{NonResourceURLs:["/x"], Verbs:["get"]}',
        '{NonResourceURLs:["/x"], Verbs:["put"]}',
    ]
