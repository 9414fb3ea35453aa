"""RFC 6902 JSON Patch with the API server's limits and answers.

Done by the jsonpatch package; here are only the limit on operations and the errors: a patch that
cannot be read is 400, one that cannot be applied (a failed `test`, a missing path) is 422.
"""

from __future__ import annotations

import json
from typing import Any

import jsonpatch
import jsonpointer

from controlplane.api.errors import BadRequest, Cause, Invalid, RequestEntityTooLarge
from controlplane.api.meta import Obj

# Upstream's maxJSONPatchOperations: a patch is small, applying it may not be.
MAX_OPERATIONS = 10_000
_REJECTED = "the server rejected our request due to an error in our request"


def parse(body: bytes) -> list[Obj]:
    """The operations of a request body."""
    try:
        operations = json.loads(body)
    except ValueError as error:
        raise BadRequest(f"error decoding patch: {error}") from error
    if not isinstance(operations, list) or not all(isinstance(o, dict) for o in operations):
        raise BadRequest("error decoding patch: a JSON patch is a list of operations")
    return operations


def apply(live: Obj, operations: list[Obj]) -> Obj:
    """A new object with the operations done in order; `live` is not changed."""
    if len(operations) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, "
            f"got {len(operations)}"
        )
    try:
        patch: Any = operations
        result: Any = jsonpatch.apply_patch(live, patch, in_place=False)
    except jsonpatch.InvalidJsonPatch as error:
        raise BadRequest(f"error decoding patch: {error}") from error
    except (
        jsonpatch.JsonPatchException,
        jsonpointer.JsonPointerException,
        TypeError,
    ) as error:
        raise Invalid(
            _REJECTED, causes=[Cause("", str(error), "UnexpectedServerResponse")]
        ) from error
    if not isinstance(result, dict):
        raise Invalid(_REJECTED, causes=[Cause("", "the result is not an object")])
    return result
