"""What a claim or a volume needs next."""

import pytest

from controlplane.controllers.pvbinder.plan import (
    ClaimPlan,
    Fate,
    Step,
    claim_bound_to,
    claim_status,
    plan_claim,
    plan_volume,
    unbound,
)
from controlplane.kinds.core.persistent_volume.binding import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PROVISIONED_BY,
    SELECTED_NODE,
    bound_to,
)


def volume(name="v", size="1Gi", phase="Available", annotations=None, labels=None, **spec):
    """A volume of one gigabyte that nobody has."""
    return {
        "metadata": {"name": name, "annotations": annotations or {}, "labels": labels or {}},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            **spec,
        },
        "status": {"phase": phase},
    }


def claim(name="c", size="1Gi", annotations=None, phase="Pending", **spec):
    """A claim for one gigabyte."""
    return {
        "metadata": {
            "name": name,
            "namespace": "d",
            "uid": f"uid-{name}",
            "annotations": annotations or {},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
            "storageClassName": "",
            **spec,
        },
        "status": {"phase": phase},
    }


def storage_class(name, mode="Immediate", default=False, created="2024-01-01T00:00:00Z"):
    """A class."""
    noted = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    metadata = {"name": name, "annotations": noted, "creationTimestamp": created}
    return {"metadata": metadata, "provisioner": "x/y", "volumeBindingMode": mode}


def reference(name="c", uid="uid-c"):
    """A claimRef."""
    return {"namespace": "d", "name": name, **({"uid": uid} if uid else {})}


def planned(one, volumes=(), classes=(), pods=()) -> ClaimPlan:
    """The plan of a claim among these."""
    named = {v["metadata"]["name"]: v for v in volumes}
    return plan_claim(one, list(volumes), named.get, list(classes), list(pods))


MATCHES = {
    "the_smallest_that_is_large_enough": (
        [volume("big", "5Gi"), volume("fit", "2Gi"), volume("small", "1Mi")], {}, "fit",
    ),
    "of_equals_the_first_by_name": ([volume("b"), volume("a")], {}, "a"),
    "one_with_fewer_modes_goes_before_a_smaller_one": (
        [volume("many", "1Gi", accessModes=["ReadWriteOnce", "ReadOnlyMany"]), volume("one", "2Gi")],
        {}, "one",
    ),
    "a_reserved_one_goes_before_a_smaller_one": (
        [volume("a"), volume("mine", "9Gi", claimRef=reference(uid=""))], {}, "mine",
    ),
    "not_one_reserved_for_another": ([volume(claimRef=reference("other", ""))], {}, None),
    "not_one_reserved_for_an_older_claim_of_the_name": (
        [volume(claimRef=reference(uid="uid-old"))], {}, None,
    ),
    "not_one_that_is_not_available": ([volume(phase="Released")], {}, None),
    "not_one_of_another_class": ([volume(storageClassName="gold")], {}, None),
    "not_one_of_blocks": ([volume(volumeMode="Block")], {}, None),
    "not_one_with_other_modes": ([volume(accessModes=["ReadOnlyMany"])], {}, None),
    "one_whose_labels_are_selected": (
        [volume("a"), volume("b", labels={"disk": "ssd"})],
        {"selector": {"matchLabels": {"disk": "ssd"}}}, "b",
    ),
    "not_one_of_another_attributes_class": (
        [volume(volumeAttributesClassName="fast")], {}, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("volumes", "spec", "expected"), MATCHES.values(), ids=MATCHES)
def test_the_volume_of_a_claim(volumes, spec, expected):
    plan = planned(claim(**spec), volumes)
    if expected is None:
        assert plan.step is Step.PENDING
        assert plan.note is not None
        assert plan.note.reason == "FailedBinding"
    else:
        assert plan.step is Step.BIND
        assert plan.volume is not None
        assert plan.volume["metadata"]["name"] == expected


STEPS = {
    "no_class_and_no_volume_waits": (
        claim(), (), (), Step.PENDING,
        "no persistent volumes available for this claim and no storage class is set",
    ),
    "a_class_has_one_made": (
        claim(storageClassName="gold"), (), (storage_class("gold"),), Step.PROVISION, None,
    ),
    "a_class_that_is_not_there_is_tried_too": (
        claim(storageClassName="gold"), (), (), Step.PROVISION, None,
    ),
    "a_claim_that_names_no_class_takes_the_default_later": (
        claim(storageClassName=None), (), (storage_class("gold", default=True),),
        Step.TAKE_CLASS, None,
    ),
    "a_volume_that_has_just_come_goes_before_the_default_class": (
        claim(storageClassName=None), (volume(phase="Pending"),),
        (storage_class("gold", default=True),), Step.PENDING, None,
    ),
    "the_empty_class_stays_empty": (
        claim(), (), (storage_class("gold", default=True),), Step.PENDING,
        "no persistent volumes available for this claim and no storage class is set",
    ),
    "one_that_waits_for_a_pod": (
        claim(storageClassName="late"), (volume(storageClassName="late"),),
        (storage_class("late", "WaitForFirstConsumer"),), Step.PENDING,
        "waiting for first consumer to be created before binding",
    ),
    "one_whose_node_is_chosen_is_made": (
        claim(storageClassName="late", annotations={SELECTED_NODE: "n"}), (),
        (storage_class("late", "WaitForFirstConsumer"),), Step.PROVISION, None,
    ),
    "one_that_waits_takes_what_is_reserved_for_it": (
        claim(storageClassName="late"),
        (volume(storageClassName="late", claimRef=reference()),),
        (storage_class("late", "WaitForFirstConsumer"),), Step.BIND, None,
    ),
    "a_named_volume_that_is_not_there": (claim(volumeName="v"), (), (), Step.PENDING, None),
    "a_named_volume_that_is_free": (claim(volumeName="v"), (volume(),), (), Step.BIND, None),
    "a_named_volume_that_is_too_small": (
        claim(volumeName="v"), (volume(size="1Mi"),), (), Step.PENDING,
        'Cannot bind to requested volume "v": requested PV is too small',
    ),
    "a_named_volume_of_another_class": (
        claim(volumeName="v"), (volume(storageClassName="gold"),), (), Step.PENDING,
        'Cannot bind to requested volume "v": storageClassName does not match',
    ),
    "a_named_volume_that_somebody_has": (
        claim(volumeName="v"), (volume(claimRef=reference("other", "u")),), (), Step.PENDING,
        'volume "v" already bound to a different claim.',
    ),
    "a_bound_claim_stays_bound": (
        claim(volumeName="v", annotations={BIND_COMPLETED: "yes"}),
        (volume(claimRef=reference()),), (), Step.BIND, None,
    ),
    "a_bound_claim_without_its_volume_is_lost": (
        claim(volumeName="v", annotations={BIND_COMPLETED: "yes"}), (), (), Step.LOST,
        "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
    ),
    "a_bound_claim_without_a_name_is_lost": (
        claim(annotations={BIND_COMPLETED: "yes"}), (), (), Step.LOST,
        "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
    ),
    "a_bound_claim_whose_volume_is_anothers_is_lost": (
        claim(volumeName="v", annotations={BIND_COMPLETED: "yes"}),
        (volume(claimRef=reference("other", "u")),), (), Step.LOST,
        "Two claims are bound to the same volume, this one is bound incorrectly",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("one", "volumes", "classes", "step", "message"), STEPS.values(), ids=STEPS
)
def test_the_next_step_of_a_claim(one, volumes, classes, step, message):
    if one["spec"]["storageClassName"] is None:
        del one["spec"]["storageClassName"]
    plan = planned(one, volumes, classes)
    assert plan.step is step
    assert (plan.note.message if plan.note else None) == message


def test_the_newest_default_class_is_taken():
    one = claim()
    del one["spec"]["storageClassName"]
    classes = (
        storage_class("a", default=True),
        storage_class("b", default=True, created="2025-01-01T00:00:00Z"),
    )
    assert planned(one, (), classes).name == "b"


def test_pods_that_are_not_scheduled_are_named():
    late = storage_class("late", "WaitForFirstConsumer")
    pods = [{"metadata": {"name": name}, "spec": {}} for name in ("q", "p")]
    gone = {"metadata": {"name": "r"}, "spec": {}, "status": {"phase": "Succeeded"}}
    plan = planned(claim(storageClassName="late"), (), (late,), [*pods, gone])
    assert plan.note is not None
    assert plan.note.reason == "WaitForPodScheduled"
    assert plan.note.message == "waiting for pods p,q to be scheduled"


FATES = {
    "nobodys": (volume(), None, Fate.AVAILABLE),
    "reserved": (volume(claimRef=reference(uid="")), claim(), Fate.AVAILABLE),
    "bound": (volume(claimRef=reference()), claim(volumeName="v"), Fate.BOUND),
    "its_claim_is_next": (volume(claimRef=reference()), claim(), Fate.WAIT_FOR_CLAIM),
    "one_of_blocks_for_files": (
        volume(claimRef=reference(), volumeMode="Block"), claim(), Fate.MISMATCH,
    ),
    "its_claim_is_gone": (volume(claimRef=reference()), None, Fate.RELEASE),
    "another_claim_of_the_name": (
        volume(claimRef=reference(uid="uid-old")), claim(), Fate.RELEASE,
    ),
    "its_claim_has_another": (
        volume(claimRef=reference()), claim(volumeName="w"), Fate.UNBIND,
    ),
    "made_for_a_claim_that_has_another": (
        volume(
            claimRef=reference(), annotations={PROVISIONED_BY: "x/y"},
            persistentVolumeReclaimPolicy="Delete",
        ),
        claim(volumeName="w"), Fate.RELEASE,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("one", "owner", "fate"), FATES.values(), ids=FATES)
def test_the_fate_of_a_volume(one, owner, fate):
    assert plan_volume(one, owner) is fate


def test_a_volume_found_for_a_claim_is_marked_as_such():
    made = bound_to(volume(), claim())
    assert made["spec"]["claimRef"]["uid"] == "uid-c"
    assert made["metadata"]["annotations"] == {BOUND_BY_CONTROLLER: "yes"}
    assert bound_to(made, claim()) is made


def test_a_reserved_volume_is_completed_and_not_marked():
    made = bound_to(volume(claimRef=reference(uid="")), claim())
    assert made["spec"]["claimRef"]["uid"] == "uid-c"
    assert made["metadata"]["annotations"] == {}


def test_a_claim_that_named_its_volume_is_not_marked_as_bound_by_the_binder():
    noted = claim_bound_to(claim(volumeName="v"), volume())["metadata"]["annotations"]
    assert noted == {BIND_COMPLETED: "yes"}
    noted = claim_bound_to(claim(), volume())["metadata"]["annotations"]
    assert noted == {BIND_COMPLETED: "yes", BOUND_BY_CONTROLLER: "yes"}


def test_an_unbound_volume_is_free_or_reserved_again():
    assert "claimRef" not in unbound(bound_to(volume(), claim()))["spec"]
    kept = unbound(bound_to(volume(claimRef=reference(uid="")), claim()))["spec"]["claimRef"]
    assert "uid" not in kept
    assert kept["name"] == "c"


def test_a_claims_capacity_is_the_volumes_when_it_is_bound_and_not_later():
    status = claim_status(claim(), "Bound", volume(size="2Gi"))
    assert status == {
        "phase": "Bound",
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "2Gi"},
    }
    grown = claim_status({**claim(), "status": status}, "Bound", volume(size="3Gi"))
    assert grown["capacity"] == {"storage": "2Gi"}
    assert claim_status({**claim(), "status": status}, "Lost", None) == {"phase": "Lost"}
