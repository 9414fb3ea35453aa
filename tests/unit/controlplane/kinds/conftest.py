"""A judge for the tables of recorded facts: what a kind makes of an object, said as the API server would say it."""

import copy
import re

import jsonpatch
import pytest

from controlplane.api import times
from controlplane.api.validation.metadata import validate_metadata_update
from controlplane.api.validation.objects import validate_create

NOW = 1_800_000_000.0
UID = "00000000-0000-4000-8000-000000000001"
# Stands in a table for "take this field away".
ABSENT = "<absent>"
_RELATIVE = re.compile(r"<now(-?\d+)s>")


class Judge:
    """Plays the parts of a write that are pure, in the API server's order."""

    def created(self, kind, obj):
        """The object as it is stored, and the causes for which it is refused."""
        made = copy.deepcopy(obj)
        fields = made.setdefault("metadata", {})
        if kind.resource.namespaced:
            fields.setdefault("namespace", "gold")
        fields["uid"] = UID
        fields["creationTimestamp"] = times.to_rfc3339(NOW - 5)
        kind.default(made)
        kind.strategy(kind.resource).prepare_for_create(made)
        return made, validate_create(kind, made)

    def refusals(self, kind, obj, path, value):
        """What is said to a new object with one field spoilt."""
        return _texts(self.created(kind, spoilt(obj, path, value))[1])

    def changes(self, kind, obj, path, value, subresource=""):
        """What is said to a stored object in which one field is changed."""
        old, _ = self.created(kind, obj)
        new = spoilt(old, path, value)
        kind.default(new)
        strategy = kind.strategy(kind.resource)
        if subresource == "status":
            strategy.prepare_for_status_update(new, old)
            return _texts(validate_metadata_update(new, old) + kind.validate_status(new, old))
        strategy.prepare_for_update(new, old)
        causes = validate_metadata_update(new, old)
        if not kind.validates_update_alone:
            causes += kind.validate(new)
        return _texts(causes + kind.validate_update(new, old))

    def cells(self, kind, obj, status=None):
        """The row of a Table, ages being five seconds."""
        made, _ = self.created(kind, obj)
        if status is not None:
            made["status"] = _absolute(status)
        return [column.cell(made, NOW) for column in kind.columns]

    def defaults(self, kind, obj):
        """What a create adds to the object: {path: value}, metadata left out."""
        made, _ = self.created(kind, obj)
        added = {}
        _difference("", obj, made, added)
        return {path: value for path, value in added.items() if not path.startswith("/metadata")}


def spoilt(obj, path, value):
    """A copy with the field at a JSON pointer set, or taken away."""
    operation = {"op": "remove", "path": path}
    if value != ABSENT:
        operation = {"op": "add" if not _has(obj, path) else "replace", "path": path}
        operation["value"] = value
    return jsonpatch.apply_patch(copy.deepcopy(obj), [operation])


def _has(obj, path):
    for step in path.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        try:
            obj = obj[int(key)] if isinstance(obj, list) else obj[key]
        except (KeyError, IndexError, ValueError):
            return False
    return True


def _texts(causes):
    return [f"{cause.field}: {cause.message}".split("\n")[0] for cause in causes]


def _absolute(value):
    if isinstance(value, dict):
        return {key: _absolute(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_absolute(item) for item in value]
    found = _RELATIVE.fullmatch(value) if isinstance(value, str) else None
    return times.to_rfc3339(NOW + int(found[1])) if found else value


def _difference(path, before, after, added):
    if isinstance(after, dict) and isinstance(before, dict):
        for key, value in after.items():
            where = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            if key not in before:
                added[where] = value
            else:
                _difference(where, before[key], value, added)
    elif isinstance(after, list) and isinstance(before, list) and len(after) == len(before):
        for index, (left, right) in enumerate(zip(before, after, strict=True)):
            _difference(f"{path}/{index}", left, right, added)
    elif before != after:
        added[path] = after


@pytest.fixture
def judge():
    return Judge()
