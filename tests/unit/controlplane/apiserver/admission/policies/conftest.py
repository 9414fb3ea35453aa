"""A server, and how policies and bindings are made in it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.api.meta import Obj
from controlplane.apiserver.http.messages import Response, User
from controlplane.client.rest import RestClient
from controlplane.kinds.admissionregistration.mutating_admission_policy import (
    MUTATING_ADMISSION_POLICIES,
)
from controlplane.kinds.admissionregistration.mutating_admission_policy_binding import (
    MUTATING_ADMISSION_POLICY_BINDINGS,
)
from controlplane.kinds.admissionregistration.validating_admission_policy import (
    VALIDATING_ADMISSION_POLICIES,
)
from controlplane.kinds.admissionregistration.validating_admission_policy_binding import (
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from controlplane.testing.in_process import InProcessRequest, InProcessServer


class Cluster:
    """A server with a client, and short ways to make what the tests need."""

    def __init__(self, server: InProcessServer, client: RestClient) -> None:
        self.server = server
        self.client = client

    async def ask(self, method: str, url: str, content: object = None, **more: Any) -> Response:
        answer = await self.server.ask(InProcessRequest.of(method, url, content, **more))
        assert isinstance(answer, Response)
        return answer

    async def settle(self) -> None:
        """Wait until what was written is what the server goes by."""
        await self.server.app.server.caches.wait_current()

    async def validating(
        self,
        spec: Obj,
        binding: Obj | None = None,
        *,
        name: str = "p",
        resource: str = "configmaps",
    ) -> None:
        whole = {"matchConstraints": constraints(resource, "*"), **spec}
        bound = {"policyName": name, "validationActions": ["Deny"], **(binding or {})}
        await self.client.create(
            VALIDATING_ADMISSION_POLICIES, {"metadata": {"name": name}, "spec": whole}
        )
        await self.client.create(
            VALIDATING_ADMISSION_POLICY_BINDINGS,
            {"metadata": {"name": f"{name}-b"}, "spec": bound},
        )
        await self.settle()

    async def mutating(
        self,
        spec: Obj,
        binding: Obj | None = None,
        *,
        name: str = "p",
        resource: str = "configmaps",
    ) -> None:
        whole = {
            "matchConstraints": constraints(resource, "CREATE"),
            "reinvocationPolicy": "Never",
            **spec,
        }
        await self.client.create(
            MUTATING_ADMISSION_POLICIES, {"metadata": {"name": name}, "spec": whole}
        )
        await self.client.create(
            MUTATING_ADMISSION_POLICY_BINDINGS,
            {"metadata": {"name": f"{name}-b"}, "spec": {"policyName": name, **(binding or {})}},
        )
        await self.settle()


def constraints(resource: str, *operations: str) -> Obj:
    group = "apps" if resource == "deployments" else ""
    rule = {
        "operations": list(operations),
        "apiGroups": [group],
        "apiVersions": ["*"],
        "resources": [resource],
    }
    return {"resourceRules": [rule]}


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with InProcessServer() as running:
        yield Cluster(running, running.client(User("u", ("system:masters",))))
