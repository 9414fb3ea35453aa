"""What quotas count of each kind, which objects their scopes mean, and the words of their refusals."""

import random
from fractions import Fraction

import pytest

from controlplane.api import quantity
from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.core.event import EVENTS
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.quota.amounts import Amount, written
from controlplane.kinds.core.quota.charge import Refused, Write, used_after
from controlplane.kinds.core.quota.evaluators import evaluator_of
from controlplane.kinds.core.quota.scopes import matches_claim, matches_pod
from controlplane.kinds.core.quota.usage import counted
from controlplane.kinds.core.secret import SECRETS
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.resource.resource_claim import RESOURCE_CLAIMS


def container(name="c", requests=None, limits=None, **more):
    return {"name": name, "resources": {"requests": requests, "limits": limits}, **more}


def pod(*containers, status=None, metadata=None, **spec):
    return {
        "metadata": {"name": "p", **(metadata or {})},
        "spec": {"containers": list(containers), **spec},
        "status": status or {},
    }


PLAIN = {"count/pods": "1", "pods": "1"}
ENDED = {"count/pods": "1"}


def cpu(amount):
    return {**PLAIN, "cpu": amount, "requests.cpu": amount}


@pytest.mark.parametrize(
    ("obj", "usage"),
    [
        pytest.param(pod(container()), PLAIN, id="nothing asked for"),
        pytest.param(
            pod(
                container(requests={"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "1G"}),
                container(requests={"cpu": "1"}, limits={"cpu": "2", "memory": "2Gi"}),
            ),
            {
                **PLAIN,
                **dict.fromkeys(("cpu", "requests.cpu"), "1500m"),
                **dict.fromkeys(("memory", "requests.memory"), "1Gi"),
                **dict.fromkeys(("ephemeral-storage", "requests.ephemeral-storage"), "1G"),
                "limits.cpu": "2",
                "limits.memory": "2Gi",
            },
            id="containers add up",
        ),
        pytest.param(
            pod(
                container(requests={"cpu": "1"}),
                initContainers=[container(requests={"cpu": "3"})],
            ),
            cpu("3"),
            id="a greater init container counts",
        ),
        pytest.param(
            pod(
                container(requests={"cpu": "1"}),
                initContainers=[
                    container("s", requests={"cpu": "1"}, restartPolicy="Always"),
                    container("i", requests={"cpu": "2"}),
                ],
            ),
            cpu("3"),
            id="a sidecar runs beside later ones",
        ),
        pytest.param(
            pod(
                container(requests={"cpu": "1"}, limits={"memory": "1Gi"}),
                overhead={"cpu": "250m", "memory": "1Mi"},
            ),
            {
                **cpu("1250m"),
                **dict.fromkeys(("memory", "requests.memory"), "1Mi"),
                "limits.memory": "1025Mi",
            },
            id="overhead counts where there is a limit",
        ),
        pytest.param(
            pod(container(requests={"cpu": "1"}), resources={"requests": {"cpu": "5"}}),
            cpu("5"),
            id="the pod as a whole decides",
        ),
        pytest.param(
            pod(container(requests={"example.com/gpu": "2", "hugepages-2Mi": "4Mi"})),
            {
                **PLAIN,
                "requests.example.com/gpu": "2",
                "hugepages-2Mi": "4Mi",
                "requests.hugepages-2Mi": "4Mi",
            },
            id="extended resources and huge pages",
        ),
        pytest.param(
            pod(container(requests={"cpu": "1"}), status={"phase": "Succeeded"}), ENDED, id="ended"
        ),
        pytest.param(
            pod(
                container(requests={"cpu": "1"}),
                metadata={
                    "deletionTimestamp": "1970-01-01T00:00:10Z",
                    "deletionGracePeriodSeconds": 20,
                },
            ),
            ENDED,
            id="past its grace",
        ),
        pytest.param(
            pod(
                container(requests={"cpu": "1"}),
                metadata={
                    "deletionTimestamp": "1970-01-01T00:00:30Z",
                    "deletionGracePeriodSeconds": 30,
                },
            ),
            cpu("1"),
            id="within its grace",
        ),
        pytest.param(
            pod(
                container(requests={"cpu": "1"}),
                status={"containerStatuses": [
                    {"name": "c", "resources": {"requests": {"cpu": "2"}},
                     "allocatedResources": {"cpu": "3"}}]},
            ),
            cpu("3"),
            id="a resize that has not given back yet",
        ),
        pytest.param(
            pod(
                container(requests={"cpu": "9"}),
                status={
                    "conditions": [{"type": "PodResizePending", "reason": "Infeasible"}],
                    "containerStatuses": [
                        {"name": "c", "resources": {"requests": {"cpu": "2"}}}],
                },
            ),
            cpu("2"),
            id="a resize that can never be",
        ),
    ],
)  # fmt: skip
def test_what_a_pod_uses(obj, usage):
    assert written(evaluator_of(PODS).usage(obj, 40.0)) == usage


def service(kind, ports=2, **spec):
    return {"spec": {"type": kind, "ports": [{"port": n + 1} for n in range(ports)], **spec}}


@pytest.mark.parametrize(
    ("obj", "node_ports", "balancers"),
    [
        (service("ClusterIP"), "0", "0"),
        (service("NodePort"), "2", "0"),
        (service("LoadBalancer"), "2", "1"),
        (service("LoadBalancer", allocateLoadBalancerNodePorts=False), "0", "1"),
        (
            {"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False,
                      "ports": [{"port": 1, "nodePort": 30000}, {"port": 2}]}},
            "1",
            "1",
        ),
    ],
    ids=["cluster", "node", "balancer", "without node ports", "with one node port"],
)  # fmt: skip
def test_what_a_service_uses(obj, node_ports, balancers):
    assert written(evaluator_of(SERVICES).usage(obj, 0.0)) == {
        "count/services": "1",
        "services": "1",
        "services.nodeports": node_ports,
        "services.loadbalancers": balancers,
    }


def test_what_a_claim_uses_in_all_and_of_its_class():
    claim = {
        "spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "10Gi"}}},
        "status": {"allocatedResources": {"storage": "20Gi"}},
    }
    assert written(evaluator_of(PERSISTENT_VOLUME_CLAIMS).usage(claim, 0.0)) == {
        "count/persistentvolumeclaims": "1",
        "persistentvolumeclaims": "1",
        "requests.storage": "20Gi",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
        "gold.storageclass.storage.k8s.io/requests.storage": "20Gi",
    }


def test_what_a_claim_of_devices_uses():
    requests = [
        {"exactly": {"deviceClassName": "g", "allocationMode": "ExactCount", "count": 2}},
        {"firstAvailable": [
            {"deviceClassName": "g", "allocationMode": "ExactCount", "count": 1},
            {"deviceClassName": "h", "allocationMode": "All"},
        ]},
    ]  # fmt: skip
    claim = {"spec": {"devices": {"requests": requests}}}
    assert written(evaluator_of(RESOURCE_CLAIMS).usage(claim, 0.0)) == {
        "count/resourceclaims.resource.k8s.io": "1",
        "g.deviceclass.resource.k8s.io/devices": "3",
        "h.deviceclass.resource.k8s.io/devices": "32",
    }


def test_other_kinds_are_counted_by_number():
    assert written(evaluator_of(DEPLOYMENTS).usage({}, 0.0)) == {"count/deployments.apps": "1"}
    assert written(evaluator_of(SECRETS).usage({}, 0.0)) == {"count/secrets": "1", "secrets": "1"}
    assert evaluator_of(EVENTS) is None
    assert evaluator_of(NODES) is None


AFFINE = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
    {"topologyKey": "k", "namespaces": ["other"]}]}}  # fmt: skip
PREFERS = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
    {"weight": 1, "podAffinityTerm": {"topologyKey": "k", "namespaceSelector": {}}}]}}  # fmt: skip


def scope(name, operator="Exists", *values):
    return {"scopeName": name, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("selector", "obj", "expected"),
    [
        (scope("Terminating"), pod(activeDeadlineSeconds=0), True),
        (scope("Terminating"), pod(), False),
        (scope("NotTerminating"), pod(), True),
        (scope("BestEffort"), pod(container()), True),
        (scope("BestEffort"), pod(container(requests={"cpu": "1"})), False),
        (scope("NotBestEffort"), pod(container(requests={"cpu": "1"})), True),
        (scope("PriorityClass"), pod(priorityClassName="a"), True),
        (scope("PriorityClass"), pod(), False),
        (scope("PriorityClass", "DoesNotExist"), pod(), True),
        (scope("PriorityClass", "In", "a", "b"), pod(priorityClassName="b"), True),
        (scope("PriorityClass", "In", "a"), pod(), False),
        (scope("PriorityClass", "NotIn", "a"), pod(priorityClassName="a"), False),
        (scope("PriorityClass", "NotIn", "a"), pod(), True),
        (scope("CrossNamespacePodAffinity"), pod(affinity=AFFINE), True),
        (scope("CrossNamespacePodAffinity"), pod(affinity=PREFERS), True),
        (scope("CrossNamespacePodAffinity"), pod(), False),
        (scope("VolumeAttributesClass"), pod(), False),
    ],
)
def test_which_pods_a_scope_means(selector, obj, expected):
    assert matches_pod(selector, obj) is expected


@pytest.mark.parametrize(
    ("selector", "classes", "expected"),
    [
        (scope("VolumeAttributesClass"), ("a", None), True),
        (scope("VolumeAttributesClass"), (None, None), False),
        (scope("VolumeAttributesClass", "In", "b"), ("a", "b"), True),
        (scope("VolumeAttributesClass", "NotIn", "a"), ("a", "b"), True),
        (scope("VolumeAttributesClass", "NotIn", "a"), ("a", None), False),
        (scope("VolumeAttributesClass", "DoesNotExist"), (None, None), True),
        (scope("BestEffort"), ("a", None), False),
    ],
)
def test_which_claims_a_scope_means(selector, classes, expected):
    wanted, current = classes
    claim = {
        "spec": {"volumeAttributesClassName": wanted},
        "status": {"currentVolumeAttributesClassName": current},
    }
    assert matches_claim(selector, claim) is expected


def quota(hard, used, **spec):
    return {"metadata": {"name": "q"}, "spec": spec, "status": {"hard": hard, "used": used}}


def write(obj, resource=PODS, operation="CREATE", old=None, subresource=""):
    return Write(evaluator_of(resource), operation, subresource, obj, old, 0.0)


@pytest.mark.parametrize(
    ("bounds", "request_", "why"),
    [
        (
            quota({"cpu": "1"}, {"cpu": "0"}),
            write(pod(container(requests={"cpu": "2"}))),
            "exceeded quota: q, requested: cpu=2, used: cpu=0, limited: cpu=1",
        ),
        (
            quota({"memory": "1Gi", "pods": "1"}, {"memory": "512Mi", "pods": "1"}),
            write(pod(container(requests={"memory": "1Gi"}))),
            "exceeded quota: q, requested: memory=1Gi,pods=1, used: memory=512Mi,pods=1, "
            "limited: memory=1Gi,pods=1",
        ),
        (
            quota({"limits.cpu": "1", "limits.memory": "1"}, {}),
            write(pod(container("c1"), container("c2", limits={"memory": "1"}))),
            "failed quota: q: must specify limits.cpu for: c1,c2; limits.memory for: c1",
        ),
        (
            quota({"pods": "1", "count/pods": "2"}, {"pods": "0"}),
            write(pod(container())),
            "status unknown for quota: q, resources: count/pods,pods",
        ),
        (
            quota({"count/deployments.apps": "1"}, {"count/deployments.apps": "1"}),
            write({}, DEPLOYMENTS),
            "exceeded quota: q, requested: count/deployments.apps=1, used: "
            "count/deployments.apps=1, limited: count/deployments.apps=1",
        ),
        (
            quota({"services.nodeports": "1"}, {"services.nodeports": "0"}),
            write(service("NodePort"), SERVICES, "UPDATE", service("ClusterIP")),
            "exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, "
            "limited: services.nodeports=1",
        ),
    ],
    ids=["one", "several", "to be specified", "not counted yet", "objects", "update"],
)
def test_refusals(bounds, request_, why):
    with pytest.raises(Refused) as refused:
        used_after(bounds, request_)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("bounds", "request_"),
    [
        (quota({"cpu": "1"}, {"cpu": "1"}), write({}, SECRETS)),
        (quota({"pods": "1"}, {"pods": "1"}, scopes=["BestEffort"]),
         write(pod(container(requests={"cpu": "1"})))),
        (quota({"services.nodeports": "1"}, {"services.nodeports": "9"}),
         write(service("ClusterIP"), SERVICES, "UPDATE", service("NodePort"))),
        (quota({}, {}), write(pod(container()))),
    ],
    ids=["another kind", "out of scope", "shrinks", "not read yet"],
)  # fmt: skip
def test_what_a_quota_lets_pass_uncharged(bounds, request_):
    assert used_after(bounds, request_) is None


def test_a_pod_with_resources_of_its_own_needs_none_of_its_containers():
    bounds = quota({"limits.cpu": "1"}, {"limits.cpu": "0"})
    whole = pod(container(), resources={"limits": {"cpu": "1"}})
    assert written(used_after(bounds, write(whole))) == {"limits.cpu": "1"}


def test_an_object_that_comes_into_scope_is_charged_whole():
    bounds = quota({"pods": "1"}, {"pods": "0"}, scopes=["Terminating"])
    request_ = write(pod(activeDeadlineSeconds=5), operation="UPDATE", old=pod())
    assert evaluator_of(PODS).handles("UPDATE", "", request_.obj, request_.old)
    assert written(used_after(bounds, request_)) == {"pods": "1"}


def test_sums_keep_the_family_of_their_first_amount():
    zero = Amount(Fraction(0))
    gi = Amount(Fraction(2**30), "binary")
    kilo = Amount(Fraction(1000))
    assert str(zero + gi) == "1Gi"
    assert str(gi + kilo) == "1073742824"
    assert str(kilo + gi) == "1073742824"
    assert str(Amount(Fraction(2**31), "binary") - gi) == "1Gi"


def test_charging_one_by_one_and_counting_anew_agree():
    # Against a model of four lines: all pods of a sequence that were let in, added up.
    rng = random.Random(7)
    for _ in range(40):
        limit = rng.randint(1, 12)
        bounds = {"metadata": {"name": "q"}, "spec": {"hard": {"cpu": str(limit), "pods": "6"}},
                  "status": {"hard": {"cpu": str(limit), "pods": "6"},
                             "used": {"cpu": "0", "pods": "0"}}}  # fmt: skip
        inside, total = [], 0
        for _ in range(12):
            millis = rng.randint(0, 3000)
            one = pod(container(requests={"cpu": f"{millis}m"}))
            try:
                used = used_after(bounds, write(one))
            except Refused:
                assert total + millis > limit * 1000 or len(inside) == 6
                continue
            bounds["status"]["used"] = written(used)
            inside.append(one)
            total += millis
            assert quantity.parse(bounds["status"]["used"]["cpu"]) * 1000 == total
        assert total <= limit * 1000
        again = counted(bounds, [(evaluator_of(PODS), inside)], 0.0)
        assert written(again) == bounds["status"]["used"]
