"""RFC 6902 JSON Patch, as evanphx/json-patch does it in the original, with the API server's limits and answers.

Where that differs from the RFC: `replace` of a key that is not there adds it, `test` for null passes where nothing is,
and indices may be negative. A patch that cannot be read is 400, one that cannot be applied is 422 without a reason.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from controlplane.api.errors import BadRequest, Invalid, RequestEntityTooLarge
from controlplane.api.meta import Obj
from controlplane.api.schema.strict import decoding_problem, json_type

# Upstream's maxJSONPatchOperations: a patch is small, applying it may not be.
MAX_OPERATIONS = 10_000
# Upstream's limit on what copies may add, since copies of copies grow without bounds.
MAX_COPIED_BYTES = 3 * 1024 * 1024
_REJECTED = "the server rejected our request due to an error in our request"
_MISSING = object()


class _InapplicableError(Exception):
    """The operation has no place to be done at, or a test failed."""


class _FailedTestError(_InapplicableError):
    """A `test` found something else."""


def parse(body: bytes) -> list[Obj]:
    """The operations of a request body."""
    try:
        operations = json.loads(body)
    except ValueError as error:
        raise BadRequest(f"error decoding patch: {decoding_problem(body, error)}") from error
    if not isinstance(operations, list) or not all(isinstance(o, dict) for o in operations):
        wrong = operations
        kind = "[]handlers.jsonPatchOp"
        if isinstance(operations, list):
            wrong = next(one for one in operations if not isinstance(one, dict))
            kind = "handlers.jsonPatchOp"
        raise BadRequest(
            f"error decoding patch: json: cannot unmarshal {json_type(wrong)} into Go value of type {kind}"
        )
    return operations


def problem(live: Obj, operations: list[Obj]) -> str:
    """Why the operations cannot be done, in the words of the original's library; empty when they can."""
    document: Any = _copied(live)
    for operation in operations:
        try:
            document = _done(document, operation)
        except (_InapplicableError, RecursionError):
            return _told(document, operation)
    return ""


def _told(document: Any, operation: Obj) -> str:
    kind, pointer = str(operation.get("op") or ""), str(operation.get("path") or "")
    if kind not in ("add", "remove", "replace", "move", "copy", "test"):
        return f"Unexpected kind: {kind or 'unknown'}"
    parents, _, last = pointer.rpartition("/")
    has_parent = _has(document, parents)
    if kind == "test":
        if not has_parent:
            return f"error in test for path: '{pointer}': missing value"
        return f"testing value {pointer} failed: test failed"
    if kind in ("move", "copy") and not _has(document, str(operation.get("from") or "")):
        source = json.dumps(str(operation.get("from") or ""))
        return f"{kind} operation does not apply: doc is missing from path: {source}: missing value"
    if not has_parent:
        path = pointer if kind == "replace" else json.dumps(pointer)
        return f"{kind} operation does not apply: doc is missing path: {path}: missing value"
    if kind == "remove":
        return (
            f"error in remove for path: '{pointer}': Unable to remove nonexistent key: {last}: "
            "missing value"
        )
    return f"{kind} operation does not apply: doc is missing key: {pointer}: missing value"


def _has(document: Any, pointer: str) -> bool:
    try:
        return _find(document, _steps(pointer)) is not _MISSING
    except _InapplicableError:
        return False


def apply_if_tests_hold(live: Obj, operations: list[Obj]) -> Obj:
    """Same as `apply`, but for a test that fails: then `live` is what comes out."""
    try:
        return _applied(live, operations)
    except _FailedTestError:
        return live
    except (_InapplicableError, RecursionError):
        raise _rejected() from None


def apply(live: Obj, operations: list[Obj]) -> Obj:
    """A new object with the operations done in order; `live` is not changed."""
    try:
        return _applied(live, operations)
    except (_InapplicableError, RecursionError):
        raise _rejected() from None


def _applied(live: Obj, operations: list[Obj]) -> Obj:
    if len(operations) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, "
            f"got {len(operations)}"
        )
    document: Any = _copied(live)
    copied = 0
    for operation in operations:
        if operation.get("op") == "copy":
            source = _find(document, _steps(operation.get("from")))
            copied += 0 if source is _MISSING else len(msgspec.json.encode(source))
            if copied > MAX_COPIED_BYTES:
                raise _InapplicableError
        document = _done(document, operation)
    if not isinstance(document, dict):
        raise _InapplicableError
    return document


def _rejected() -> Invalid:
    error = Invalid(_REJECTED)
    error.has_empty_details = True
    return error


def _done(document: Any, operation: Obj) -> Any:
    kind, path = operation.get("op"), _steps(operation.get("path"))
    if kind == "test":
        found = _find(document, path)
        if not _equal(None if found is _MISSING else found, operation.get("value")):
            raise _FailedTestError
        return document
    if kind == "remove":
        return _remove(document, path)
    if kind in ("add", "replace"):
        if "value" not in operation:
            raise _InapplicableError
        return _put(document, path, _copied(operation["value"]), is_insert=kind == "add")
    if kind in ("move", "copy"):
        source = _steps(operation.get("from"))
        found = _find(document, source)
        if found is _MISSING:
            raise _InapplicableError
        if kind == "move":
            document = _remove(document, source)
        return _put(document, path, _copied(found), is_insert=True)
    raise _InapplicableError


def _steps(pointer: Any) -> list[str]:
    if pointer == "":
        return []
    if not isinstance(pointer, str) or not pointer.startswith("/"):
        raise _InapplicableError
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]


def _index(rows: list[Any], step: str, most: int) -> int:
    try:
        index = int(step)
    except ValueError:
        raise _InapplicableError from None
    if index < 0:
        index += len(rows)
    if not 0 <= index <= most:
        raise _InapplicableError
    return index


def _below(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step, _MISSING)
    if isinstance(value, list):
        return value[_index(value, step, len(value) - 1)]
    return _MISSING


def _find(document: Any, path: list[str]) -> Any:
    """The value at a path; `_MISSING` when its last step is not there, an error when one before is not."""
    value = document
    for place, step in enumerate(path):
        if value is _MISSING or not isinstance(value, dict | list):
            raise _InapplicableError
        value = _below(value, step)
        if value is _MISSING and place < len(path) - 1:
            raise _InapplicableError
    return value


def _put(document: Any, path: list[str], value: Any, *, is_insert: bool) -> Any:
    if not path:
        return value
    parent, step = _find(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[step] = value
    elif isinstance(parent, list):
        if step == "-":
            if not is_insert:
                raise _InapplicableError
            parent.append(value)
        elif is_insert:
            parent.insert(_index(parent, step, len(parent)), value)
        else:
            parent[_index(parent, step, len(parent) - 1)] = value
    else:
        raise _InapplicableError
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        raise _InapplicableError
    parent, step = _find(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        if step not in parent:
            raise _InapplicableError
        del parent[step]
    elif isinstance(parent, list):
        del parent[_index(parent, step, len(parent) - 1)]
    else:
        raise _InapplicableError
    return document


def _equal(left: Any, right: Any) -> bool:
    """Equality of JSON values, which tells true from 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value
