"""What references demand of an object."""

import pytest

from controlplane.controllers.garbage.graph import OwnerState, Verb, decide


def thing(uid="u", owners=(), *, finalizers=(), deleting=False, block=True):
    metadata = {"name": uid, "uid": uid, "finalizers": list(finalizers)}
    metadata["ownerReferences"] = [{"uid": o, "blockOwnerDeletion": block} for o in owners]
    if deleting:
        metadata["deletionTimestamp"] = "2023-11-14T00:00:00Z"
    return {"metadata": metadata}


GONE, SOLID, WAITING = OwnerState.GONE, OwnerState.SOLID, OwnerState.WAITING


@pytest.mark.parametrize(
    ("subject", "owners", "dependents", "verb", "policy"),
    [
        (thing(owners=["a"]), [SOLID], [], Verb.NOTHING, ""),
        (thing(owners=["a"]), [GONE], [], Verb.DELETE, "Background"),
        (thing(owners=["a", "b"]), [GONE, SOLID], [], Verb.DROP_OWNERS, ""),
        (thing(owners=["a"]), [WAITING], [], Verb.DELETE, "Background"),
        (thing(owners=["a"]), [WAITING], [thing("k", ["u"])], Verb.DELETE, "Foreground"),
        (thing(owners=["a", "b"]), [GONE, OwnerState.UNKNOWN], [], Verb.NOTHING, ""),
        (
            thing(deleting=True, finalizers=["foregroundDeletion"]), [], [thing("k", ["u"])],
            Verb.DELETE_DEPENDENTS, "",
        ),
        (
            thing(deleting=True, finalizers=["foregroundDeletion"]), [],
            [thing("k", ["u"], block=False)], Verb.FINISH_FOREGROUND, "",
        ),
        (thing(deleting=True, finalizers=["orphan"]), [], [thing("k", ["u"])], Verb.ORPHAN_DEPENDENTS, ""),
        (thing(owners=["a"], deleting=True), [GONE], [], Verb.NOTHING, ""),
    ],
    ids=["owned", "orphaned", "one_left", "owner_waits", "owner_waits_deep", "unknown_owner", "foreground",
         "nothing_blocks", "orphan", "going_already"],
)  # fmt: skip
def test_owner_decisions(subject, owners, dependents, verb, policy):
    decision = decide(subject, owners, dependents)
    assert (decision.verb, decision.policy) == (verb, policy)
