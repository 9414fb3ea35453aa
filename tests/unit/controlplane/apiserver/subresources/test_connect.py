"""Admission is asked about connections into pods, before anything is looked up."""

import json
from typing import Any

import pytest

from controlplane.api.errors import Forbidden
from controlplane.apiserver.admission.interface import CONNECT, Attributes
from controlplane.apiserver.http.messages import Response
from controlplane.kinds.core.pod.resource import PODS
from controlplane.testing.in_process import InProcessRequest, InProcessServer


class NobodyEnters:
    """Refuses connections and remembers them."""

    def __init__(self) -> None:
        self.seen: list[Attributes] = []

    def handles(self, operation: str, resource: Any, subresource: str) -> bool:
        return operation == CONNECT and resource == PODS and bool(subresource)

    async def validate(self, attributes: Attributes) -> None:
        self.seen.append(attributes)
        raise Forbidden("nobody enters")


@pytest.mark.parametrize(
    ("path", "subresource", "options"),
    [
        (
            "exec?command=sh&command=-i&stdin=true&container=c",
            "exec",
            {"kind": "PodExecOptions", "stdin": True, "container": "c", "command": ["sh", "-i"]},
        ),
        ("attach?stdout=true", "attach", {"kind": "PodAttachOptions", "stdout": True}),
        ("portforward?ports=80", "portforward", {"kind": "PodPortForwardOptions", "ports": [80]}),
    ],
)
async def test_a_connection_is_let_in_or_not(path: str, subresource: str, options: Any) -> None:
    plugin = NobodyEnters()
    async with InProcessServer(more_plugins=[plugin]) as server:
        url = f"/api/v1/namespaces/default/pods/p/{path}"
        answer = await server.ask(InProcessRequest.of("POST", url))
        assert isinstance(answer, Response)
        assert (answer.status, json.loads(answer.body)["message"]) == (403, "nobody enters")
        [asked] = plugin.seen
        assert (asked.operation, asked.subresource, asked.name) == (CONNECT, subresource, "p")
        assert (asked.namespace, asked.old) == ("default", None)
        assert asked.obj == {"apiVersion": "v1", **options}
