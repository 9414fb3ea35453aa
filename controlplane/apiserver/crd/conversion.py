"""Conversion of custom resources by their definition's webhook: ConversionReviews, and what an answer must keep.

An object that has the wanted version already is not asked about. What comes back must be the same object: kind, name,
namespace and uid; of its metadata only labels and annotations are taken.

Source: apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from controlplane.api import meta, names
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.api.scheme import split_api_version
from controlplane.apiserver.callouts.client import CallError
from controlplane.apiserver.callouts.target import Target, target_of

_GROUP = "apiextensions.k8s.io"
_VERSIONS = ("v1", "v1beta1")
# As long as kube-apiserver's client of these webhooks waits.
_SECONDS = 30.0
# Answers kept: an object is read again and again in the state it was stored in.
_MAX_KNOWN = 512

# (where, body, seconds) -> the answer's JSON. CallError.
Post = Callable[[Target, bytes, float], Awaitable[Any]]


class BadAnswerError(ValueError):
    """What the webhook answers cannot be used; the text follows `conversion webhook for ...`."""


class WebhookConverter:
    """The conversion of one definition's objects."""

    def __init__(self, crd: Obj, post: Post, rng: random.Random) -> None:
        webhook = (meta.spec(crd).get("conversion") or {}).get("webhook") or {}
        self._client = webhook.get("clientConfig") or {}
        self._versions = [str(one) for one in webhook.get("conversionReviewVersions") or ()]
        self._post = post
        self._rng = rng
        self._known: OrderedDict[tuple[str, str, str], Obj] = OrderedDict()

    async def stored(self, objects: Sequence[Obj], api_version: str) -> list[Obj]:
        """Stored objects in another version. What was asked about a state of an object once is not asked again."""
        found: dict[int, Obj] = {}
        unknown: list[int] = []
        for index, obj in enumerate(objects):
            known = self._known.get(_state(obj, api_version))
            if known is None:
                unknown.append(index)
            else:
                self._known.move_to_end(_state(obj, api_version))
                found[index] = known
        made = await self.convert([objects[index] for index in unknown], api_version)
        for index, obj in zip(unknown, made, strict=True):
            found[index] = obj
            if obj is not objects[index]:
                self._known[_state(objects[index], api_version)] = obj
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return [meta.copy_of(found[index]) for index in range(len(objects))]

    async def convert(self, objects: Sequence[Obj], api_version: str) -> list[Obj]:
        """The objects in that version, in order; those that have it are returned as they are. APIError, code 500."""
        asked = [obj for obj in objects if obj.get("apiVersion") != api_version]
        if not asked:
            return list(objects)
        version = next((one for one in self._versions if one in _VERSIONS), "")
        if not version:
            raise APIError("no supported conversion review versions")
        uid = names.generate_uid(self._rng)
        review = request(version, uid, asked, api_version)
        try:
            target = target_of(self._client)
            answered = await self._post(target, msgspec.json.encode(review), _SECONDS)
            made = iter(response(version, uid, answered, asked, api_version))
        except (CallError, ValueError) as error:
            why = str(error) if isinstance(error, BadAnswerError) else f"failed: {error}"
            raise APIError(f"conversion webhook for {_type(asked[0])} {why}") from error
        return [obj if obj.get("apiVersion") == api_version else next(made) for obj in objects]


def _state(obj: Obj, api_version: str) -> tuple[str, str, str]:
    return (meta.uid(obj), meta.resource_version(obj), api_version)


def _type(obj: Obj) -> str:
    group, version = split_api_version(str(obj.get("apiVersion") or ""))
    return f"{group}/{version}, Kind={obj.get('kind')}"


def request(version: str, uid: str, objects: Sequence[Obj], api_version: str) -> Obj:
    """The review to send."""
    return {
        "kind": "ConversionReview",
        "apiVersion": f"{_GROUP}/{version}",
        "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": list(objects)},
    }


def response(
    version: str, uid: str, review: Any, asked: Sequence[Obj], api_version: str
) -> list[Obj]:
    """The converted objects in a webhook's review, one for each that was asked about. BadAnswerError."""
    content = review.get("response") if isinstance(review, dict) else None
    if version == "v1" and isinstance(review, dict):
        given = (str(review.get("apiVersion") or ""), str(review.get("kind") or ""))
        if given != (f"{_GROUP}/v1", "ConversionReview"):
            shown = given[0] if "/" in given[0] else f"/{given[0]}"
            raise BadAnswerError(
                f"failed: expected webhook response of {_GROUP}/v1, Kind=ConversionReview, got "
                f"{shown}, Kind={given[1]}"
            )
    if not isinstance(content, dict):
        raise BadAnswerError("failed: no response provided")
    if version == "v1" and content.get("uid") != uid:
        raise BadAnswerError(
            f'failed: expected response.uid="{uid}", got "{content.get("uid") or ""}"'
        )
    result = content.get("result") or {}
    status = str(result.get("status") or "")
    if status != "Success":
        why = result.get("message") or f"response.result.status was '{status}', not 'Success'"
        raise BadAnswerError(f"failed: {why}")
    made = content.get("convertedObjects") or []
    if not isinstance(made, list) or len(made) != len(asked):
        raise BadAnswerError(f"returned {len(made)} objects, expected {len(asked)}")
    return [_checked(obj, original, api_version) for obj, original in zip(made, asked, strict=True)]


def _checked(obj: Any, original: Obj, api_version: str) -> Obj:
    """A converted object with the metadata of the original. BadAnswerError when it is another one."""
    # Compat: the original asks about one object after the other, and names no place.
    where = "returned invalid object at index 0:"
    if not isinstance(obj, dict):
        raise BadAnswerError(f"{where} it is not an object")
    if obj.get("apiVersion") != api_version:
        raise BadAnswerError(
            f"{where} invalid groupVersion (expected {api_version}, received "
            f"{obj.get('apiVersion') or ''})"
        )
    if obj.get("kind") != original.get("kind"):
        raise BadAnswerError(
            f"{where} invalid kind (expected {original.get('kind')}, received "
            f"{obj.get('kind') or ''})"
        )
    theirs = obj.get("metadata")
    if not isinstance(theirs, dict):
        raise BadAnswerError("returned invalid metadata: missing metadata in converted object")
    mine = meta.metadata(original)
    for key, shown in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        if (theirs.get(key) or "") != (mine.get(key) or ""):
            raise BadAnswerError(
                f"returned invalid object: must have the same {shown}: {mine.get(key) or ''} != "
                f"{theirs.get(key) or ''}"
            )
    kept = {key: value for key, value in mine.items() if key not in ("labels", "annotations")}
    for key in ("labels", "annotations"):
        value = theirs.get(key)
        if isinstance(value, dict) and value:
            kept[key] = value
    return {**obj, "metadata": kept}
