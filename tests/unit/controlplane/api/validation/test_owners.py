"""References to owners: what they must name, and how refusals show them."""

import pytest

from controlplane.api.validation.metadata import validate_owners


def owner(**more):
    # The order of the stored form, which is not the one that messages have.
    return {"kind": "ConfigMap", "name": "x", "uid": "u", "apiVersion": "v1", **more}


@pytest.mark.parametrize("version", ["", "a/", "a/b/c"])
def test_versions_that_are_none(version):
    (cause,) = validate_owners([owner(apiVersion=version)])
    assert cause.field == "metadata.ownerReferences.apiVersion"
    assert cause.message == f'Invalid value: "{version}": version must not be empty'


def test_events_own_nothing_and_are_shown_in_the_order_of_the_type():
    (cause,) = validate_owners([owner(kind="Event")])
    assert cause.message == (
        'Invalid value: {"apiVersion":"v1","kind":"Event","name":"x","uid":"u"}: '
        "/v1, Kind=Event is disallowed from being an owner"
    )


def test_one_controller_at_most():
    (cause,) = validate_owners([owner(controller=True), owner(name="y", controller=True)])
    assert cause.message.startswith('Invalid value: [{"apiVersion":"v1","kind":"ConfigMap",')
    assert cause.message.endswith("for ConfigMap/x and ConfigMap/y")
