"""PodSecurity in the server: refusals, warnings of pods, of what makes pods, and of labels that would refuse pods."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.api.errors import Forbidden, Invalid
from controlplane.api.meta import Obj
from controlplane.apiserver.http.messages import Response
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.testing.in_process import InProcessRequest, InProcessServer

LABEL = "pod-security.kubernetes.io/"


@pytest.fixture
async def server() -> AsyncIterator[InProcessServer]:
    async with InProcessServer() as running:
        await running.client().create(
            NAMESPACES,
            {
                "metadata": {
                    "name": "n",
                    "labels": {LABEL + "enforce": "baseline", LABEL + "warn": "restricted"},
                }
            },
        )
        await running.app.server.caches.wait_current()
        yield running


def pod(name: str = "p", **spec: Any) -> Obj:
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "nginx"}], **spec},
    }


async def post(server: InProcessServer, path: str, body: Obj, method: str = "POST") -> Response:
    headers = {"content-type": "application/merge-patch+json"} if method == "PATCH" else {}
    answer = await server.ask(InProcessRequest.of(method, path, body, headers=headers))
    assert isinstance(answer, Response)
    return answer


async def test_a_pod_that_breaks_the_level_is_refused(server: InProcessServer) -> None:
    with pytest.raises(Forbidden) as refused:
        await server.client().create(PODS, pod(hostPID=True), "n")
    assert refused.value.message == (
        'pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces '
        "(hostPID=true)"
    )
    # Other namespaces hold pods to nothing.
    await server.client().create(PODS, pod(hostPID=True), "default")


async def test_a_pod_is_warned_of_the_level_it_would_break(server: InProcessServer) -> None:
    answer = await post(server, "/api/v1/namespaces/n/pods", pod())
    assert answer.status == 201
    assert answer.headers["Warning"].startswith(
        '299 - "would violate PodSecurity \\"restricted:latest\\": allowPrivilegeEscalation != '
        'false (container \\"c\\" must set securityContext.allowPrivilegeEscalation=false)'
    )


async def test_what_makes_pods_is_warned_of_and_not_refused(server: InProcessServer) -> None:
    labels = {"app": "w"}
    body = {
        "metadata": {"name": "w"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, **pod(hostPID=True)},
        },
    }
    body["spec"]["template"]["metadata"] = {"labels": labels}  # type: ignore[index]
    answer = await post(server, "/apis/apps/v1/namespaces/n/deployments", body)
    assert answer.status == 201
    assert "host namespaces (hostPID=true)" in answer.headers["Warning"]


async def test_a_label_that_pods_break_is_warned_of(server: InProcessServer) -> None:
    for name in ("a", "b"):
        await server.client().create(PODS, pod(name), "n")
    await server.app.server.caches.wait_current()
    patch = {"metadata": {"labels": {LABEL + "enforce": "restricted"}}}
    answer = await post(server, "/api/v1/namespaces/n", patch, "PATCH")
    assert answer.status == 200
    assert answer.headers["Warning"] == (
        '299 - "existing pods in namespace \\"n\\" violate the new PodSecurity enforce level '
        '\\"restricted:latest\\"", 299 - "a (and 1 other pod): allowPrivilegeEscalation != false, '
        'unrestricted capabilities, runAsNonRoot != true, seccompProfile"'
    )


async def test_labels_that_say_nothing_are_refused(server: InProcessServer) -> None:
    for key, value in (("enforce", "strict"), ("warn-version", "1.36")):
        with pytest.raises(Invalid) as refused:
            await server.client().patch(
                NAMESPACES, "n", {"metadata": {"labels": {LABEL + key: value}}}
            )
        (cause,) = refused.value.causes
        assert cause.field == f"metadata.labels[{LABEL}{key}]"


async def test_a_pod_that_is_there_may_be_labelled(server: InProcessServer) -> None:
    obj = pod(hostPID=True)
    obj["metadata"]["namespace"] = "n"
    server.put(PODS, obj)
    patch = {"metadata": {"labels": {"a": "b"}}}
    answer = await post(server, "/api/v1/namespaces/n/pods/p", patch, "PATCH")
    # The rules of pods may refuse what was put behind their back; this plugin does not.
    assert "PodSecurity" not in json.dumps(json.loads(answer.body))
