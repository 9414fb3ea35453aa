"""Ephemeral containers are added, resources resized; nothing else changes on these paths."""

import copy

import pytest

from controlplane.kinds.core.pod.kind import KIND

EPHEMERAL, RESIZE = KIND.parts["ephemeralcontainers"], KIND.parts["resize"]


def pod(**spec):
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}}
    obj = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "d", "labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}], **spec},
        "status": {"qosClass": "Burstable"},
    }
    KIND.default(obj)
    return obj


def debugger(image="busybox", **more):
    return {"name": "dbg", "image": image, **more}


def written(part, live, change):
    """The pod that a write makes, and its causes as texts."""
    new = copy.deepcopy(live)
    change(new)
    KIND.default(new)
    part.prepare(new, live)
    return new, [f"{cause.field}: {cause.message}" for cause in part.validate(new, live)]


def test_ephemeral_containers_are_all_that_is_taken():
    live = pod()

    def change(new):
        new["metadata"]["labels"] = {"x": "y"}
        new["spec"]["nodeName"] = "z"
        new["spec"]["ephemeralContainers"] = [debugger(targetContainerName="c")]

    new, causes = written(EPHEMERAL, live, change)
    assert causes == []
    assert new["metadata"]["labels"] == {"a": "b"}
    assert "nodeName" not in new["spec"]
    assert new["spec"]["ephemeralContainers"][0]["terminationMessagePolicy"] == "File"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], 'existing ephemeral containers "dbg" may not be removed'),
        ([debugger("other")], 'existing ephemeral containers "dbg" may not be changed\n--- \n'),
    ],
)
def test_ephemeral_containers_stay(rows, said):
    live = pod(ephemeralContainers=[debugger()])
    _, causes = written(EPHEMERAL, live, lambda new: new["spec"].update(ephemeralContainers=rows))
    assert len(causes) == 1
    assert causes[0].startswith(f"spec.ephemeralContainers: Forbidden: {said}")


def test_static_pods_take_neither():
    live = pod(nodeName="n")
    live["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    assert written(EPHEMERAL, live, lambda new: None)[1] == [
        ": Forbidden: static pods do not support ephemeral containers"
    ]
    assert written(RESIZE, live, lambda new: None)[1] == [
        ": Forbidden: static pods cannot be resized"
    ]


def resized(**requests):
    def change(new):
        rows = new["spec"]["containers"][0]["resources"]["requests"]
        for name, value in requests.items():
            rows[name] = value
            if value is None:
                del rows[name]

    return change


def test_resources_are_all_that_is_taken():
    def change(new):
        resized(cpu="2")(new)
        new["spec"]["containers"][0]["image"] = "other"
        new["spec"]["nodeName"] = "z"

    new, causes = written(RESIZE, pod(), change)
    assert causes == []
    container = new["spec"]["containers"][0]
    assert (container["image"], container["resources"]["requests"]["cpu"]) == ("i", "2")
    assert "nodeName" not in new["spec"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            resized(cpu=None),
            "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
        ),
        (
            resized(**{"ephemeral-storage": "1Gi"}),
            "spec: Forbidden: only cpu and memory resources are mutable",
        ),
        (
            lambda new: new["spec"]["containers"].append({"name": "d", "image": "i"}),
            "spec.containers: Forbidden: containers may not be added or removed on resize",
        ),
        (
            lambda new: new["spec"]["containers"][0].update(
                resources={"requests": {"cpu": "1", "memory": "1Gi"}}
                | {"limits": {"cpu": "1", "memory": "1Gi"}}
            ),
            'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
        ),
    ],
)
def test_what_cannot_be_resized(change, said):
    assert written(RESIZE, pod(), change)[1] == [said]


def test_a_node_that_does_not_tell_resources_cannot_resize():
    live = pod()
    live["status"]["containerStatuses"] = [{"name": "c", "state": {"running": {}}}]
    _, causes = written(RESIZE, live, resized(cpu="2"))
    assert causes == ["spec: Forbidden: Pod running on node without support for resize"]
