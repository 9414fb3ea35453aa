"""What the API server says to pods; recorded.json holds answers of Kubernetes 1.36 to the same requests.

A row of it is base, field, value (`<absent>`: the field is taken away), the causes.
"""

import json
from pathlib import Path

import pytest

from controlplane.kinds.core.pod.image_names import tag_of
from controlplane.kinds.core.pod.kind import KIND

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())
BASES = RECORDED["bases"]


def _ids(rows):
    return [f"{base}{path}={json.dumps(value)[:40]}" for base, path, value, _ in rows]


@pytest.mark.parametrize("base", sorted(BASES))
def test_good_pods_are_taken(judge, base):
    assert judge.created(KIND, BASES[base])[1] == []


@pytest.mark.parametrize(
    ("base", "path", "value", "causes"), RECORDED["refused"], ids=_ids(RECORDED["refused"])
)
def test_spoilt_pods_are_refused(judge, base, path, value, causes):
    assert judge.refusals(KIND, BASES[base], path, value) == causes


@pytest.mark.parametrize(
    ("base", "path", "value", "causes"), RECORDED["changes"], ids=_ids(RECORDED["changes"])
)
def test_what_may_not_change(judge, base, path, value, causes):
    assert judge.changes(KIND, BASES[base], path, value) == causes


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("nginx", "latest"),
        ("nginx:latest", "latest"),
        ("nginx:1", "1"),
        ("host:5000/nginx", "latest"),
        ("host:5000/nginx:2", "2"),
        ("nginx@sha256:" + "a" * 64, ""),
        ("nginx:latest@sha256:" + "a" * 64, "latest"),
        ("ko://example.com/cmd/x", ""),
        ("Nginx", ""),
        ("a" * 64, ""),
        ("", ""),
    ],
)
def test_tag_of_an_image(image, tag):
    assert tag_of(image) == tag


def test_stop_signals_are_behind_a_gate_and_dropped():
    obj = {
        "metadata": {"name": "p", "namespace": "d"},
        "spec": {
            "containers": [
                {"name": "c", "image": "i", "lifecycle": {"stopSignal": "SIGFOO"}},
            ]
        },
    }
    KIND.default(obj)
    KIND.strategy(KIND.resource).prepare_for_create(obj)
    assert "lifecycle" not in obj["spec"]["containers"][0]
    assert KIND.validate(obj) == []
