"""Webhooks of both sorts, called by the server: what they are shown, what their answers do, and their failures."""

import base64
from typing import Any

import pytest
from aiohttp import web

from controlplane.api import errors
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Response
from controlplane.client.rest import RestClient
from controlplane.kinds.admissionregistration.mutating_webhook_configuration import (
    MUTATING_WEBHOOK_CONFIGURATIONS as MUTATING,
)
from controlplane.kinds.admissionregistration.validating_webhook_configuration import (
    VALIDATING_WEBHOOK_CONFIGURATIONS as VALIDATING,
)
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.core.config_map import CONFIG_MAPS
from controlplane.kinds.core.namespace import NAMESPACES
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES
from controlplane.testing.in_process import InProcessRequest, InProcessServer
from tests.unit.controlplane.apiserver.admission.webhooks.conftest import (
    HookServer,
    patching,
    review,
)

RULE = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
NAME = "a.example.com"


def hooked(client_config: Obj, **fields: Any) -> Obj:
    return {
        "name": NAME,
        "clientConfig": client_config,
        "rules": [RULE],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1", "v1beta1"],
        **fields,
    }


async def ask(
    server: InProcessServer, method: str, url: str, content: Obj, **more: Any
) -> Response:
    answer = await server.ask(InProcessRequest.of(method, url, content, **more))
    assert isinstance(answer, Response)
    return answer


async def register(
    server: InProcessServer, client: RestClient, resource: Resource, *hooks: Obj, name: str = "c"
) -> None:
    await client.create(resource, {"metadata": {"name": name}, "webhooks": list(hooks)})
    await server.app.server.caches.wait_current()


def config_map(name: str = "a", **fields: Any) -> Obj:
    return {"metadata": {"name": name, **fields.pop("metadata", {})}, **fields}


def denying(message: str = "", **status: Any) -> Any:
    content = {**status, **({"message": message} if message else {})}
    return lambda body: review(body, allowed=False, **({"status": content} if content else {}))


async def test_a_validating_webhook_sees_the_whole_request(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    await register(server, client, VALIDATING, hooked(hook.by_url("/v")))
    await client.create(CONFIG_MAPS, config_map(data={"k": "v"}), "default")
    (asked,) = hook.requests("/v")
    assert (
        asked["kind"] == asked["requestKind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    )
    row = {"group": "", "version": "v1", "resource": "configmaps"}
    assert asked["resource"] == asked["requestResource"] == row
    assert (asked["name"], asked["namespace"], asked["operation"]) == ("a", "default", "CREATE")
    assert asked["userInfo"]["username"] == "u"
    assert asked["object"]["data"] == {"k": "v"}
    assert asked["object"]["metadata"]["uid"]
    assert asked["oldObject"] is None
    assert asked["dryRun"] is False
    assert asked["options"]["kind"] == "CreateOptions"


async def test_updates_and_deletions_show_the_old_object(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    await client.create(CONFIG_MAPS, config_map(data={"k": "1"}), "default")
    await register(server, client, VALIDATING, hooked(hook.by_url("/v")))
    await client.patch(CONFIG_MAPS, "a", {"data": {"k": "2"}}, "default")
    await client.delete(CONFIG_MAPS, "a", "default")
    update, delete = hook.requests("/v")
    assert (update["oldObject"]["data"], update["object"]["data"]) == ({"k": "1"}, {"k": "2"})
    assert update["options"]["kind"] == "UpdateOptions"
    assert (delete["oldObject"]["data"], delete["object"]) == ({"k": "2"}, None)
    assert delete["options"]["kind"] == "DeleteOptions"


@pytest.mark.parametrize(
    ("answer", "code", "reason", "message"),
    [
        pytest.param(denying(), 400, "", "denied the request without explanation", id="silent"),
        pytest.param(denying("no"), 400, "", "denied the request: no", id="message"),
        pytest.param(denying(reason="Gone"), 400, "Gone", "denied the request: Gone", id="reason"),
        pytest.param(
            denying("so", code=418, reason="Tea"), 418, "Tea", "denied the request: so", id="code"
        ),
        pytest.param(denying("so", code=200), 400, "", "denied the request: so", id="success"),
    ],
)
async def test_a_refusal_is_told_as_the_webhook_words_it(
    server: InProcessServer,
    client: RestClient,
    hook: HookServer,
    answer: Any,
    code: int,
    reason: str,
    message: str,
) -> None:
    hook.answers["/v"] = answer
    await register(server, client, VALIDATING, hooked(hook.by_url("/v")))
    with pytest.raises(APIError) as refused:
        await client.create(CONFIG_MAPS, config_map(), "default")
    assert refused.value.message == f'admission webhook "{NAME}" {message}'
    assert refused.value.status_code == code


async def test_patches_of_several_webhooks_build_on_each_other(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    one = {"op": "add", "path": "/data/one", "value": "1"}
    hook.answers["/one"] = lambda body: review(body, **patching(one))
    two = {"op": "copy", "from": "/data/one", "path": "/data/two"}
    hook.answers["/two"] = lambda body: review(body, **patching(two))
    await register(
        server,
        client,
        MUTATING,
        hooked(hook.by_url("/one"), name="one.example.com"),
        hooked(hook.by_url("/two"), name="two.example.com"),
    )
    made = await client.create(CONFIG_MAPS, config_map(data={"k": "v"}), "default")
    assert made["data"] == {"k": "v", "one": "1", "two": "1"}


async def test_a_patched_object_is_validated_and_defaulted(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    rule = {**RULE, "resources": ["services"]}
    port = {"op": "add", "path": "/spec/ports", "value": [{"port": 80}]}
    hook.answers["/m"] = lambda body: review(body, **patching(port))
    await register(server, client, MUTATING, hooked(hook.by_url("/m"), rules=[rule]))
    made = await client.create(SERVICES, {"metadata": {"name": "s"}, "spec": {}}, "default")
    assert made["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    port["value"] = [{"port": 70000}]
    with pytest.raises(errors.Invalid, match=r"spec.ports\[0\].port"):
        await client.create(SERVICES, {"metadata": {"name": "t"}, "spec": {}}, "default")


async def test_a_webhook_is_asked_again_when_one_after_it_changed_the_object(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    label = {"op": "add", "path": "/data/late", "value": "1"}

    def once(body: Obj) -> web.Response:
        has_it = "late" in (body["request"]["object"].get("data") or {})
        return review(body, **({} if has_it else patching(label)))

    hook.answers["/late"] = once
    again = {"reinvocationPolicy": "IfNeeded"}
    await register(
        server,
        client,
        MUTATING,
        hooked(hook.by_url("/again"), name="again.example.com", **again),
        hooked(hook.by_url("/never"), name="never.example.com"),
        hooked(hook.by_url("/late"), name="late.example.com", **again),
    )
    await client.create(CONFIG_MAPS, config_map(data={"k": "v"}), "default")
    asked = [path for path, _ in hook.asked]
    assert asked == ["/again", "/never", "/late", "/again"]
    assert hook.requests("/again")[1]["object"]["data"] == {"k": "v", "late": "1"}


@pytest.mark.parametrize(
    ("fields", "metadata", "is_asked"),
    [
        pytest.param({"objectSelector": {"matchLabels": {"a": "b"}}}, {}, False, id="no label"),
        pytest.param(
            {"objectSelector": {"matchLabels": {"a": "b"}}},
            {"labels": {"a": "b"}},
            True,
            id="label",
        ),
        pytest.param(
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}},
            {},
            True,
            id="namespace",
        ),
        pytest.param(
            {"namespaceSelector": {"matchLabels": {"x": "y"}}}, {}, False, id="other namespace"
        ),
        pytest.param({"rules": [{**RULE, "operations": ["UPDATE"]}]}, {}, False, id="operation"),
        pytest.param({"rules": [{**RULE, "scope": "Cluster"}]}, {}, False, id="scope"),
        pytest.param(
            {"rules": [{**RULE, "resources": ["configmaps/status"]}]}, {}, False, id="subresource"
        ),
        pytest.param({"rules": [{**RULE, "resources": ["*/*"]}]}, {}, True, id="everything"),
        pytest.param(
            {"matchConditions": [{"name": "n", "expression": "object.metadata.name == 'a'"}]},
            {},
            True,
            id="condition",
        ),
        pytest.param(
            {"matchConditions": [{"name": "n", "expression": "request.userInfo.username != 'u'"}]},
            {},
            False,
            id="false condition",
        ),
        pytest.param(
            {
                "matchConditions": [
                    {
                        "name": "n",
                        "expression": "authorizer.group('').resource('pods').namespace('default')"
                        ".check('get').allowed() && authorizer.requestResource.check('create').allowed()",
                    }
                ]
            },
            {},
            True,
            id="authorizer",
        ),
    ],
)
async def test_a_webhook_is_asked_about_what_it_selects(
    server: InProcessServer,
    client: RestClient,
    hook: HookServer,
    fields: Obj,
    metadata: Obj,
    is_asked: bool,
) -> None:
    await register(server, client, VALIDATING, hooked(hook.by_url("/v"), **fields))
    await client.create(CONFIG_MAPS, config_map(metadata=metadata), "default")
    assert bool(hook.asked) is is_asked


async def test_a_condition_that_cannot_be_evaluated_fails_the_request_or_skips_the_webhook(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    condition = {"name": "n", "expression": "object.data.missing == 'x'"}
    fields: Obj = {"matchConditions": [condition]}
    await register(server, client, VALIDATING, hooked(hook.by_url("/v"), **fields))
    with pytest.raises(errors.Forbidden) as refused:
        await client.create(CONFIG_MAPS, config_map(data={"k": "v"}), "default")
    assert refused.value.message == (
        "configmaps \"a\" is forbidden: expression 'object.data.missing == 'x'' resulted in error: "
        "no such key: missing"
    )
    await client.patch(
        VALIDATING,
        "c",
        {"webhooks": [hooked(hook.by_url("/v"), failurePolicy="Ignore", **fields)]},
    )
    await server.app.server.caches.wait_current()
    await client.create(CONFIG_MAPS, config_map(data={"k": "v"}), "default")
    assert not hook.asked


async def test_configurations_themselves_are_never_shown(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    hook.answers["/v"] = denying("everything")
    rule = {**RULE, "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
    await register(server, client, VALIDATING, hooked(hook.by_url("/v"), rules=[rule]))
    with pytest.raises(APIError):
        await client.create(NAMESPACES, {"metadata": {"name": "n"}})
    await client.delete(VALIDATING, "c")


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        pytest.param(
            lambda hook: web.Response(status=404),
            "failed to call webhook: the server could not find the requested resource",
            id="404",
        ),
        pytest.param(
            lambda hook: web.Response(status=500, text="oh\n"),
            'failed to call webhook: an error on the server ("oh") has prevented the request from '
            "succeeding",
            id="500",
        ),
        pytest.param(
            lambda hook: web.json_response({}),
            "received invalid webhook response: webhook response was absent",
            id="nothing",
        ),
        pytest.param(
            lambda body: web.json_response(
                {
                    "apiVersion": "admission.k8s.io/v1",
                    "kind": "AdmissionReview",
                    "response": {"uid": "other", "allowed": True},
                }
            ),
            "received invalid webhook response: expected response.uid=",
            id="another's answer",
        ),
        pytest.param(
            lambda body: review(body, **patching({"op": "add", "path": "/data", "value": {}})),
            "received invalid webhook response: validating webhook may not return response.patch",
            id="patch",
        ),
        pytest.param(
            lambda body: web.Response(body=b"x" * (9 * 1024 * 1024)),
            "failed to call webhook: the response is larger than",
            id="too long",
        ),
    ],
)
@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
async def test_a_call_that_fails_refuses_the_request_unless_it_is_to_be_ignored(
    server: InProcessServer,
    client: RestClient,
    hook: HookServer,
    break_it: Any,
    why: str,
    policy: str,
) -> None:
    hook.answers["/v"] = break_it
    await register(server, client, VALIDATING, hooked(hook.by_url("/v"), failurePolicy=policy))
    if policy == "Ignore":
        await client.create(CONFIG_MAPS, config_map(), "default")
        assert len(hook.asked) == 1
        return
    with pytest.raises(errors.Internal) as failed:
        await client.create(CONFIG_MAPS, config_map(), "default")
    start = f'Internal error occurred: failed calling webhook "{NAME}": {why}'
    assert failed.value.message.startswith(start)


async def test_a_webhook_that_takes_too_long_is_given_up(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    hook.slow.add("/v")
    await register(server, client, VALIDATING, hooked(hook.by_url("/v"), timeoutSeconds=1))
    with pytest.raises(errors.Internal) as failed:
        await client.create(CONFIG_MAPS, config_map(), "default")
    assert failed.value.message == (
        f'Internal error occurred: failed calling webhook "{NAME}": failed to call webhook: Post '
        f'"https://127.0.0.1:{hook.port}/v?timeout=1s": context deadline exceeded'
    )


@pytest.mark.parametrize(
    ("bundle", "host", "why"),
    [
        pytest.param("", "127.0.0.1", "certificate signed by unknown authority", id="no bundle"),
        pytest.param(None, "localhost", "certificate is not valid for any names", id="name"),
    ],
)
async def test_the_certificate_must_be_of_the_bundle_and_for_the_name(
    server: InProcessServer,
    client: RestClient,
    hook: HookServer,
    bundle: str | None,
    host: str,
    why: str,
) -> None:
    config = {"url": f"https://{host}:{hook.port}/v"}
    config["caBundle"] = hook.bundle if bundle is None else bundle
    await register(server, client, VALIDATING, hooked(config))
    with pytest.raises(errors.Internal) as failed:
        await client.create(CONFIG_MAPS, config_map(), "default")
    assert f"tls: failed to verify certificate: x509: {why}" in failed.value.message
    assert not hook.asked


async def test_a_dry_run_asks_webhooks_without_side_effects_only(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    await register(server, client, VALIDATING, hooked(hook.by_url("/v")))
    url = CONFIG_MAPS.path("default") + "?dryRun=All"
    answer = await ask(server, "POST", url, config_map())
    assert answer.status == 201
    assert hook.requests("/v")[0]["dryRun"] is True
    assert hook.requests("/v")[0]["options"]["dryRun"] == ["All"]
    # Stored before such a thing was refused.
    live = await client.get(VALIDATING, "c")
    live["webhooks"][0]["sideEffects"] = "Some"
    server.put(VALIDATING, live)
    await server.app.server.caches.wait_current()
    answer = await ask(server, "POST", url, config_map())
    assert answer.status == 400
    assert b"does not support dry run" in answer.body


async def test_warnings_and_notes_of_webhooks_are_handed_on(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    hook.answers["/v"] = lambda body: review(body, warnings=["beware"], auditAnnotations={"k": "v"})
    await register(server, client, VALIDATING, hooked(hook.by_url("/v")))
    answer = await ask(server, "POST", CONFIG_MAPS.path("default"), config_map())
    assert answer.headers["Warning"] == '299 - "beware"'


async def test_a_webhook_behind_a_service_is_called_at_a_ready_endpoint(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    service = {"namespace": "default", "name": "hook", "path": "/v", "port": 8443}
    config = {"service": service, "caBundle": hook.bundle}
    await register(server, client, VALIDATING, hooked(config))

    async def refusal() -> str:
        with pytest.raises(errors.Internal) as failed:
            await client.create(CONFIG_MAPS, config_map(), "default")
        return failed.value.message.partition(': Post "')[2]

    shown = 'https://hook.default.svc:8443/v?timeout=10s": '
    assert await refusal() == f'{shown}service "hook" not found'
    ports = [{"name": "https", "port": 8443, "targetPort": 1}]
    meta = {"name": "hook", "namespace": "default"}
    server.put(SERVICES, {"metadata": meta, "spec": {"type": "ClusterIP", "ports": ports}})
    await server.app.server.caches.wait_current()
    assert await refusal() == f'{shown}no endpoints available for service "hook"'
    endpoints = [
        {"addresses": ["127.0.0.2"], "conditions": {"ready": False}},
        {"addresses": ["127.0.0.1"], "conditions": {"ready": True}},
    ]
    labels = {"kubernetes.io/service-name": "hook"}
    server.put(
        ENDPOINT_SLICES,
        {
            "metadata": {**meta, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": hook.port}],
            "endpoints": endpoints,
        },
    )
    await server.app.server.caches.wait_current()
    await client.create(CONFIG_MAPS, config_map(), "default")
    assert len(hook.requests("/v")) == 1


async def test_a_subresource_is_shown_by_its_own_type(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    labels = {"app": "w"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    spec = {"selector": {"matchLabels": labels}, "template": template}
    await client.create(DEPLOYMENTS, {"metadata": {"name": "w"}, "spec": spec}, "default")
    rule = {**RULE, "apiGroups": ["apps"], "resources": ["deployments/scale"]}
    await register(server, client, MUTATING, hooked(hook.by_url("/m"), rules=[rule]))
    hook.answers["/m"] = lambda body: review(
        body, **patching({"op": "replace", "path": "/spec/replicas", "value": 2})
    )
    path = DEPLOYMENTS.path("default", "w", "scale")
    answer = await ask(
        server,
        "PATCH",
        path,
        {"spec": {"replicas": 5}},
        headers={"content-type": "application/merge-patch+json"},
    )
    assert answer.status == 200
    (asked,) = hook.requests("/m")
    assert asked["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert asked["subResource"] == asked["requestSubResource"] == "scale"
    assert (await client.get(DEPLOYMENTS, "w", "default"))["spec"]["replicas"] == 2


async def test_v1beta1_is_spoken_with_those_who_know_nothing_newer(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    patch = base64.b64encode(b'[{"op":"add","path":"/data","value":{"k":"v"}}]').decode()
    hook.answers["/m"] = lambda body: web.json_response(
        {"response": {"allowed": True, "patch": patch}}
    )
    versions = ["v0", "v1beta1"]
    await register(
        server, client, MUTATING, hooked(hook.by_url("/m"), admissionReviewVersions=versions)
    )
    made = await client.create(CONFIG_MAPS, config_map(), "default")
    assert made["data"] == {"k": "v"}
    assert hook.asked[0][1]["apiVersion"] == "admission.k8s.io/v1beta1"


async def test_an_equivalent_version_is_shown_where_the_rule_knows_only_that(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    rule = {
        **RULE,
        "apiGroups": ["autoscaling"],
        "apiVersions": ["v1"],
        "resources": ["horizontalpodautoscalers"],
    }
    label = {"op": "add", "path": "/spec/targetCPUUtilizationPercentage", "value": 70}
    hook.answers["/m"] = lambda body: review(body, **patching(label))
    await register(
        server,
        client,
        MUTATING,
        hooked(hook.by_url("/m"), rules=[rule]),
        hooked(hook.by_url("/exact"), name="exact.example.com", rules=[rule], matchPolicy="Exact"),
    )
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"},
        "maxReplicas": 3,
    }
    body = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
        "spec": spec,
    }
    path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
    answer = await ask(server, "POST", path, body)
    assert answer.status == 201, answer.body
    (asked,) = [body["request"] for _, body in hook.asked]
    assert asked["kind"]["version"] == asked["resource"]["version"] == "v1"
    assert asked["requestKind"]["version"] == "v2"
    assert asked["object"]["apiVersion"] == "autoscaling/v1"
    assert b'"averageUtilization":70' in answer.body


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ({"op": "nope", "path": "/data"}, "Unexpected kind: nope"),
        (
            {"op": "remove", "path": "/data/x"},
            'remove operation does not apply: doc is missing path: "/data/x": missing value',
        ),
        (
            {"op": "test", "path": "/metadata/name", "value": "z"},
            "testing value /metadata/name failed: test failed",
        ),
        (
            {"op": "replace", "path": "/kind", "value": "Secret"},
            "converting (v1.Secret) to (core.ConfigMap): unknown conversion",
        ),
        (
            {"op": "replace", "path": "/metadata/namespace", "value": "other"},
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ],
    ids=["operation", "path", "test", "kind", "namespace"],
)
async def test_a_patch_that_cannot_be_taken_refuses_the_request(
    server: InProcessServer, client: RestClient, hook: HookServer, operation: Obj, why: str
) -> None:
    hook.answers["/m"] = lambda body: review(body, **patching(operation))
    await register(server, client, MUTATING, hooked(hook.by_url("/m")))
    with pytest.raises(APIError) as refused:
        await client.create(CONFIG_MAPS, config_map(), "default")
    assert refused.value.message.removeprefix("Internal error occurred: ") == why


async def test_a_collection_is_deleted_without_names_and_a_namespace_is_in_itself(
    server: InProcessServer, client: RestClient, hook: HookServer
) -> None:
    await client.create(CONFIG_MAPS, config_map(), "default")
    rule = {**RULE, "resources": ["configmaps", "namespaces"]}
    await register(server, client, VALIDATING, hooked(hook.by_url("/v"), rules=[rule]))
    await client.delete_collection(CONFIG_MAPS, "default")
    await client.create(NAMESPACES, {"metadata": {"name": "n"}})
    collection, namespace = hook.requests("/v")
    assert ("name" in collection, collection["oldObject"]["metadata"]["name"]) == (False, "a")
    assert (namespace["name"], namespace["namespace"]) == ("n", "n")
