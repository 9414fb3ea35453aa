"""AdmissionReviews: what a webhook is asked, and what its answer says. Pure.

Versions v1 and v1beta1 differ in what is checked of an answer.
Source: apiserver/pkg/admission/plugin/webhook/{request/admissionreview.go,errors/statuserror.go}.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.apiserver.admission.interface import Attributes
from controlplane.apiserver.admission.selection.conditions import request_value
from controlplane.apiserver.admission.selection.views import View

_GROUP = "admission.k8s.io"
_VERSIONS = ("v1", "v1beta1")
_JSON_PATCH = "JSONPatch"


class BadReviewError(ValueError):
    """The webhook's answer cannot be used."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a webhook says. `patch` is empty for none; `status` explains a refusal and may be empty."""

    is_allowed: bool
    status: Obj = field(default_factory=dict)
    patch: bytes = b""
    patch_type: str = ""
    warnings: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


def version_of(versions: list[str]) -> str:
    """The first review version that is spoken here; empty when there is none."""
    return next((version for version in versions if version in _VERSIONS), "")


def request(version: str, uid: str, attributes: Attributes, view: View) -> Obj:
    """The review to send."""
    content: Obj = {
        "uid": uid,
        **request_value(attributes, view),
        "object": view.obj,
        "oldObject": view.old,
    }
    if not content["options"]:
        content["options"] = None
    return {"kind": "AdmissionReview", "apiVersion": f"{_GROUP}/{version}", "request": content}


def problem(version: str, review: Any) -> str:
    """Why the answer is no review of that version at all; empty when it is one, or does not say what it is."""
    api_version, kind = str(review.get("apiVersion") or ""), str(review.get("kind") or "")
    if (api_version, kind) in (("", ""), (f"{_GROUP}/{version}", "AdmissionReview")):
        return ""
    given = api_version.removeprefix(f"{_GROUP}/")
    if kind == "AdmissionReview" and given in _VERSIONS:
        return (
            f"converting ({given}.AdmissionReview) to ({version}.AdmissionReview): unknown "
            "conversion"
        )
    return (
        f'no kind "{kind}" is registered for version "{api_version}" in scheme '
        '"pkg/util/webhook/client.go:71"'
    )


def answer(version: str, uid: str, review: Any, *, mutates: bool) -> Answer:
    """What the webhook's review says. BadReviewError."""
    response = review.get("response") if isinstance(review, dict) else None
    if not isinstance(response, dict):
        raise BadReviewError("webhook response was absent")
    patch_type = response.get("patchType")
    try:
        patch = base64.b64decode(response.get("patch") or "", validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise BadReviewError(f"illegal base64 data: {error}") from error
    if version == "v1":
        _check(uid, review, response)
        _check_patch(patch, patch_type, mutates=mutates)
    elif not mutates:
        patch = b""
    elif patch:
        # Compat: v1beta1 knows no other type, and does not look.
        patch_type = _JSON_PATCH
    status = response.get("status")
    return Answer(
        response.get("allowed") is True,
        status if isinstance(status, dict) else {},
        patch,
        str(patch_type or ""),
        tuple(str(text) for text in response.get("warnings") or ()),
        {str(k): str(v) for k, v in (response.get("auditAnnotations") or {}).items()},
    )


def _check(uid: str, review: Obj, response: Obj) -> None:
    given = response.get("uid") or ""
    if given != uid:
        raise BadReviewError(f"expected response.uid={json.dumps(uid)}, got {json.dumps(given)}")
    api_version, kind = str(review.get("apiVersion") or ""), str(review.get("kind") or "")
    if (api_version, kind) != (f"{_GROUP}/v1", "AdmissionReview"):
        shown = api_version if "/" in api_version else f"/{api_version}"
        raise BadReviewError(
            f"expected webhook response of {_GROUP}/v1, Kind=AdmissionReview, got {shown}, "
            f"Kind={kind}"
        )


def _check_patch(patch: bytes, patch_type: Any, *, mutates: bool) -> None:
    if not mutates:
        if patch:
            raise BadReviewError("validating webhook may not return response.patch")
        if patch_type is not None:
            raise BadReviewError("validating webhook may not return response.patchType")
        return
    if patch and patch_type is None:
        raise BadReviewError("webhook returned response.patch but not response.patchType")
    if not patch and patch_type is not None:
        raise BadReviewError("webhook returned response.patchType but not response.patch")
    if patch_type == "":
        raise BadReviewError('webhook returned invalid response.patchType of ""')


def refusal(name: str, status: Obj) -> APIError:
    """The refusal by the webhook `name`: never a success, whatever its Status says."""
    made = dict(status)
    code = made.get("code")
    made["code"] = code if isinstance(code, int) and code >= 400 else 400
    if made.get("status") in (None, "", "Success"):
        made["status"] = "Failure"
    why = made.get("message") or made.get("reason")
    denied = f"admission webhook {json.dumps(name)} denied the request"
    made["message"] = f"{denied}: {why}" if why else f"{denied} without explanation"
    error = APIError(made["message"], code=made["code"])
    kept = ("status", "message", "reason", "details", "code")
    error.foreign = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        **{key: made[key] for key in kept if made.get(key)},
    }
    return error
