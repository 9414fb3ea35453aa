"""What a revision holds."""

import json

from controlplane.controllers.workloads.revisions import new_revision, patch_of


def test_keys_are_in_order_as_programs_that_compare_bytes_expect() -> None:
    template = {
        "spec": {"containers": [{"name": "c", "image": "i", "args": ["b", "a"]}]},
        "metadata": {"labels": {}},
    }
    owner = {
        "metadata": {"name": "w", "namespace": "n", "uid": "u"},
        "spec": {"template": template},
    }
    text = json.dumps(patch_of(owner), separators=(",", ":"))
    assert text == (
        '{"spec":{"template":{"$patch":"replace","metadata":{"labels":{}},'
        '"spec":{"containers":[{"args":["b","a"],"image":"i","name":"c"}]}}}}'
    )
    assert new_revision({**owner, "apiVersion": "apps/v1", "kind": "DaemonSet"}, 1, 0)[
        "data"
    ] == patch_of(owner)
